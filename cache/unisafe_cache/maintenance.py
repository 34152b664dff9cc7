"""Export and prune: the owner of the file tidies up."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from unisafe_cache.archive import TABLES, copy_parquet
from unisafe_cache.errors import CacheError, explain_unwritable
from unisafe_cache.file import CacheFile


@dataclass(frozen=True, slots=True)
class Prune:
    """What to delete: everything older than a number of days, or one run's rows."""

    older_than: int | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much is deleted, and the dollars that those answers cost."""

    runs: int
    rows: int
    responses: int
    cost: float


def export(path: Path, folder: Path) -> list[Path]:
    """Write one Parquet file a table, but none for jobs at vendors, into a new `folder`. Raises CacheError if the folder exists."""
    if os.path.exists(folder):
        raise CacheError(f"{folder} exists already; name a new folder")
    try:
        with closing(CacheFile(path, read_only=True)) as file:
            file.work(lambda _: None)
        folder.mkdir(parents=True)
    except OSError as error:
        raise explain_unwritable(error, folder) from None
    with closing(CacheFile(path, read_only=True, files=[folder])) as file:
        return file.work(lambda connection: [_write(connection, table, folder) for table in TABLES])


def _write(connection: duckdb.DuckDBPyConnection, table: str, folder: Path) -> Path:
    target = folder / f"{table}.parquet"
    copy_parquet(connection, f"FROM {table}", target, "COMPRESSION snappy")
    return target


def prune(path: Path, what: Prune, *, dry: bool = False) -> Pruned:
    """Delete `what`, or with `dry` only count it. Images that no answer names any more are deleted too.

    Jobs at vendors stay, whatever their age: without them a run would pay for their answers again.
    """
    file = CacheFile(path, read_only=dry)

    def work(connection: duckdb.DuckDBPyConnection) -> Pruned:
        if what.run is not None:
            runs, responses, value = "run = $1", "false AND run = $1", what.run
        else:
            runs = "run IN (SELECT run FROM runs WHERE started < now()::TIMESTAMP - to_days($1::INTEGER))"
            responses, value = "created < now()::TIMESTAMP - to_days($1::INTEGER)", str(what.older_than)

        def number(sql: str) -> float:
            found = connection.execute(sql, [value]).fetchone()
            return float(found[0]) if found else 0.0

        counted = Pruned(
            int(number(f"SELECT count(*) FROM runs WHERE {runs}")),
            int(number(f"SELECT count(*) FROM rows WHERE {runs}")),
            int(number(f"SELECT count(*) FROM responses WHERE {responses}")),
            number(f"SELECT coalesce(sum(cost), 0) FROM responses WHERE {responses}"),
        )
        if dry:
            return counted
        if what.run is not None and not counted.runs:
            raise CacheError(f"{path} has no run {what.run!r}; `unisafe runs` lists them")
        connection.begin()
        connection.execute(f"DELETE FROM rows WHERE {runs}", [value])
        connection.execute(f"DELETE FROM opinions WHERE {runs}", [value])
        connection.execute(f"DELETE FROM responses WHERE {responses}", [value])
        connection.execute(f"DELETE FROM runs WHERE {runs}", [value])
        connection.execute("DELETE FROM images WHERE digest NOT IN (SELECT unnest(images) FROM responses)")
        connection.commit()
        connection.execute("CHECKPOINT")
        return counted

    try:
        return file.work(work)
    finally:
        file.close()
