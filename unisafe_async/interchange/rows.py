"""Writes a run's rows, one for each item x model x repeat with response and both verdicts, as a stream of CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TextIO

import duckdb
import orjson
from unisafe_cache.sql_texts import quote_sql

from unisafe_async.config.secret_words import hide_in_text
from unisafe_async.files import write_file
from unisafe_async.interchange.cells import to_csv_cell
from unisafe_async.interchange.files import BATCH, copy_found, write_csv
from unisafe_async.results.provenance import Provenance, read_provenance, to_plain

SHORT = 80
SQL = """
SELECT rows.run, rows.item, rows.task, rows.category, rows.subcategory, rows.model, rows.sample, rows.outcome, rows.error,
       rows.contextual, rows.contextual_status, rows.contextual_reason, rows.intrinsic, rows.intrinsic_status,
       rows.intrinsic_reason, rows.judge, rows.cached, responses.text AS response, responses.images, responses.finish,
       responses.reason AS finish_reason, responses.stage, responses.categories, responses.tokens_in, responses.tokens_out,
       responses.cost, responses.latency, responses.identity, strftime(rows.created, '%Y-%m-%dT%H:%M:%SZ') AS created,
       rows.judged, responses.thoughts AS response_thoughts, rows.thoughts, rows.thoughts_status, rows.thoughts_reason,
       rows.beside_contextual, rows.beside_intrinsic, rows.beside_status, rows.beside_reason, rows.categories AS named_categories,
       responses.missing, responses.model AS served_model, responses.estimated, {simulated} AS simulated
FROM rows LEFT JOIN responses ON responses.id = rows.response
WHERE rows.run = {run} AND {chosen} ORDER BY rows.model, rows.task, rows.item, rows.sample
"""
"""Columns for images hold digests; the bytes are in table `images` and in archives."""


IDENTITY = "responses.identity"
IDENTITIES = "SELECT DISTINCT identity FROM responses WHERE id IN (SELECT response FROM rows WHERE run = ?)"


def build_rows_sql(connection: duckdb.DuckDBPyConnection, provenance: Provenance, chosen: str = "true") -> str:
    """The query for a run's rows, or for those that `chosen`, a condition on rows and responses, lets through.

    Its column `simulated` says whether model or judge were, so a file passed on alone says it.
    """
    names = ", ".join(map(quote_sql, provenance.simulated))
    simulated = "true" if "judge" in provenance.simulated else f"rows.model IN ({names})" if names else "false"
    told = {str(row[0]): hide_in_text(str(row[0])) for row in connection.execute(IDENTITIES, [provenance.run]).fetchall()}
    hidden = [f"WHEN {quote_sql(identity)} THEN {quote_sql(words)}" for identity, words in told.items() if words != identity]
    identity = f"CASE responses.identity {' '.join(hidden)} ELSE responses.identity END AS identity" if hidden else IDENTITY
    return SQL.format(run=quote_sql(provenance.run), simulated=simulated, chosen=chosen).replace(IDENTITY, identity)


def to_csv(connection: duckdb.DuckDBPyConnection, run: str, path: Path) -> int:
    """Write a header, a line a row, and the provenance in a file beside it; returns the number of rows. Raises CacheError."""
    provenance = read_provenance(connection, run)
    with write_csv(path, provenance) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        return write_csv_lines(connection.execute(build_rows_sql(connection, provenance)), file)


def write_csv_lines(cursor: duckdb.DuckDBPyConnection, file: TextIO) -> int:
    """Write a header and a line for each record that was found; returns their number."""
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow([column[0] for column in cursor.description or ()])
    total = 0
    for records in _batches(cursor):
        writer.writerows([_csv_value(value) for value in record] for record in records)
        total += len(records)
    return total


def write_json_lines(cursor: duckdb.DuckDBPyConnection, file: BinaryIO) -> int:
    """Write each record that was found as one line of JSON; returns their number."""
    names = [column[0] for column in cursor.description or ()]
    total = 0
    for records in _batches(cursor):
        file.writelines(orjson.dumps(dict(zip(names, record, strict=True))) + b"\n" for record in records)
        total += len(records)
    return total


def _csv_value(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, bool):
        return int(value)
    return _short_cell(value) if isinstance(value, str) and len(value) <= SHORT else to_csv_cell(value)


_short_cell = lru_cache(8_192)(to_csv_cell)
"""Remembers cells, because names, tasks and categories repeat."""


def to_json(connection: duckdb.DuckDBPyConnection, run: str, path: Path) -> int:
    """Write `{"provenance": {...}, "rows": [{...}, ...]}`, one row a line; returns the number of rows. Raises CacheError."""
    provenance = read_provenance(connection, run)
    with write_file(path) as draft, draft.open("wb") as file:
        file.write(b'{"provenance": ' + json.dumps(to_plain(provenance), ensure_ascii=False).encode() + b', "rows": [')
        cursor = connection.execute(build_rows_sql(connection, provenance))
        names = [column[0] for column in cursor.description or ()]
        total = 0
        for records in _batches(cursor):
            lines = [orjson.dumps(dict(zip(names, record, strict=True))) for record in records]
            file.write((b",\n" if total else b"\n") + b",\n".join(lines))
            total += len(records)
        file.write(b"\n]}\n")
    return total


def to_parquet(connection: duckdb.DuckDBPyConnection, run: str, path: Path) -> int:
    """Write a Parquet file with its provenance in the metadata, under `unisafe`; returns the number of rows. Raises CacheError."""
    provenance = read_provenance(connection, run)
    return copy_found(connection, build_rows_sql(connection, provenance), path, provenance)


def _batches(cursor: duckdb.DuckDBPyConnection) -> Iterator[list[tuple[object, ...]]]:
    while records := cursor.fetchmany(BATCH):
        yield records


WRITERS = {"csv": to_csv, "json": to_json, "parquet": to_parquet}
