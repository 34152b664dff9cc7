"""The heading of a screen: its run and models, and whether they are real."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb
from unisafe_cache import CacheError, check_run
from unisafe_providers.near_names import suggest

from unisafe_async.results.notices import describe_shard
from unisafe_async.results.provenance import read_simulated
from unisafe_async.results.scores import Where
from unisafe_async.results.stored_run import CALLED_NAME, IS_IMPORTED, StoredRun, read_run
from unisafe_async.text import plain

MODELS = "SELECT DISTINCT model FROM rows WHERE run = ?"


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A run's judge and models, in the order of its configuration; which of them are simulated.

    If the run asked a part of its items, `shard` says so in a sentence. `called` is what people call it, with its tags.
    """

    run: str
    judge: str
    models: tuple[str, ...]
    simulated_models: tuple[str, ...]
    simulated_judge: bool
    shard: str = ""
    called: str = ""


def read_heading(connection: duckdb.DuckDBPyConnection, run: str) -> Heading:
    """The heading of a run that exists."""
    return build_heading(connection, read_run(connection, run))


def build_heading(connection: duckdb.DuckDBPyConnection, stored: StoredRun) -> Heading:
    """The heading of a run whose record is read already."""
    models, judge = read_simulated(connection, stored)
    return Heading(
        run=stored.run,
        judge=stored.config.judge.title,
        models=tuple(model.name for model in stored.config.models),
        simulated_models=models,
        simulated_judge=judge,
        shard=describe_shard(stored.shard, stored.summary.selected, stored.run),
        called=stored.called,
    )


def describe_simulated(heading: Heading) -> str:
    """The warning about simulated models and judges; empty if all are real."""
    if not heading.simulated_models and not heading.simulated_judge:
        return ""
    if heading.simulated_judge and len(heading.simulated_models) == len(heading.models):
        return "SIMULATED: models and judge are simulated; these figures say nothing about any real model."
    names = ", ".join(map(plain, heading.simulated_models))
    if not names:
        return "SIMULATED: the judge is simulated; these figures say nothing about the models."
    if heading.simulated_judge:
        return f"SIMULATED: {names} and the judge are simulated; these figures say nothing about any real model."
    if len(heading.simulated_models) == 1:
        return f"SIMULATED: {names} is simulated; its figures say nothing about a real model."
    return f"SIMULATED: {names} are simulated; their figures say nothing about real models."


def find_newest_run(connection: duckdb.DuckDBPyConnection, name: str | None) -> str:
    """The full name of the run that begins with `name`, or of the newest; `check_run` checks it before a report.

    A run of imported verdicts counts as the newest only if there is no other run, because people who name no run mean the last
    run that they made. Raises CacheError if there is none, if there are several, or if the run holds something that no run
    writes.
    """
    if name:
        run = run_named(connection, name)
    else:
        found = connection.execute(f"SELECT run FROM runs ORDER BY {IS_IMPORTED}, started DESC, run DESC LIMIT 1").fetchone()
        if found is None:
            raise CacheError("there is no run yet; start one with `unisafe run`")
        run = str(found[0])
    check_run(connection, run)
    return run


CALLED = f"SELECT run FROM runs WHERE {CALLED_NAME} = ? ORDER BY started DESC, run DESC LIMIT 1"
"""The newest run that people call so."""


def run_named(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """The full name of the run that begins with `name`, or of the newest that people call so, without a check.

    Raises CacheError if there is none, or if several begin with it.
    """
    found = connection.execute("SELECT run FROM runs WHERE starts_with(run, ?) ORDER BY run DESC", [name]).fetchall()
    names = [str(row[0]) for row in found]
    if not names and (called := connection.execute(CALLED, [name]).fetchone()):
        return str(called[0])
    if not names or not name:
        raise CacheError(f"there is no run {name!r}; `unisafe runs` lists them")
    if name not in names and len(names) > 1:
        raise CacheError(f"{name!r} begins the names of {len(names)} runs: {', '.join(names[:5])}")
    return name if name in names else names[0]


def describe_passed_over(connection: duckdb.DuckDBPyConnection) -> str:
    """A note if `find_newest_run` got no name and imported verdicts changed its choice; else empty."""
    found = connection.execute(f"SELECT run, {IS_IMPORTED} FROM runs ORDER BY started DESC, run DESC").fetchall()
    newest = next((str(run) for run, imported in found if imported), "")
    if not newest or not found[0][1]:
        return ""
    if all(imported for _, imported in found):
        return f"run {newest} is of imported verdicts; there is no other run"
    return f"run {newest} is newer, but of imported verdicts: name it to see it"


def find_model(connection: duckdb.DuckDBPyConnection, run: str, name: str) -> str:
    """The model of `run` that `name` means; case does not matter. Raises CacheError if there is none."""
    configured = {model.name for model in read_run(connection, run).config.models}
    names = sorted(configured | {str(row[0]) for row in connection.execute(MODELS, [run]).fetchall()})
    same = [one for one in names if one == name] or [one for one in names if one.lower() == name.lower()]
    if len(same) != 1:
        raise CacheError(f"run {run} has no model {name!r}; its models are {', '.join(names)}{suggest(name, names)}")
    return same[0]


def find_side(connection: duckdb.DuckDBPyConnection, run: str, name: str) -> tuple[str, str]:
    """The run and model that `MODEL` or `RUN:MODEL` means; without a run it means `run`. Raises CacheError."""
    beginning, colon, model = name.partition(":")
    try:
        return run, find_model(connection, run, name)
    except CacheError:
        known = connection.execute("SELECT 1 FROM runs WHERE starts_with(run, ?)", [beginning]).fetchall()
        if not (colon and beginning and known):
            raise
    other = find_newest_run(connection, beginning)
    return other, find_model(connection, other, model)


def resolve_where(connection: duckdb.DuckDBPyConnection, run: str, where: Where) -> Where:
    """`where` with its models as the run calls them. Raises CacheError for a model that the run does not have."""
    return replace(where, models=tuple(dict.fromkeys(find_model(connection, run, model) for model in where.models)))


def describe_where(where: Where) -> str:
    """A note about the rows on the screen, if it does not show all."""
    parts = [
        f"{name} {', '.join(map(plain, values))}"
        for name, values in (("model", where.models), ("task", where.tasks), ("category", where.categories))
        if values
    ]
    return f"Only {'; '.join(parts)}." if parts else ""
