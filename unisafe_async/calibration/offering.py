"""Which responses a person is asked to label: a sample spread over task and category, in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from unisafe_cache.sql_texts import quote_list

from unisafe_async.benchmark.dataset import allocate
from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.filters import Where

CAME_OUT = f"""
rows.response IS NOT NULL AND (contextual IS NOT NULL OR intrinsic IS NOT NULL)
AND CASE WHEN rows.task IN ({quote_list(task.key for task in TASKS.values() if task.image_out)})
         THEN len(responses.images) > 0 ELSE trim(responses.text, ' \t\n\r') <> '' END
"""
"""Rows whose response came out and got a verdict from the judge: for others there is nothing to compare."""

OFFERED = f"""
WITH offered AS (
    SELECT rows.rowid AS number, rows.task, rows.category, md5(concat_ws('|', $seed, item, rows.model, sample)) AS drawn
    FROM rows LEFT JOIN responses ON responses.id = rows.response
    WHERE rows.run = $run AND {{condition}} AND {CAME_OUT}
)
SELECT number, task, category, count(*) OVER (PARTITION BY task, category),
       row_number() OVER (PARTITION BY task, category ORDER BY drawn) AS place
FROM offered
QUALIFY place <= $most ORDER BY drawn
"""


def choose_rows(connection: duckdb.DuckDBPyConnection, run: str, which: Where, limit: int | None, seed: int) -> list[int]:
    """The numbers of the rows to label, in the order of the screen.

    Each task and category gets its share of `limit` rows by largest remainder, at least one row if possible. The same seed draws
    the same rows, so that several people label the same ones.
    """
    most = limit if limit is not None else 2**31
    values = {"run": run, "seed": str(seed), "most": most, **which.parameters}
    found = connection.execute(OFFERED.format(condition=which.sql), values).fetchall()
    sizes = {(task, category): size for _, task, category, size, _ in found}
    shares = _allot(sizes, limit)
    return [number for number, task, category, _, place in found if place <= shares[task, category]]


def _allot(sizes: dict[tuple[str, str], int], limit: int | None) -> dict[tuple[str, str], int]:
    keys: Sequence[tuple[str, str]] = sorted(sizes)
    if limit is None:
        return sizes
    return dict(zip(keys, allocate([sizes[key] for key in keys], limit), strict=True))
