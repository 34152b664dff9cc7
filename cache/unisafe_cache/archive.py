"""One run as one file, for another machine: its rows, every answer that it used, their images, and digests of everything.

The file is a zip of Parquet files and images. They are stored uncompressed (Parquet is compressed already), so the unpacked
content is never larger than the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from unisafe_providers.base import digest_of

from unisafe_cache.errors import CacheError, explain_unwritable
from unisafe_cache.file import CacheFile
from unisafe_cache.records import now
from unisafe_cache.schema import ADDED, VERSION
from unisafe_cache.sql_texts import quote_sql

FORMAT = 1
MANIFEST = "manifest.json"
TABLES = ("runs", "rows", "opinions", "responses", "images")
IMAGES = """
SELECT digest, any_value(media_type), any_value(data) FROM images WHERE digest IN (SELECT unnest($1::VARCHAR[])) GROUP BY 1
"""
NOTES = frozenset({"config.json", "provenance.json"})
IMAGES_A_TURN = 16
ANSWERS_A_TURN = 8_192

Connection = duckdb.DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The content of an archive, in numbers."""

    run: str
    rows: int
    answers: int
    images: int
    size: int


def export_run(
    path: Path,
    run: str,
    target: Path,
    choose: Callable[[Connection, str], None],
    notes: Callable[[Connection, str], Mapping[str, str]],
) -> Exported:
    """Write `run` of the cache at `path` to the new file `target`.

    Args:
        choose: fills the temporary table `chosen (id BIGINT)` with the ids of the answers that the run used.
        notes: `config.json` and `provenance.json`, for people.

    It holds the cache while it reads the tables, then in turns for a few images each. Raises CacheError.
    """
    if os.path.exists(target):
        raise CacheError(f"{target} exists already; name a new file")
    draft = target.with_name(f".{target.name}.part")
    try:
        with (
            tempfile.TemporaryDirectory(dir=target.parent, prefix=".unisafe-") as name,
            closing(CacheFile(path, read_only=True, files=[Path(name)])) as file,
        ):
            folder = Path(name)
            counts, digests, texts = file.work(lambda connection: _write_tables(connection, run, folder, choose, notes))
            with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
                known = _add_files(archive, folder, texts)
                for digest, media_type, data in _images(file, digests):
                    archive.writestr(_entry(f"images/{digest}.{_ending(media_type)}"), data)
                archive.writestr(_entry(MANIFEST), json.dumps(_manifest(run, known, counts["images"]), indent=1).encode())
        draft.replace(target)
    except OSError as error:
        raise explain_unwritable(error, target) from None
    finally:
        with suppress(OSError):  # no file can have a name that is too long
            draft.unlink(missing_ok=True)
    return Exported(run=run, rows=counts["rows"], answers=counts["responses"], images=counts["images"], size=target.stat().st_size)


def _add_files(archive: zipfile.ZipFile, folder: Path, texts: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Put the tables of `folder` and the notes into the archive; returns the size and digest of each."""
    known: dict[str, dict[str, Any]] = {}
    for file in (folder / f"{table}.parquet" for table in TABLES):
        known[file.name] = {"bytes": file.stat().st_size, "digest": _digest_file(file)}
        archive.write(file, file.name)
    for name, text in texts.items():
        archive.writestr(_entry(name), text.encode())
        known[name] = {"bytes": len(text.encode()), "digest": digest_of(text.encode())}
    return known


def _manifest(run: str, files: Mapping[str, Any], images: int) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "cache_format": VERSION,
        "run": run,
        "created": f"{now():%Y-%m-%dT%H:%M:%SZ}",
        "files": files,
        "images": images,
    }


def _write_tables(
    connection: Connection,
    run: str,
    folder: Path,
    choose: Callable[[Connection, str], None],
    notes: Callable[[Connection, str], Mapping[str, str]],
) -> tuple[dict[str, int], list[str], Mapping[str, str]]:
    connection.execute("CREATE OR REPLACE TEMP TABLE chosen (id BIGINT)")
    choose(connection, run)
    answers = "SELECT * FROM responses WHERE id IN (SELECT id FROM chosen)"
    digests = f"SELECT DISTINCT unnest(images) FROM ({answers})"
    queries = {
        "runs": f"SELECT * FROM runs WHERE run = {quote_sql(run)}",
        "rows": f"SELECT * FROM rows WHERE run = {quote_sql(run)} ORDER BY model, item, sample",
        "opinions": f"SELECT * FROM opinions WHERE run = {quote_sql(run)} ORDER BY model, item, sample, question, position",
        "responses": f"{answers} ORDER BY id",
        "images": f"SELECT DISTINCT digest, media_type FROM images WHERE digest IN ({digests}) ORDER BY digest",
    }
    counts = {}
    for table, query in queries.items():
        options = f"COMPRESSION zstd, ROW_GROUP_SIZE {ANSWERS_A_TURN}"
        counts[table] = copy_parquet(connection, query, folder / f"{table}.parquet", options)
    named = [str(row[0]) for row in connection.execute(queries["images"]).fetchall()]
    texts = notes(connection, run)
    connection.execute("DROP TABLE chosen")
    return counts, named, texts


def _images(file: CacheFile, digests: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """Digest, media type and bytes of images, a few at a time."""
    for at in range(0, len(digests), IMAGES_A_TURN):
        some = list(digests[at : at + IMAGES_A_TURN])
        found: list[Any] = file.work(lambda connection, some=some: connection.execute(IMAGES, [some]).fetchall())  # type: ignore[misc]
        for digest, media_type, data in sorted(found):
            yield digest, media_type, bytes(data)


def _entry(name: str) -> zipfile.ZipInfo:
    """A member of the zip that has the same bytes whenever it is written."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def _ending(media_type: str) -> str:
    return re.sub(r"[^a-z0-9]", "", media_type.rpartition("/")[2].lower())[:8] or "bin"


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def table_of(folder: Path, table: str, cache_format: int) -> str:
    """SQL for an archive's table with today's columns; columns that its version did not have are empty.

    An archive does not say how its images are mended: the import examines them again.
    """
    missing = [tables.get(table, {}) for newer, tables in ADDED.items() if newer > cache_format or table == "images"]
    new = [column.split() for columns in missing for column in columns]
    empty = "".join(f", NULL::{kind} AS {name}" for name, kind in new)
    return f"(SELECT *{empty} FROM read_parquet({quote_sql(str(folder / f'{table}.parquet'))}))"


def copy_parquet(connection: Connection, query: str, target: Path, options: str) -> int:
    """Write the result of `query` to the file `target`, which the connection may write; returns the number of rows.

    Args:
        options: options of DuckDB's COPY for Parquet, such as `COMPRESSION zstd`.

    Raises CacheError if the file cannot be written.
    """
    sql = f"COPY ({query}) TO {quote_sql(str(target.absolute()))} (FORMAT parquet, USE_TMP_FILE false, {options})"
    try:
        found = connection.execute(sql).fetchone()
    except duckdb.IOException as error:
        raise explain_unwritable(error, target) from None
    return int(found[0]) if found else 0
