"""What an exit code says: 2 where the command line is wrong, whatever is wrong with it, and nothing was done."""

from __future__ import annotations

import re
from pathlib import Path

import forked
import pytest

BENCH = """
[dataset]
limit = 3
[cache]
path = "c.duckdb"
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "sim"
provider = "simulated"
model = "balanced"
takes = ["text", "image"]
gives = ["text", "image"]
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    (folder / "bench.toml").write_text(BENCH)
    assert forked.unisafe("run", cwd=folder).returncode in (0, 1)
    return folder


def test_pruning_a_run_that_there_is_not_is_a_mistake_and_one_is_named_by_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text(BENCH)
    for _ in range(2):
        assert forked.unisafe("run", cwd=tmp_path).returncode in (0, 1)
    runs = re.findall(r"\d{8}-\d{6}-[0-9a-f]{4}", forked.unisafe("runs", cwd=tmp_path).stdout)
    for name, words in (
        ("nonesuch", "there is no run 'nonesuch'"),
        ("", "there is no run ''"),
        (runs[0][:8], "begins the names of 2 runs"),
    ):
        done = forked.unisafe("cache", "prune", "--yes", "--run", name, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
    asked = forked.unisafe("cache", "prune", "--run", runs[0], cwd=tmp_path)
    assert asked.returncode == 2
    assert "nobody to ask; say --yes" in asked.stderr
    assert set(runs) <= set(forked.unisafe("runs", cwd=tmp_path).stdout.split())
    done = forked.unisafe("cache", "prune", "--yes", "--run", runs[0][:-2], cwd=tmp_path)
    assert done.returncode == 0
    assert f"run {runs[0]}, 3 rows" in done.stdout
    assert runs[0] not in forked.unisafe("runs", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    "command",
    [
        "nonesuch", "report --nonesuch", "cache", "cache nonesuch", "cache prune", "cache prune --older-than 999999999999",
        "cache prune --older-than x", "run --limit 99999999999999999999999", "run --limit 0", "run --repeats 99999999999999999999999",
        "report nonesuch", "tables nonesuch", "rows nonesuch -o r.csv", "export nonesuch", "export-official nonesuch -o off", "show nonesuch",
        "browse nonesuch", "label nonesuch -o l.jsonl", "compare a b --run nonesuch", "agree nonesuch.jsonl", "batches --cancel nonesuch",
        "report --model nonesuch", "browse -m nonesuch", "report --png .", "report --html .", "simulate --host nonesuch..x", "simulate --port 99999",
        "import nonesuch", "judge nonesuch", "data check nonesuch", "runs --cache nonesuch", "run -c nonesuch.toml", "new-provider 1",
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_2_and_one_clear_error(small: Path, command: str) -> None:
    done = forked.unisafe(*command.split(), cwd=small, timeout=30)
    assert done.returncode == 2, done.stdout
    assert done.stderr.strip() or "Usage" in done.stdout
    assert "Traceback" not in done.stderr
    assert not (small / "r.csv").exists()
