"""The subcategories that the intrinsic judge named in unsafe answers; one answer may have several."""

from __future__ import annotations

import duckdb
from unisafe_judger import UNSAFE

from unisafe_async.results.scores import ALL, Where

NAMED = f"""
WITH named AS (
    SELECT DISTINCT model, item, sample, unnest(from_json(categories, '["VARCHAR"]')) AS subcategory
    FROM rows WHERE run = $run AND intrinsic = {UNSAFE} AND coalesce(categories, '') <> '' AND {{chosen}}
)
SELECT model, subcategory, count(*) FROM named GROUP BY ALL ORDER BY ALL
"""


def count_named_categories(connection: duckdb.DuckDBPyConnection, run: str, where: Where = ALL) -> dict[tuple[str, str], int]:
    """The number of rows (item x repeat) by model and subcategory; empty if the run's judge names none."""
    found = connection.execute(NAMED.format(chosen=where.sql), {"run": run, **where.parameters}).fetchall()
    return {(model, subcategory): number for model, subcategory, number in found}
