"""Make the README's pictures from a run of the repository as it stands: docs/run.svg, the terminal's output drawn by rich, and
docs/page.png, the first screen of the page in Chromium.

uv run python scripts/readme_picture.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 126
PAGE = {"width": 1280, "height": 800}
"""The size of the page's picture, in pixels."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bench.toml").write_text((ROOT / "bench.toml").read_text())
        environment = {**os.environ, "COLUMNS": str(WIDTH), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
        command = [sys.executable, "-m", "unisafe_async.cli"]
        subprocess.run([*command, "run"], cwd=folder, env=environment, check=True, capture_output=True)
        report = subprocess.run(
            [*command, "report"], cwd=folder, env=environment, check=True, capture_output=True, text=True
        ).stdout
        subprocess.run([*command, "report", "--html", "page.html"], cwd=folder, env=environment, check=True, capture_output=True)
        draw_page(Path(folder) / "page.html")
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print("$ unisafe run", style="bold", highlight=False)
    console.print(Text.from_ansi(report))
    console.save_svg(str(ROOT / "docs" / "run.svg"), title="unisafe run")


def draw_page(page: Path) -> None:
    """Write the first screen of `page`, in light colours, to docs/page.png."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": PAGE["width"], "height": PAGE["height"]}, color_scheme="light")
        view.goto(page.as_uri())
        view.screenshot(path=ROOT / "docs" / "page.png")
        browser.close()


if __name__ == "__main__":
    main()
