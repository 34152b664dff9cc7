"""Imports an archive's run into a cache on this machine. It never overwrites what the cache holds; it lists what differs."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unisafe_cache.archive import ANSWERS_A_TURN, IMAGES_A_TURN, TABLES, Connection, table_of
from unisafe_cache.archive_checks import check, check_images, open_archive, unpack
from unisafe_cache.claims import Claims
from unisafe_cache.file import CacheFile
from unisafe_cache.sql_texts import quote_sql

LISTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import added; `conflicts` lists entries that the cache holds with other content, one line each."""

    run: str
    rows: int
    answers: int
    images: int
    conflicts: tuple[str, ...]


def import_archive(path: Path, source: Path, *, timeout: float = 30.0) -> Imported:
    """Add the content of `source` to the cache at `path`, which is created if it does not exist.

    A second import adds nothing. If the cache has another answer under an id, or other rows under the run's name, the archive's
    answer or run stays out and is listed. A run stays out too if an answer of its rows does. Raises CacheError, before anything
    is written, if the archive is broken, too large, of a newer version or not what it claims to be.
    """
    with open_archive(source) as (archive, manifest), tempfile.TemporaryDirectory(prefix="unisafe-") as name:
        folder = Path(name)
        unpack(source, archive, manifest, folder)
        run = check(source, manifest, folder)
        images = check_images(source, archive, folder)
        with closing(CacheFile(path, timeout=timeout, files=[folder])) as file:
            added = _add_images(file, source, archive, images)
            _announce(file, path)
            tables = {table: table_of(folder, table, manifest["cache_format"]) for table in TABLES}
            answers, conflicts = _add_answers(file, tables["responses"])
            rows, clash = file.work(lambda connection: _add_run(connection, run, tables, blocked=bool(conflicts)))
    return Imported(run=run, rows=rows, answers=answers, images=added, conflicts=(*conflicts, *clash))


def _announce(file: CacheFile, path: Path) -> None:
    """Make runs that are under way on the cache look up again before they pay."""
    claims = Claims.of(path)
    try:
        file.work(lambda _: claims.add(commits=1))
    finally:
        claims.let_go()


def _add_images(file: CacheFile, source: Path, archive: zipfile.ZipFile, images: Mapping[str, tuple[str, str]]) -> int:
    """Add the images that the cache lacks, a few in each turn."""
    known = "SELECT digest FROM images WHERE digest IN (SELECT unnest($1::VARCHAR[]))"
    added = 0
    for some in _split(sorted(images), IMAGES_A_TURN):
        new = [(digest, images[digest][1], archive.read(images[digest][0]), None) for digest in some]

        def add(connection: Connection, new: list[tuple[str, str, bytes, None]] = new) -> int:
            there = {row[0] for row in connection.execute(known, [[one[0] for one in new]]).fetchall()}
            missing = [one for one in new if one[0] not in there]
            if missing:
                appender = connection.appender("images")
                appender.append_rows(missing)
                appender.flush()
            return len(missing)

        added += file.work(add)
    return added


SAME_READING = "theirs.reading IS NOT DISTINCT FROM ours.reading AND theirs IS DISTINCT FROM ours"
READ_OTHERWISE = " OR ".join(
    f"theirs.{name} IS DISTINCT FROM ours.{name}"
    for name in (
        "key",
        "identity",
        "finish",
        "reason",
        "tokens_in",
        "tokens_out",
        "images_made",
        "cost",
        "latency",
        "run",
        "created",
    )
)
"""Columns that stay the same when newer rules read an answer; two readings of one answer may differ in the others."""


def _add_answers(file: CacheFile, source: str) -> tuple[int, list[str]]:
    """Add the answers whose id is free, some in each turn; returns the others, if the cache has something else under their id."""
    ids: list[int] = file.work(
        lambda connection: [row[0] for row in connection.execute(f"SELECT id FROM {source} ORDER BY id").fetchall()]
    )
    added, differing = 0, 0
    first: list[str] = []
    for some in _split(ids, ANSWERS_A_TURN):

        def add(connection: Connection, low: int = some[0], high: int = some[-1]) -> tuple[int, list[int]]:
            within = f"BETWEEN {low} AND {high}"
            clash = connection.execute(
                f"SELECT theirs.id FROM (SELECT * FROM {source} WHERE id {within}) AS theirs "
                f"JOIN (SELECT * FROM responses WHERE id {within}) AS ours ON theirs.id = ours.id "
                f"WHERE {SAME_READING} OR {READ_OTHERWISE} ORDER BY ALL"
            ).fetchall()
            found = connection.execute(
                f"INSERT INTO responses SELECT * FROM {source} WHERE id {within} "
                f"AND id NOT IN (SELECT id FROM responses WHERE id {within})"
            ).fetchone()
            return int(found[0]) if found else 0, [int(row[0]) for row in clash]

        new, clash = file.work(add)
        added += new
        differing += len(clash)
        first += [f"answer {id_}: the cache holds another answer under this id" for id_ in clash[: LISTED - len(first)]]
    return added, [*first, *([f"and {differing - LISTED} more answers"] if differing > LISTED else [])]


def _add_run(connection: Connection, run: str, tables: Mapping[str, str], *, blocked: bool) -> tuple[int, list[str]]:
    """Add the run's record, rows and votes in one transaction; returns why not, if it cannot."""
    sources = {table: tables[table] for table in ("runs", "rows", "opinions")}
    there = [
        connection.execute(f"SELECT count(*) FROM {table} WHERE run = ?", [run]).fetchone() or (0,) for table in ("runs", "rows")
    ]
    if any(row[0] for row in there):
        differing = [table for table, source in sources.items() if _differs(connection, table, source, run)]
        if not differing:
            return 0, []
        return 0, [f"run {run}: the cache holds a run of this name with other {' and '.join(differing)}; its rows stay as they are"]
    if blocked:
        return 0, [f"run {run}: its rows were left out, since the cache holds other answers under their ids"]
    connection.begin()
    for table, source in sources.items():
        connection.execute(f"INSERT INTO {table} SELECT * FROM {source}")
    connection.commit()
    found = connection.execute("SELECT count(*) FROM rows WHERE run = ?", [run]).fetchone()
    return int(found[0]) if found else 0, []


def _differs(connection: Connection, table: str, source: str, run: str) -> bool:
    ours = f"SELECT * FROM {table} WHERE run = {quote_sql(run)}"
    theirs = f"SELECT * FROM {source}"
    sql = f"SELECT 1 FROM (({ours} EXCEPT ALL {theirs}) UNION ALL ({theirs} EXCEPT ALL {ours})) LIMIT 1"
    return connection.execute(sql).fetchone() is not None


def _split(values: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (values[at : at + size] for at in range(0, len(values), size))
