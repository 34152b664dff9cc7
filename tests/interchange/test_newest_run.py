"""A run of imported verdicts is never "the newest" for a command that names none, unless there is no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import forked
import pytest
from unisafe_cache import read_file

from tests.interchange.conftest import HOSTILE, Bench

COMMANDS = (
    ("report",),
    ("report", "--html", "page.html"),
    ("report", "--png", "figure.png"),
    ("tables", "--format", "json"),
    ("rows", "-o", "rows.csv"),
    ("browse",),
    ("show", "unsafe_t2i_generation/1"),
    ("compare", HOSTILE, "Sim-B"),
    ("export-official", "-o", "out"),
    ("export", "-o", "run.zip"),
)


def bring(folder: Path) -> str:
    """Import verdicts on one item by a model called x; returns the run's name."""
    (folder / "T2I").mkdir(exist_ok=True)
    (folder / "T2I" / "uni_x_numeric.jsonl").write_text('{"id": 1, "context_safety": "1", "init_safety": "1"}\n')
    done = forked.unisafe("import-verdicts", "T2I", "--data", "sample", "--cache", "unisafe.duckdb", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1].rstrip(":")


@pytest.fixture(scope="module")
def both(first_run: Bench, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A cache with a run that asked models and, later, one of imported verdicts; and their names."""
    folder = tmp_path_factory.mktemp("both")
    shutil.copy(first_run.cache, folder)
    cache = folder / "unisafe.duckdb"
    run = read_file(cache, lambda connection: connection.execute("SELECT run FROM runs").fetchone()[0])
    return cache, run, bring(folder)


@pytest.mark.parametrize("command", COMMANDS, ids=[" ".join(one[:1] + one[-1:]) for one in COMMANDS])
def test_the_last_run_is_the_one_that_was_run(both: tuple[Path, str, str], command: tuple[str, ...], tmp_path: Path) -> None:
    cache, run, imported = both
    done = forked.unisafe(*command, "--cache", str(cache), cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr.count(f"run {imported} is newer, but of imported verdicts: name it to see it") == 1
    written = (done.stdout.encode(), *(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()))
    assert not any(imported.encode() in one for one in written)
    if command[0] in ("report", "tables", "rows", "compare", "export-official") and "--png" not in command:
        assert any(run.encode() in one for one in written)


@pytest.mark.parametrize("command", [("report",), ("tables",), ("browse",), ("export-official", "-o", "out")], ids=" ".join)
def test_imported_verdicts_alone_are_shown_and_called_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    imported = bring(tmp_path)
    done = forked.unisafe(*command, "--cache", "unisafe.duckdb", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    assert f"run {imported} is of imported verdicts; there is no other run" in done.stderr


def test_a_name_is_obeyed_without_a_word(both: tuple[Path, str, str], tmp_path: Path) -> None:
    cache, _, imported = both
    done = forked.unisafe("tables", imported, "--format", "json", "--cache", str(cache), cwd=tmp_path)
    assert json.loads(done.stdout)["provenance"]["run"] == imported
    assert done.stderr == ""
