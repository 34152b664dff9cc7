"""The records behind the page's items, as the cache holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import duckdb

from unisafe_async.results.rows import StoredVote, read_opinions
from unisafe_async.results.scores import ALL, Where

ROWS = """
SELECT item, task, category, subcategory, rows.model, sample, outcome, error, response, judge, cached,
       contextual, contextual_status, contextual_reason, contextual_raw,
       intrinsic, intrinsic_status, intrinsic_reason, intrinsic_raw, rows.categories, judged,
       beside_contextual, beside_intrinsic, beside_status, beside_reason, rows.thoughts, thoughts_status, thoughts_reason,
       text, images, finish, responses.reason, tokens_in, tokens_out, cost, latency, stage, responses.categories,
       responses.thoughts, missing, responses.model, estimated
FROM rows LEFT JOIN responses ON responses.id = response
WHERE rows.run = $run AND {chosen}
"""
REQUESTS = """
SELECT item, any_value(request) FROM rows JOIN responses ON responses.id = response WHERE rows.run = $run AND {chosen} GROUP BY item
"""


class Record(NamedTuple):
    """A row and its answer: the columns of ROWS, in order; the answer's columns are None if there is no answer."""

    item: str
    task: str
    category: str
    subcategory: str
    model: str
    sample: int
    outcome: str
    error: str | None
    response: int | None
    judge: str
    cached: bool
    contextual: int | None
    contextual_status: str
    contextual_reason: str | None
    contextual_raw: str | None
    intrinsic: int | None
    intrinsic_status: str
    intrinsic_reason: str | None
    intrinsic_raw: str | None
    named: str | None
    judged: str | None
    beside_contextual: int | None
    beside_intrinsic: int | None
    beside_status: str | None
    beside_reason: str | None
    thoughts_verdict: int | None
    thoughts_status: str | None
    thoughts_reason: str | None
    text: str | None
    images: list[str] | None
    finish: str | None
    reason: str | None
    tokens_in: int | None
    tokens_out: int | None
    cost: float | None
    latency: float | None
    stage: str | None
    categories: str | None
    thoughts: str | None
    missing: str | None
    served_as: str | None
    estimated: bool | None


@dataclass(frozen=True)
class Records:
    """The records behind the gallery, read at once so that the file is closed soon."""

    rows: list[Record]
    requests: dict[str, str]
    votes: dict[tuple[str, str, int], list[StoredVote]]


def read_records(connection: duckdb.DuckDBPyConnection, run: str, where: Where = ALL) -> Records:
    chosen = {"run": run, **where.parameters}
    return Records(
        [Record(*row) for row in connection.execute(ROWS.format(chosen=where.sql), chosen).fetchall()],
        dict(connection.execute(REQUESTS.format(chosen=where.sql), chosen).fetchall()),
        read_opinions(connection, run),
    )
