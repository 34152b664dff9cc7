"""Rows a second out of a cache and into another one, beside the plain way: one row at a time in Python.

uv run --all-extras python -m benchmarks.interchange [--items 20000] [--models 5]
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
from unisafe_cache import read_file
from unisafe_cache.archive import export_run
from unisafe_cache.archive_import import import_archive
from unisafe_cache.schema import CREATE
from unisafe_providers.base import digest_of

from benchmarks.rows import filled
from unisafe_async.interchange.answers import choose, notes
from unisafe_async.interchange.rows import SQL, WRITERS

BASELINE_ROWS = 2_000
"""The part of the rows for the plain import, which is too slow for all of them."""


def with_keys(path: Path) -> None:
    """Give the generated answers the keys that a run would give them, because an import checks each key."""
    with duckdb.connect(str(path)) as connection:
        found = connection.execute("SELECT id, identity, request FROM responses").fetchall()
        connection.execute("CREATE TEMP TABLE keys (id BIGINT, key VARCHAR)")
        appender = connection.appender("keys")
        appender.append_rows([(id_, digest_of(f"{identity}\0{request}".encode())) for id_, identity, request in found])
        appender.flush()
        connection.execute("UPDATE responses SET key = keys.key FROM keys WHERE keys.id = responses.id")


def csv_row_by_row(path: Path, run: str, target: Path) -> None:
    """The export as a short script does it: a query, a loop, one line at a time."""
    with duckdb.connect(str(path), read_only=True) as connection, target.open("w", newline="") as file:
        cursor = connection.execute(SQL.format(run=repr(run), simulated="false"))
        names = [column[0] for column in cursor.description]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        while (row := cursor.fetchone()) is not None:
            writer.writerow(dict(zip(names, row, strict=True)))


def import_row_by_row(path: Path, target: Path, rows: int) -> None:
    """The import as a short script does it: for each answer and row a lookup, an INSERT and a commit."""
    with duckdb.connect(str(path), read_only=True) as old, duckdb.connect(str(target)) as new:
        new.execute(CREATE)
        for table, known in (("responses", "id = ?"), ("rows", "item = ? AND model = ?")):
            cursor = old.execute(f"SELECT * FROM {table} LIMIT {rows}")
            names = [column[0] for column in cursor.description]
            while (row := cursor.fetchone()) is not None:
                values = dict(zip(names, row, strict=True))
                key = [values["id"]] if table == "responses" else [values["item"], values["model"]]
                if new.execute(f"SELECT 1 FROM {table} WHERE {known}", key).fetchone() is None:
                    new.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", list(row))


def timed(label: str, rows: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{label:<34} {rows:>8,} rows {seconds:>7.2f} s {rows / seconds:>10,.0f} rows/s   peak {peak:,.0f} MiB", flush=True)
    return rows / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--models", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = folder / "one.duckdb"
        run = filled(cache, arguments.items, arguments.models)
        with_keys(cache)
        total = arguments.items * arguments.models
        base_out = timed("CSV, a row at a time", total, lambda: csv_row_by_row(cache, run, folder / "b.csv"))
        for ending, write in WRITERS.items():
            target = folder / f"rows.{ending}"
            timed(
                f"unisafe rows -o rows.{ending}",
                total,
                lambda write=write, target=target: read_file(cache, lambda connection: write(connection, run, target)),
            )
        out = timed("unisafe export", total, lambda: export_run(cache, run, folder / "run.zip", choose, notes))
        base_in = timed(
            "import, a row at a time", BASELINE_ROWS, lambda: import_row_by_row(cache, folder / "b.duckdb", BASELINE_ROWS)
        )
        into = timed("unisafe import", total, lambda: import_archive(folder / "two.duckdb", folder / "run.zip"))
        again = timed("unisafe import, again", total, lambda: import_archive(folder / "two.duckdb", folder / "run.zip"))
        print(f"export {out / base_out:.1f}, import {into / base_in:.1f}, import again {again / base_in:.1f} times the plain way")


if __name__ == "__main__":
    main()
