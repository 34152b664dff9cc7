"""Finds models that were asked for pictures and drew none: mostly because bench.toml is wrong, not because they refuse."""

from __future__ import annotations

from typing import NamedTuple

import duckdb

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.scores import ALL, Where

WITHOUT = """
WITH came AS (
    SELECT model, task, item, len(answers.images) > 0 AS pictured, answers.finish NOT IN ('refused', 'blocked') AS answered,
        trim(answers.text) <> '' AS worded
    FROM (SELECT * FROM rows WHERE run = $run AND {chosen}) asked
    LEFT JOIN (SELECT id, images, finish, text FROM responses) answers ON asked.response = answers.id
    WHERE task IN (SELECT unnest($drawn))
)
SELECT model, task, count(DISTINCT item), coalesce(bool_or(worded), false) FROM came GROUP BY model, task
HAVING NOT coalesce(bool_or(pictured), false) AND coalesce(bool_or(answered), false)
ORDER BY model, list_position($drawn, task)
"""


class WithoutPictures(NamedTuple):
    """A model without any picture in a task that asks for pictures, with the number of its items, and whether words came."""

    model: str
    task: str
    items: int
    worded: bool = True


def find_without_pictures(connection: duckdb.DuckDBPyConnection, run: str, where: Where = ALL) -> list[WithoutPictures]:
    """Each model and image task of a run in which no picture came, and at least one answer held words or nothing.

    Blocks, refusals that the provider reports, and failures say nothing about the configuration.
    """
    drawn = [task.key for task in TASKS.values() if task.image_out]
    found = connection.execute(WITHOUT.format(chosen=where.sql), {"run": run, "drawn": drawn, **where.parameters}).fetchall()
    return [WithoutPictures(*one) for one in found]
