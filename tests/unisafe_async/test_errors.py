"""One root for what can go wrong: the tree that is drawn is the tree that there is, and a user catches it with one `except`."""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path

import forked
import pytest
import unisafe_cache
import unisafe_judger
import unisafe_providers

import unisafe_async
from unisafe_async import errors
from unisafe_async.errors import UnisafeError

NO_ERRORS = {
    "NotRun",
    "BudgetSpent",
    "Draining",
    "NoIntent",
    "Ended",
    "Leave",
    "_Older",
    "OldName",
    "MemoryRanOut",
    "ServerDied",
    "Closed",
    "JobFailed",
    "_Begun",
}
"""What a caller is told on purpose, and handles itself."""
BENCH = (
    '[cache]\npath = "c.duckdb"\n[judge]\nprovider = "simulated"\nmodel = "judge"\n[[models]]\nname = "sim"\nprovider = "simulated"\n'
    + ('model = "balanced"\n')
)


def exceptions() -> dict[str, list[str]]:
    """Every exception that a file of ours defines, with its bases, as written: to import them all would take torch too."""
    bases: dict[str, list[str]] = {}
    for package in (unisafe_providers, unisafe_judger, unisafe_cache, unisafe_async):
        files = [file for file in Path(package.__path__[0]).rglob("*.py") if file.name != "unisafe_serve.py"]  # stands by itself
        for file in files:
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    bases[node.name] = [ast.unparse(base) for base in node.bases]
    found: dict[str, list[str]] = {}
    while more := {
        name: given
        for name, given in bases.items()
        if name not in found
        and any(
            base in found
            or (isinstance(getattr(builtins, base, None), type) and issubclass(getattr(builtins, base), BaseException))
            for base in given
        )
    }:
        found |= more
    return found


def drawn() -> dict[str, str]:
    """Each error in the drawing and the one that it hangs under."""
    parents, branch = {}, {}
    for line in (errors.__doc__ or "").splitlines():
        if place := re.match(r"((?:\|  |   )*)(?:[|`]- )?([A-Z]\w+)\b", line):
            depth = 0 if line.startswith("UnisafeError") else len(place[1]) // 3 + 1
            if depth == 0 and line.split()[0] != "UnisafeError":
                continue
            branch[depth] = place[2]
            if depth and re.match(r"(?:\|  |   )*[|`]- ", line):
                parents[place[2]] = branch[depth - 1]
    return parents


def test_the_drawn_tree_is_the_tree_that_there_is() -> None:
    there = {name: bases[0] for name, bases in exceptions().items() if name not in NO_ERRORS and name != "UnisafeError"}
    assert drawn() == there


def test_whatever_else_is_raised_on_purpose_is_no_error() -> None:
    bases = exceptions()
    ours = {"UnisafeError"}
    while more := {name for name, given in bases.items() if name not in ours and given[0] in ours}:
        ours |= more
    assert bases.keys() - ours == NO_ERRORS


def test_the_second_bases_are_drawn_too() -> None:
    given = dict(re.findall(r"([A-Z]\w+) +\((\w+)\)  ", errors.__doc__ or ""))
    assert given == {name: bases[1] for name, bases in exceptions().items() if len(bases) > 1}


def test_value_errors_stay_value_errors() -> None:
    for name in ("ConfigError", "DatasetError", "UsageError"):
        assert issubclass(getattr(unisafe_async, name), ValueError)
    with pytest.raises(unisafe_async.ConfigError):
        unisafe_async.parse_config({})
    with pytest.raises(UnisafeError):
        unisafe_async.load(cache="no/such/file.duckdb")
    assert not issubclass(unisafe_async.UsageError, unisafe_async.ConfigError)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("run -c none.toml", "there is no such file"),  # ConfigError
        ("report", "c.duckdb"),  # CacheError: no run yet
        ("compare a", "name two models"),  # UsageError
        ("report --task nonesuch", "--task: 'nonesuch' is no task"),
        ("browse --task nonesuch", "--task: 'nonesuch' is no task"),
        ("batches --refresh --cancel x", "say either --refresh or --cancel ID"),
        ("agree none.jsonl", "none.jsonl: cannot be read"),  # LabelError
        ("new-provider simulated", "'simulated' is taken by a built-in provider"),
        ("simulate --fault x", "should be NAME=SHARE"),
        ("report --embed", "--images and --embed go with --html FILE"),
        ("tables --format parquet", "--format parquet: needs a file"),
        ("cache prune --yes", "name either --older-than DAYS or --run RUN"),
    ],
)
def test_every_kind_is_one_line_and_exit_code_2(tmp_path: Path, command: str, words: str) -> None:
    (tmp_path / "bench.toml").write_text(BENCH)
    done = forked.unisafe(*command.split(), cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("unisafe: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
