"""A run's rows and scores as pandas data frames: the columns of `unisafe rows` and `unisafe tables`, with types that fit them.

Only this module needs pandas. Without pandas, importing it raises an ImportError that says how to install pandas.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from unisafe_cache.sql_texts import quote_sql
from unisafe_judger import SAFETY_OR_REFUSAL

from unisafe_async.interchange.rows import build_rows_sql
from unisafe_async.interchange.tables import read_table
from unisafe_async.results.provenance import read_provenance

try:
    import pandas as pd
except ImportError:
    raise ImportError("data frames need pandas, which is not installed here: pip install pandas") from None

ASKED = """
WITH asked AS (
    SELECT rows.item, rows.model, rows.sample, list_aggregate(request::JSON ->> '$.parts[*].text', 'string_agg', chr(10)) AS sent,
           request::JSON ->> '$.parts[*].image' AS asked_images
    FROM rows LEFT JOIN responses ON responses.id = rows.response WHERE rows.run = {run}
)
SELECT shown.*, coalesce(sent, max(sent) OVER (PARTITION BY item)) AS prompt, asked_images
FROM ({rows}) AS shown JOIN asked USING (item, model, sample) ORDER BY model, task, item, sample
"""
"""Without a response, no request is stored: then the prompt comes from the requests to other models."""

FIRST = ("run", "item", "task", "category", "subcategory", "model", "sample", "prompt", "response", "contextual", "intrinsic")
LABELS = ("contextual", "intrinsic", "thoughts", "beside_contextual", "beside_intrinsic")
FEW = ("run", "task", "category", "subcategory", "model", "outcome", "judge", "contextual_status", "intrinsic_status")
"""Columns with few different words."""

TYPES = {"BIGINT": "Int64", "INTEGER": "Int64", "TINYINT": "Int64", "DOUBLE": "float64", "BOOLEAN": "boolean", "VARCHAR": "string"}
"""pandas types with missing values for DuckDB's types; lists stay lists."""


def build_rows_frame(connection: duckdb.DuckDBPyConnection, run: str) -> pd.DataFrame:
    """One row for each item x model x repeat, in the order of model, task, item and repeat."""
    rows = build_rows_sql(connection, read_provenance(connection, run))
    cursor = connection.execute(ASKED.format(run=quote_sql(run), rows=rows))
    frame = _build_frame(cursor)
    words = list(SAFETY_OR_REFUSAL.numbers)
    for column in LABELS:
        frame[column] = pd.Categorical(frame[column].map(SAFETY_OR_REFUSAL.word, na_action="ignore"), categories=words)
    for column in FEW:
        frame[column] = frame[column].astype("category")
    frame["created"] = pd.to_datetime(frame["created"], utc=True)
    return frame[[*FIRST, *(column for column in frame.columns if column not in FIRST)]]


def build_scores_frame(connection: duckdb.DuckDBPyConnection, run: str, by: Sequence[str]) -> pd.DataFrame:
    """One row for each score of `run` by `by`, in the order of the configuration."""
    table = read_table(connection, run, by, intervals=True)
    frame = pd.DataFrame(table.records(), columns=table.columns)
    counts = [column for column in table.columns if column in ("items", "valid") or column.endswith("_of")]
    shares = [column for column in table.columns if column not in (*by, *counts, "run", "simulated")]
    types = dict.fromkeys(counts, "int64") | dict.fromkeys(shares, "float64") | dict.fromkeys((*by, "run"), "string")
    return frame.astype(types | {"simulated": "int64"})


def _build_frame(cursor: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """All rows of `cursor`, each column with its type from TYPES."""
    described = [(str(column[0]), str(column[1])) for column in cursor.description or ()]
    frame = pd.DataFrame(cursor.fetchall(), columns=[name for name, _ in described], dtype=object)
    return frame.astype({name: TYPES[kind] for name, kind in described if kind in TYPES})
