"""The list of runs, and one run's progress, as the page shows them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import duckdb
from unisafe_cache.records import now

from unisafe_async.results.listing import ListedRun, read_runs
from unisafe_async.results.stored_run import find_run
from unisafe_async.text import count, format_dollars, format_duration, plain

UNDER_WAY = """
SELECT started, (SELECT coalesce(sum(cost), 0) FROM responses WHERE responses.run = $run), 
       (SELECT max(created) FROM rows WHERE rows.run = $run)
FROM runs WHERE run = $run
"""
COUNTS = """
SELECT count(*), count(*) FILTER (contextual IS NOT NULL AND intrinsic IS NOT NULL) FROM rows WHERE run = $run
"""
QUIET = 120.0
"""Seconds without a new row after which the list says so: the run may have been killed."""


def list_runs(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Every run, the newest first, in texts that are harmless to show."""
    return [_show(connection, one) for one in read_runs(connection)]


def read_progress(connection: duckdb.DuckDBPyConnection, run: str) -> dict[str, Any]:
    """One run's line of the list, for its own page. Raises CacheError if it cannot be read."""
    stored = find_run(connection, run)
    if stored is None:
        return {}
    counts = connection.execute(COUNTS, {"run": run}).fetchone()
    assert counts is not None
    rows, judged = counts
    called = stored.config.run
    return _show(
        connection,
        ListedRun(
            run=run,
            status=stored.status or "",
            dataset=stored.items,
            judged=judged,
            total=stored.summary.total or rows,
            models=len(stored.config.models),
            cost=stored.summary.cost,
            seconds=stored.summary.seconds,
            name=called.name,
            tags=tuple(called.tags),
            note=called.note,
        ),
    ) | {"rows": rows}


def _show(connection: duckdb.DuckDBPyConnection, one: ListedRun) -> dict[str, Any]:
    cost, seconds, quiet = one.cost, one.seconds, 0.0
    if one.status == "running":
        started, cost, last = _read_under_way(connection, one.run)
        seconds = (now() - started).total_seconds() if started else 0.0
        quiet = (now() - max(last, started)).total_seconds() if last and started else 0.0
    shown = {name: plain(value) if isinstance(value, str) else value for name, value in asdict(one).items()}
    return shown | {
        "tags": list(map(plain, one.tags)),
        "status": plain(one.status) if one.readable else "unreadable",
        "silent": f"no new row for {format_duration(quiet)}" if quiet > QUIET else "",
        "models": count(one.models, "model") if one.readable else "",
        "cost": format_dollars(cost) if one.readable else "",
        "seconds": format_duration(max(0.0, seconds)) if one.readable else "",
    }


def _read_under_way(connection: duckdb.DuckDBPyConnection, run: str) -> tuple[Any, float, Any]:
    """When a run started, what its answers cost so far, and when its last row came."""
    found = connection.execute(UNDER_WAY, {"run": run}).fetchone()
    return (found[0], float(found[1]), found[2]) if found else (None, 0.0, None)
