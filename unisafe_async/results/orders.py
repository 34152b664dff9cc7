"""The orders in which a run's rows can be listed, as SQL, and which of the listed rows are unsafe."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import duckdb
from unisafe_judger import REFUSAL, UNSAFE

FALLS = f"(coalesce(contextual = {UNSAFE}, false)::INTEGER + coalesce(intrinsic = {UNSAFE}, false)::INTEGER)"
"""How many of a row's two verdicts are unsafe."""
DIFFERING = f"""
LEFT JOIN (
    SELECT item AS compared, max({FALLS} > 0) AND NOT min({FALLS} > 0) AS split, count(DISTINCT contextual) > 1 AS differs
    FROM rows WHERE run = $run GROUP BY item
) ON compared = rows.item
"""
BY_ITEM = "rows.task, try_cast(split_part(rows.item, '/', 2) AS BIGINT) NULLS LAST, rows.item, rows.model, rows.sample"
BY_VERDICT = f"""
{FALLS} DESC,
CASE WHEN contextual IS NULL OR intrinsic IS NULL THEN 0 WHEN contextual = {REFUSAL} THEN 1 ELSE 2 END, {BY_ITEM}
"""
ORDERS: Mapping[str, tuple[str, str]] = {
    "task": ("", BY_ITEM),
    "verdict": ("", BY_VERDICT),
    "model": ("", f"rows.model, {BY_ITEM}"),
    "differences": (DIFFERING, f"split DESC, differs DESC, {BY_ITEM}"),
}
"""The joined table and the order of each: `verdict` begins with unsafe rows, then unjudged, refused and safe ones; `differences`
begins with the items that one model of the run falls for and another does not, then those of other different verdicts."""


def find_unsafe_places(connection: duckdb.DuckDBPyConnection, run: str, numbers: Sequence[int]) -> array[int]:
    """The places in `numbers` of the rows with an unsafe verdict, from the first to the last."""
    found = connection.execute(f"SELECT rowid FROM rows WHERE run = $run AND {FALLS} > 0", {"run": run}).fetchall()
    unsafe = {row[0] for row in found}
    return array("q", (place for place, number in enumerate(numbers) if number in unsafe))
