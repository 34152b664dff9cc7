"""The platforms' blocks by stage and vendor's category; a block says something about the platform, not about the model."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
from unisafe_cache.columns import build_record

from unisafe_async.results.scores import ALL, Where

CATEGORIES = """
WITH blocked AS (
    SELECT rows.model, coalesce(stage, 'unknown') AS stage, responses.categories
    FROM rows JOIN responses ON response = id
    WHERE rows.run = $run AND finish = 'blocked' AND {chosen}
), named AS (
    SELECT model, stage, entry.key AS category, entry.value ->> '$' AS severity
    FROM blocked, json_each(categories) AS entry WHERE categories IS NOT NULL
    UNION ALL
    SELECT model, stage, '', '' FROM blocked WHERE categories IS NULL
)
SELECT model, stage, category, coalesce(severity, ''), count(*) FROM named
GROUP BY ALL ORDER BY model, stage, count(*) DESC, category, 4
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCount:
    """How often a platform stopped a model's rows for one reason.

    Args:
        stage: `request`, `response` or `unknown`.
        category, severity: in the vendor's words; empty if it gave none. A block can have several categories.
        rows: the number of rows (item x repeat).
    """

    model: str
    stage: str
    category: str
    severity: str
    rows: int


def count_blocks(connection: duckdb.DuckDBPyConnection, run: str, where: Where = ALL) -> list[BlockCount]:
    """Every reason that platforms gave in a run, the most frequent first within model and stage."""
    found = connection.execute(CATEGORIES.format(chosen=where.sql), {"run": run, **where.parameters}).fetchall()
    return [build_record(BlockCount, row) for row in found]
