"""A run's scores as a table in CSV, JSON, Markdown, LaTeX or Parquet, each with its provenance."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

from unisafe_async.interchange.cells import to_csv_cell
from unisafe_async.interchange.files import write_csv, write_parquet
from unisafe_async.interchange.table_grids import Look
from unisafe_async.interchange.table_latex import format_latex as format_latex
from unisafe_async.interchange.table_markdown import format_markdown as format_markdown
from unisafe_async.interchange.table_scores import BY as BY
from unisafe_async.interchange.table_scores import Table as Table
from unisafe_async.interchange.table_scores import read_table as read_table
from unisafe_async.results.provenance import to_plain


def format_csv(table: Table) -> str:
    """A header and one line for each score, no other line; `simulated` is 0 or 1."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(table.columns)
    for record in table.records():
        cells = (int(value) if isinstance(value, bool) else value for value in record)
        writer.writerow(["" if value is None else to_csv_cell(value) for value in cells])
    return out.getvalue()


def to_csv(table: Table, path: Path) -> None:
    """Write `format_csv` to a file, with the provenance in a file beside it. Raises CacheError if it cannot be written."""
    with write_csv(path, table.provenance) as draft:
        draft.write_text(format_csv(table), "utf-8")


def format_json(table: Table) -> str:
    """`{"provenance": {...}, "scores": [{...}, ...]}`."""
    found = [dict(zip(table.columns, record, strict=True)) for record in table.records()]
    return json.dumps({"provenance": to_plain(table.provenance), "scores": found}, ensure_ascii=False, indent=1) + "\n"


def to_parquet(table: Table, path: Path) -> None:
    """Write one row for each score, with the provenance in the file's metadata. Raises CacheError if it cannot be written."""
    types = [*("VARCHAR" for _ in table.by), "BIGINT", "BIGINT"]
    types += ["BIGINT" if column.endswith("_of") else "DOUBLE" for column in table.columns[len(types) : -2]]
    types += ["VARCHAR", "BOOLEAN"]
    write_parquet(path, dict(zip(table.columns, types, strict=True)), table.records(), table.provenance)


TEXTS: dict[str, Callable[[Table], str]] = {
    "csv": format_csv,
    "json": format_json,
    "markdown": format_markdown,
    "latex": format_latex,
}
"""The formats that are text."""


def format_text(table: Table, form: str, look: Look) -> str:
    """The table in a format of TEXTS; in one for documents it looks as `look` says."""
    documents: dict[str, Callable[[Table, Look], str]] = {"markdown": format_markdown, "latex": format_latex}
    return documents[form](table, look) if form in documents else TEXTS[form](table)
