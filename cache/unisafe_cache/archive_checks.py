"""Checks an archive: it is hostile input until every name, size, digest, column, key and reference in it was checked."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import duckdb
import orjson
from unisafe_providers.base import digest_of

from unisafe_cache.archive import FORMAT, MANIFEST, NOTES, TABLES, Connection, table_of
from unisafe_cache.connecting import Setting, connect
from unisafe_cache.domains import JSON, RUN_NAME, find_first_wrong
from unisafe_cache.errors import CacheError
from unisafe_cache.run_shapes import find_wrong_json
from unisafe_cache.schema import VERSION, columns_of
from unisafe_cache.sql_texts import quote_sql

OLDEST = 2
"""The oldest cache format of any archive."""
UNPACKED = 200
"""A Parquet file may unpack to this many times its size, beyond a gigabyte."""
BLOCK = 1024 * 1024
MAX_IMAGE = 50 * 1024 * 1024
MAX_MANIFEST = 1024 * 1024
IMAGE_NAME = re.compile(r"images/([0-9a-f]{32})\.[a-z0-9]{1,8}")


@contextmanager
def open_archive(source: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """The archive with its manifest, after the check of names and sizes."""
    try:
        with zipfile.ZipFile(source) as archive:
            _check_members(source, archive.infolist())
            try:
                manifest = json.loads(archive.read(MANIFEST))
            except (ValueError, RecursionError):
                raise _broken(source, f"{MANIFEST} is not JSON") from None
            _check_manifest(source, manifest)
            yield archive, manifest
    except FileNotFoundError:
        raise CacheError(f"there is no file {source}") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, UnicodeDecodeError) as error:
        raise _broken(source, str(error) or "it is no zip file") from None
    except OSError as error:
        raise CacheError(f"{source} cannot be read: {error.strerror or error}") from None
    except duckdb.Error as error:
        raise _broken(source, str(error).splitlines()[0]) from None


def _broken(source: Path, why: str) -> CacheError:
    return CacheError(f"{source} is no archive that can be imported: {why}; nothing was imported")


def _check_members(source: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Check that the archive holds only names that an export writes, each once, uncompressed, together no larger than the file."""
    tables = {f"{table}.parquet" for table in TABLES}
    names = [member.filename for member in members]
    for member in members:
        name = member.filename
        if name not in tables | NOTES | {MANIFEST} and not IMAGE_NAME.fullmatch(name):
            raise _broken(source, f"it holds {name[:80]!r}, which no export writes")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise _broken(source, f"{name} is compressed; an export stores its files as they are")
        most = MAX_IMAGE if name.startswith("images/") else MAX_MANIFEST if name == MANIFEST else member.file_size
        if member.file_size > most:
            raise _broken(source, f"{name} is larger than such a file can be")
    if len(set(names)) < len(names):
        raise _broken(source, "it holds a name twice")
    if missing := (tables | {MANIFEST}) - set(names):
        raise _broken(source, f"it lacks {', '.join(sorted(missing))}")
    if sum(member.file_size for member in members) > source.stat().st_size:
        raise _broken(source, "its files overlap")


def _check_manifest(source: Path, manifest: object) -> None:
    if not isinstance(manifest, dict):
        raise _broken(source, f"{MANIFEST} should be an object")
    for key, ours in (("format", FORMAT), ("cache_format", VERSION)):
        found = manifest.get(key)
        if isinstance(found, bool) or not isinstance(found, int) or found < 1:
            raise _broken(source, f"{MANIFEST}: {key} should be a number")
        if found > ours:
            raise CacheError(
                f"{source} was made by a newer version of unisafe-async ({key} {found}, this one reads {ours}); "
                "upgrade unisafe-async; nothing was imported"
            )
    if manifest["cache_format"] < OLDEST:
        raise CacheError(
            f"{source} was made by an older version of unisafe-async (cache_format {manifest['cache_format']}, this one reads "
            f"{OLDEST} to {VERSION}); export it again with this version; nothing was imported"
        )
    run = manifest.get("run")
    if not isinstance(run, str) or not re.fullmatch(RUN_NAME, run):
        raise _broken(source, f"{MANIFEST}: run should be a run's name")
    if not isinstance(manifest.get("files"), dict):
        raise _broken(source, f"{MANIFEST}: files should be an object")


def unpack(source: Path, archive: zipfile.ZipFile, manifest: dict[str, Any], folder: Path) -> None:
    """The Parquet files, under names of ours, after the check of their digests."""
    for table in TABLES:
        name = f"{table}.parquet"
        with archive.open(name) as member, (folder / name).open("wb") as out:
            digest = _copy_member(member, out)
        known = manifest["files"].get(name)
        if not isinstance(known, dict) or known.get("digest") != digest:
            raise _broken(source, f"{name} is not what {MANIFEST} says (its digest is {digest})")


def _copy_member(member: IO[bytes], out: IO[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    while block := member.read(BLOCK):
        digest.update(block)
        out.write(block)
    return digest.hexdigest()


def check(source: Path, manifest: dict[str, Any], folder: Path) -> str:
    """Check columns, sizes, keys, references and values of the tables; returns the run's name."""
    run = str(manifest["run"])
    settings: dict[str, Setting] = {"memory_limit": "512MB", "threads": 1, "temp_directory": str(folder)}
    with connect(files=[folder], settings=settings) as staging:
        for table in TABLES:
            _check_table(source, staging, table, folder, manifest["cache_format"])
        for table in ("runs", "rows", "opinions"):
            other = staging.execute(f"SELECT count(*) FROM {table}_in WHERE run IS DISTINCT FROM ?", [run]).fetchone()
            if other is None or other[0]:
                raise _broken(source, f"{table}.parquet holds rows of another run than {run}")
        records = staging.execute("SELECT config, versions, summary FROM runs_in").fetchall()
        if len(records) != 1:
            raise _broken(source, f"runs.parquet should hold one run, and holds {len(records)}")
        if why := find_wrong_json(*records[0]):
            raise _broken(source, f"runs.parquet: {why}")
        for table in TABLES:
            if wrong := find_first_wrong(staging, table, f"{table}_in", loose=JSON):
                raise _broken(source, str(wrong))
        for why, sql in WRONG.items():
            found = staging.execute(sql).fetchone()
            if found is not None:
                raise _broken(source, f"{why}: {str(found[0])[:80]!r}")
        _check_texts(source, staging)
    return run


def _check_texts(source: Path, staging: Connection) -> None:
    """Check keys, and the columns that hold JSON."""
    cursor = staging.execute("SELECT id, key, identity, request, categories FROM responses_in")
    while some := cursor.fetchmany(2_048):
        for id_, key, identity, request, categories in some:
            if key and digest_of(identity.encode() + b"\0" + request.encode()) != key:
                raise _broken(source, f"responses.parquet: the key of answer {id_} is not that of its request")
            if not _is_request(request):
                raise _broken(source, f"responses.parquet: the request of answer {id_} is none that is ever sent")
            if categories is not None and not _holds_texts(categories, dict):
                raise _broken(source, f"responses.parquet: categories of answer {id_} should be an object of texts")
    cursor = staging.execute("SELECT item, categories FROM rows_in WHERE categories <> ''")
    while some := cursor.fetchmany(2_048):
        for item, categories in some:
            if not _holds_texts(categories, list):
                raise _broken(source, f"rows.parquet: categories of {item[:80]!r} should be a list of texts")


def _is_request(request: str) -> bool:
    """Whether it is a request as a cache stores it: an object with its kind and a list of texts and images."""
    try:
        asked = orjson.loads(request)
    except ValueError:
        return False
    parts = asked.get("parts") if isinstance(asked, dict) else None
    if not isinstance(parts, list) or not isinstance(asked.get("kind"), str):
        return False
    return all(isinstance(part, dict) and all(isinstance(value, str) for value in part.values()) for part in parts)


def _holds_texts(written: str, kind: type[dict[str, object]] | type[list[object]]) -> bool:
    """Whether it is JSON of `kind` that holds only texts."""
    try:
        found = orjson.loads(written)
    except ValueError:
        return False
    values = found.values() if isinstance(found, dict) else found
    return isinstance(found, kind) and all(isinstance(value, str) for value in values)


WRONG = {
    "responses.parquet: an answer stands twice": "SELECT id FROM responses_in GROUP BY id HAVING count(*) > 1",
    "responses.parquet: an image is not in the archive": """
        SELECT digest FROM (SELECT unnest(images) AS digest FROM responses_in) WHERE digest IS NULL
        OR digest NOT IN (SELECT digest FROM images_in)""",
    "images.parquet: an image stands twice": "SELECT digest FROM images_in GROUP BY digest HAVING count(*) > 1",
    "rows.parquet: an answer is not in the archive": """
        SELECT response FROM rows_in WHERE response IS NOT NULL AND response NOT IN (SELECT id FROM responses_in)""",
    "rows.parquet: stands twice": "SELECT item FROM rows_in GROUP BY item, model, sample HAVING count(*) > 1",
    "opinions.parquet: is of no row": """
        SELECT item FROM opinions_in ANTI JOIN rows_in USING (item, model, sample)""",
}
"""Mistakes between rows and tables, each with the query that finds its first case."""


def _check_table(source: Path, staging: Connection, table: str, folder: Path, cache_format: int) -> None:
    """Check that its columns are those of its format, and that it does not unpack to much more than its size."""
    file = folder / f"{table}.parquet"
    staging.execute(f"CREATE VIEW {table}_in AS SELECT * FROM {table_of(folder, table, cache_format)}")
    expected = [column for column in columns_of(VERSION)[table] if column[0] != "data"]
    found = staging.execute(f"DESCRIBE {table}_in").fetchall()
    if [row[:2] for row in found] != expected:
        raise _broken(source, f"{table}.parquet has other columns than this version writes")
    size = staging.execute(f"SELECT sum(total_uncompressed_size) FROM parquet_metadata({quote_sql(str(file))})").fetchone()
    if size is not None and (size[0] or 0) > 2**30 + UNPACKED * file.stat().st_size:
        raise _broken(source, f"{table}.parquet would unpack to {size[0]:,} bytes")


def check_images(source: Path, archive: zipfile.ZipFile, folder: Path) -> dict[str, tuple[str, str]]:
    """Member and media type by digest, after the check of each member's bytes against the digest."""
    with connect(files=[folder]) as staging:
        types = dict(
            staging.execute(f"SELECT digest, media_type FROM read_parquet({quote_sql(str(folder / 'images.parquet'))})").fetchall()
        )
    found = {}
    for member in archive.infolist():
        named = IMAGE_NAME.fullmatch(member.filename)
        if named is None:
            continue
        digest = named.group(1)
        if digest not in types or digest in found:
            raise _broken(source, f"{member.filename} is not listed, or twice")
        if digest_of(archive.read(member)) != digest:
            raise _broken(source, f"{member.filename} is not the image that its name says")
        found[digest] = (member.filename, types[digest])
    if missing := types.keys() - found.keys():
        raise _broken(source, f"it lacks image {min(missing)}")
    return found
