"""Export and prune: the file's owner tidies up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from cache.errors import CacheError
from cache.file import CacheFile

TABLES = ("runs", "rows", "opinions", "responses", "images")


@dataclass(frozen=True, slots=True)
class Prune:
    """What to delete: all that is older than so many days, or one run's rows."""

    older_than: int | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much that is, and the dollars that were paid for those answers."""

    runs: int
    rows: int
    responses: int
    cost: float


def export(path: Path, folder: Path) -> list[Path]:
    """Write one Parquet file a table into a new `folder`. Raises CacheError when it exists."""
    if folder.exists():
        raise CacheError(f"{folder} exists already; name a new folder")
    file = CacheFile(path, read_only=True)

    def write(connection: duckdb.DuckDBPyConnection) -> list[Path]:
        written = []
        for table in TABLES:
            target = folder / f"{table}.parquet"
            connection.execute(f"COPY {table} TO '{str(target).replace(chr(39), chr(39) * 2)}' (FORMAT parquet)")
            written.append(target)
        return written

    try:
        file.work(lambda _: None)
        folder.mkdir(parents=True)
        return file.work(write)
    except OSError as error:
        raise CacheError(f"{folder} cannot be written: {error.strerror}") from None
    finally:
        file.close()


def prune(path: Path, what: Prune, *, dry: bool = False) -> Pruned:
    """Delete `what`, or with `dry` only count it. Images that no answer names any more go too."""
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
