"""The selected answers as a file: the columns of `unisafe rows`, as CSV or as one JSON object a line."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from unisafe_async.interchange.rows import build_rows_sql, write_csv_lines, write_json_lines
from unisafe_async.results.provenance import read_provenance
from unisafe_async.view.selection import Choice

MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


def write_selection(connection: duckdb.DuckDBPyConnection, run: str, choice: Choice, kind: str, path: Path) -> int:
    """Write the answers that match `choice` to `path`; returns their number.

    Args:
        kind: one of MEDIA_TYPES.
    """
    sql = build_rows_sql(connection, read_provenance(connection, run), f"$run = rows.run AND {choice.condition}")
    cursor = connection.execute(sql, {"run": run, **choice.parameters})
    if kind == "csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            return write_csv_lines(cursor, file)
    with path.open("wb") as lines:
        return write_json_lines(cursor, lines)


def name_file(run: str, kind: str) -> str:
    """A harmless name for the file, from the run's."""
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', run)[:80].strip('-') or 'run'}-selection.{kind}"
