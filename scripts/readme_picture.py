"""Make docs/run.svg: the real output of `unisafe run` as the repository stands, drawn by rich.

uv run python scripts/readme_picture.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 126


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bench.toml").write_text((ROOT / "bench.toml").read_text())
        environment = {**os.environ, "COLUMNS": str(WIDTH), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
        command = [sys.executable, "-m", "unisafe_async.cli"]
        subprocess.run([*command, "run"], cwd=folder, env=environment, check=True, capture_output=True)
        report = subprocess.run(
            [*command, "report"], cwd=folder, env=environment, check=True, capture_output=True, text=True
        ).stdout
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print("$ unisafe run", style="bold", highlight=False)
    console.print(Text.from_ansi(report))
    console.save_svg(str(ROOT / "docs" / "run.svg"), title="unisafe run")


if __name__ == "__main__":
    main()
