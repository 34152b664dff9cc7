"""A run of several judges is compared, shown on a page and taken to another machine like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unisafe_async.test_cli import unisafe

BENCH = """
[cache]
path = "run.duckdb"
[judge]
mode = "{mode}"
[[judge.judges]]
name = "first"
provider = "simulated"
model = "judge"
simulation = {{ judge_blocked = 0.2 }}
[[judge.judges]]
name = "second"
provider = "simulated"
model = "judge"
simulation = {{ wrong = 0.1, seed = 3 }}
[[models]]
name = "one"
provider = "simulated"
model = "balanced"
backbone = "two"
[[models]]
name = "two"
provider = "simulated"
model = "cautious"
"""


@pytest.mark.parametrize("mode", ["fallback", "panel"])
def test_it_compares_and_travels(tmp_path: Path, mode: str) -> None:
    (tmp_path / "bench.toml").write_text(BENCH.format(mode=mode))
    assert unisafe("run", folder=tmp_path).returncode in (0, 1)
    for compared in (("compare", "one", "two"), ("compare", "--backbone"), ("report", "--html", "page.html")):
        done = unisafe(*compared, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert unisafe("export", "-o", "run.zip", folder=tmp_path).returncode == 0
    brought = unisafe("import", "run.zip", "--cache", "other.duckdb", folder=tmp_path)
    assert brought.returncode == 0, brought.stdout + brought.stderr
    here, there = unisafe("report", folder=tmp_path), unisafe("report", "--cache", "other.duckdb", folder=tmp_path)
    assert here.stdout == there.stdout
    assert "first" in there.stdout
    assert "second" in there.stdout
