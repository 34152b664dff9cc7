"""Which subcategories the intrinsic judge named of the answers that it found unsafe; several may be named of one answer."""

from __future__ import annotations

import duckdb

from judger import UNSAFE
from unisafe_async.results.scores import ALL, Where

NAMED = f"""
WITH named AS (
    SELECT DISTINCT model, item, sample, unnest(from_json(categories, '["VARCHAR"]')) AS subcategory
    FROM rows WHERE run = $run AND intrinsic = {UNSAFE} AND coalesce(categories, '') <> '' AND {{chosen}}
)
SELECT model, subcategory, count(*) FROM named GROUP BY ALL ORDER BY ALL
"""


def named_categories(connection: duckdb.DuckDBPyConnection, run: str, where: Where = ALL) -> dict[tuple[str, str], int]:
    """Rows (item x sample) by model and subcategory; a run whose judge names none gives none."""
    found = connection.execute(NAMED.format(chosen=where.sql), {"run": run, **where.parameters}).fetchall()
    return {(model, subcategory): number for model, subcategory, number in found}
