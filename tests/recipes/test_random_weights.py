"""What `recipes/random_weights.py` says where it cannot begin; what it writes needs the authors' code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "recipes" / "random_weights.py"


@pytest.mark.parametrize(
    ("checkout", "to", "said"),
    [("nowhere", "new", "there is no folder"), (".", ".", "is there already"), (".", "new", "has no torch")],
)
def test_it_says_why_it_cannot_begin_and_leaves_nothing(tmp_path: Path, checkout: str, to: str, said: str) -> None:
    line = [sys.executable, "-S", str(SCRIPT), "janusflow", "--checkout", checkout, "--to", to]  # without any package
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
