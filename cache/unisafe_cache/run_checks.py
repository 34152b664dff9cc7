"""Checks a run in a file before it is reported on: the file may come from a stranger."""

from __future__ import annotations

import duckdb

from unisafe_cache.domains import BENCHMARK, COLUMNS, find_first_wrong
from unisafe_cache.errors import CacheError

USED = "SELECT * FROM responses WHERE run = $run OR id IN (SELECT response FROM rows WHERE run = $run)"
LOOSE = BENCHMARK | {(table, "run") for table in COLUMNS} | {("responses", "key"), ("responses", "request")}
SOURCES = {
    "runs": "(SELECT * FROM runs WHERE run = $run)",
    "rows": "(SELECT * FROM rows WHERE run = $run)",
    "opinions": "(SELECT * FROM opinions WHERE run = $run)",
    "responses": f"({USED})",
    "images": f"(SELECT * FROM images WHERE digest IN (SELECT unnest(images) FROM ({USED})))",
}


def check_run(connection: duckdb.DuckDBPyConnection, run: str) -> None:
    """Raise CacheError if `run` holds something that no run writes and no report can show; takes a microsecond for each row.

    Names of runs, tasks and categories, and texts of requests, may be anything: their readers can show unknown ones.
    """
    from unisafe_cache.run_shapes import find_wrong_json  # it loads pydantic, which most of this package does without

    records = connection.execute("SELECT config, versions, summary FROM runs WHERE run = ?", [run]).fetchall()
    if len(records) != 1:
        raise _unreadable(run, f"it stands {len(records)} times in table runs")
    if why := find_wrong_json(*records[0]):
        raise _unreadable(run, why)
    for table, source in SOURCES.items():
        if wrong := find_first_wrong(connection, table, source, {"run": run}, loose=LOOSE):
            raise _unreadable(run, str(wrong))


def _unreadable(run: str, why: str) -> CacheError:
    return CacheError(f"run {run[:80]!r} cannot be read: {why}; another program wrote or changed it")
