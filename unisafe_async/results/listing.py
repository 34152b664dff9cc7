"""What a cache holds: its runs, and its answers by model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from unisafe_cache.run_shapes import WrongShape, read_shapes

from unisafe_async.results.stored_run import name_items

RUNS = """
SELECT runs.run, status, dataset, config, summary, count(rows.item),
       count(rows.item) FILTER (contextual IS NOT NULL AND intrinsic IS NOT NULL)
FROM runs LEFT JOIN rows USING (run) GROUP BY runs.run, started, status, dataset, config, summary
ORDER BY started DESC, runs.run DESC
"""
STATS = """
SELECT coalesce(split_part(identity, '|', 1), ''), coalesce(split_part(identity, '|', 2), ''),
       coalesce(split_part(identity, '|', 3), ''), count(*),
       coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0), coalesce(sum(images_made), 0), sum(cost)
FROM responses GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """A run in a list: `judged` of the `total` rows that are due of its `models`; a run that cannot be read has a name alone.

    Attributes:
        cost, seconds: US dollars and time that the run took.
        name, tags, note: what people call it and say of it.
    """

    run: str
    status: str
    dataset: str
    judged: int
    total: int
    readable: bool = True
    models: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""


def read_runs(connection: duckdb.DuckDBPyConnection, tags: Sequence[str] = ()) -> list[ListedRun]:
    """The runs of a cache that have all of `tags`, the newest first."""
    found = [_listed(*record) for record in connection.execute(RUNS).fetchall()]
    return [one for one in found if set(tags) <= set(one.tags)]


def _listed(run: str, status: str, dataset: str, config: str, summary: str, rows: int, judged: int) -> ListedRun:
    try:
        shapes = read_shapes(config, "{}", summary)
    except WrongShape:
        return ListedRun(run=str(run), status="", dataset=str(dataset), judged=judged, total=rows, readable=False)
    figures = shapes.summary
    return ListedRun(
        run=run,
        status=status or "",
        dataset=name_items(str(dataset), shapes.config),
        judged=judged,
        total=figures.total if "total" in figures.model_fields_set else rows,
        models=len(shapes.config.models),
        cost=figures.cost,
        seconds=figures.seconds,
        name=shapes.config.run.name,
        tags=tuple(shapes.config.run.tags),
        note=shapes.config.run.note,
    )


def read_stats(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute(STATS).fetchall()
