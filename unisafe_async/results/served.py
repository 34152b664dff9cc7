"""What a model's figures depend on: who served its answers, when, and by which rules and rubrics they were read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from unisafe_async.results.paper import fold_name
from unisafe_async.results.stored_run import find_run

Side = tuple[str, str]
"""A run and one of its models."""

APART = timedelta(days=1)
"""Answers that are further apart may come from two versions of one model."""

ANSWERS = """
SELECT coalesce(responses.model, ''), count(*), min(responses.created), max(responses.created)
FROM rows JOIN responses ON responses.id = rows.response
WHERE rows.run = $run AND rows.model = $model GROUP BY 1 ORDER BY 2 DESC, 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The answers behind one model's figures in one run.

    Args:
        configured: the model's name at the endpoint, as bench.toml has it.
        names: the names under which it was served, with their numbers of rows; rows whose endpoint gave no name are left out.
        oldest, newest: when its answers were made (UTC); None if it has none.
        older_rules: whether its answers were read before the rules of reading had a number.
        rubrics: the digest of the rubrics that judged its rows; empty if it is not known.
    """

    run: str
    model: str
    configured: str
    names: tuple[tuple[str, int], ...]
    oldest: datetime | None
    newest: datetime | None
    older_rules: bool
    rubrics: str

    @property
    def told(self) -> bool:
        """Whether the served name says more than the configured one, or changed on the way."""
        return len(self.names) > 1 or any(fold_name(name) != fold_name(self.configured) for name, _ in self.names)


def read_served(connection: duckdb.DuckDBPyConnection, sides: Sequence[Side]) -> tuple[Served, ...]:
    """The answers behind each (run, model), in order. A run that does not exist has none."""
    runs = {run: _run(connection, run) for run in dict.fromkeys(run for run, _ in sides)}
    return tuple(_read_served(connection, side, *runs[side[0]]) for side in sides)


def _run(connection: duckdb.DuckDBPyConnection, run: str) -> tuple[dict[str, str], bool, str]:
    """The configured name of each model, whether the run's answers were read by older rules, its rubrics."""
    stored = find_run(connection, run)
    if stored is None:
        return {}, False, ""
    configured = {model.name: model.model for model in stored.config.models}
    return configured, stored.summary.read_by_older_rules, stored.rubrics_digest


def _read_served(
    connection: duckdb.DuckDBPyConnection, side: Side, configured: Mapping[str, str], older_rules: bool, rubrics: str
) -> Served:
    run, model = side
    found = connection.execute(ANSWERS, {"run": run, "model": model}).fetchall()
    names = tuple((str(name), int(rows)) for name, rows, _, _ in found if name)
    oldest = min((row[2] for row in found if row[2] is not None), default=None)
    newest = max((row[3] for row in found if row[3] is not None), default=None)
    return Served(
        run=run,
        model=model,
        configured=configured.get(model, model),
        names=names,
        oldest=oldest,
        newest=newest,
        older_rules=older_rules,
        rubrics=rubrics,
    )


def ages_differ(each: Sequence[Served]) -> bool:
    """Whether the answers of some models are more than a day older or newer than those of others."""
    oldest = [one.oldest for one in each if one.oldest is not None]
    newest = [one.newest for one in each if one.newest is not None]
    return any(max(moments) - min(moments) > APART for moments in (oldest, newest) if moments)


def rubrics_differ(each: Sequence[Served]) -> bool:
    return len({one.rubrics for one in each if one.rubrics}) > 1
