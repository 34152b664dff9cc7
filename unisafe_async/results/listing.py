"""What a cache holds: its runs, and its answers by model."""

from __future__ import annotations

from typing import Any

import duckdb

RUNS = """
SELECT runs.run, try_cast(started AS VARCHAR) AS started, status, dataset, config, summary, count(rows.item),
       count(rows.item) FILTER (contextual IS NOT NULL AND intrinsic IS NOT NULL)
FROM runs LEFT JOIN rows USING (run) GROUP BY ALL ORDER BY started DESC, runs.run DESC
"""
STATS = """
SELECT coalesce(split_part(identity, '|', 1), ''), coalesce(split_part(identity, '|', 2), ''),
       coalesce(split_part(identity, '|', 3), ''), count(*),
       coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0), coalesce(sum(images_made), 0), sum(cost)
FROM responses GROUP BY ALL ORDER BY ALL
"""


def read_runs(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute(RUNS).fetchall()


def read_stats(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute(STATS).fetchall()
