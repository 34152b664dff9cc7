"""Writes files completely or not at all, with one clear error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
from unisafe_cache.archive import copy_parquet
from unisafe_cache.connecting import connect
from unisafe_cache.sql_texts import quote_sql

from unisafe_async.files import write_file
from unisafe_async.results.provenance import Provenance, to_metadata, to_plain

BATCH = 2_048


@contextmanager
def write_csv(path: Path, provenance: Provenance) -> Iterator[Path]:
    """As `write_file`, with the provenance in a file beside it.

    So every line of the CSV is data, and any reader takes it as it is.
    """
    with write_file(path) as draft, write_file(beside(path)) as record:
        record.write_text(json.dumps(to_plain(provenance), ensure_ascii=False, indent=1) + "\n", "utf-8")
        yield draft


def beside(path: Path) -> Path:
    """The file with the provenance of the CSV file `path`: `rows.csv.provenance.json`."""
    return path.with_name(f"{path.name}.provenance.json")


def parquet_options(provenance: Provenance) -> str:
    """Options of a COPY that writes Parquet with its provenance."""
    metadata = ", ".join(f"{key}: {quote_sql(value)}" for key, value in to_metadata(provenance).items())
    return f"COMPRESSION zstd, KV_METADATA {{{metadata}}}"


class Found:
    """A query's result as an Arrow stream that another connection reads: neither connection reaches the other's files."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, query: str) -> None:
        self._relation = connection.sql(query)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._relation.__arrow_c_stream__(requested_schema)


def copy_found(connection: duckdb.DuckDBPyConnection, query: str, path: Path, provenance: Provenance) -> int:
    """Write the result of `query` as Parquet, by a connection that reaches only the new file. Raises CacheError."""
    with write_file(path) as draft, connect(files=[draft], settings={"threads": 1}) as writer:
        writer.register("found", Found(connection, query))
        return copy_parquet(writer, "FROM found", draft, parquet_options(provenance))


def write_parquet(path: Path, columns: Mapping[str, str], records: Iterable[Sequence[object]], provenance: Provenance) -> None:
    """Write `records` under `columns` (name to DuckDB type). Raises CacheError if the file cannot be written."""
    with write_file(path) as draft, connect(files=[draft]) as connection:
        names = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        connection.execute(f"CREATE TABLE records ({names})")
        appender = connection.appender("records")
        appender.append_rows([tuple(record) for record in records])
        appender.flush()
        copy_parquet(connection, "FROM records", draft, parquet_options(provenance))
