"""Reads the filtered rows of a run, and one row in full: SQL over an open file; memory keeps only the rows' numbers."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import duckdb
from unisafe_cache import CacheError, Row, parts_of
from unisafe_cache.columns import build_record
from unisafe_cache.run_shapes import Config

from unisafe_async.results.filters import Where
from unisafe_async.results.orders import ORDERS
from unisafe_async.results.runs import find_newest_run
from unisafe_async.results.stored_run import read_run

JUDGED_WORDS = {
    "words": "no image came: the words were judged, by the rubrics for text",
    "both": "the image and the words beside it are judged as one",
}
COLUMNS = tuple(field.name for field in fields(Row))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row as one line of a list."""

    number: int
    item: str
    model: str
    repeat: int
    outcome: str
    contextual: int | None
    intrinsic: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVote:
    """One judge's vote on a row, if there are several judges."""

    question: str
    judge: str
    label: int | None
    status: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A row's answer and its request: `parts` as in a request's canonical JSON.

    Attributes:
        stage, categories: for a platform's block, its stage and the vendor's categories with their severities.
        thoughts: the model's thoughts before its answer.
        missing: why there is nothing to judge although nobody refused; empty if there is something to judge.
        served_as: the name under which the endpoint served the call; empty if it gave none.
        estimated: whether tokens and cost are estimates because the endpoint reported none.
    """

    parts: tuple[dict[str, str], ...]
    text: str
    images: tuple[str, ...]
    finish: str
    reason: str
    stage: str | None
    categories: tuple[tuple[str, str], ...]
    tokens_in: int
    tokens_out: int
    cost: float | None
    latency: float
    thoughts: str = ""
    missing: str = ""
    served_as: str = ""
    estimated: bool = False

    @property
    def prompt(self) -> str:
        return "\n".join(part["text"] for part in self.parts if "text" in part)

    @property
    def asked_images(self) -> tuple[str, ...]:
        """The digests of the images that were sent."""
        return tuple(part["image"] for part in self.parts if "image" in part)

    @property
    def cut(self) -> str:
        """Why the text is not complete; empty if it is."""
        if self.finish == "blocked" and self.text.strip():
            return "cut off here by the platform's filter: this is the text that came before"
        return "cut off here at max_tokens" if self.finish == "length" else ""


@dataclass(frozen=True, slots=True)
class Detail:
    """One row in full; `reply` is None if no response came. A failed row may have a reply: the part before the failure."""

    row: Row
    reply: Reply | None
    votes: tuple[StoredVote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """What there is to filter by in a run, how many rows it has so far, and its configuration."""

    run: str
    dataset: str
    dataset_digest: str
    source: str
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    categories: tuple[str, ...]
    rows: int
    config: Config


def read_facets(connection: duckdb.DuckDBPyConnection, name: str | None) -> Facets:
    """Raises CacheError when there is no such run."""
    run = find_newest_run(connection, name)
    stored = read_run(connection, run)
    found = connection.execute(
        "SELECT list_sort(list_distinct(list(model))), list_sort(list_distinct(list(task))), "
        "list_sort(list_distinct(list(category))), count(*) FROM rows WHERE run = ?",
        [run],
    ).fetchone()
    assert found is not None
    models, tasks, categories = (tuple(map(str, values or ())) for values in found[:3])
    source = stored.config.dataset.source
    return Facets(
        run=run,
        dataset=stored.dataset,
        dataset_digest=stored.dataset_digest,
        source=source,
        models=models,
        tasks=tasks,
        categories=categories,
        rows=int(found[3]),
        config=stored.config,
    )


MATCHING = """
SELECT rows.rowid FROM rows LEFT JOIN responses ON responses.id = rows.response
{joined} WHERE rows.run = $run AND {condition} ORDER BY {order}
"""
PAGE = """
SELECT rows.rowid, item, rows.model, sample, outcome, contextual, intrinsic,
       coalesce(nullif(left(responses.text, ?), ''), rows.error, responses.missing, '')
FROM rows LEFT JOIN responses ON responses.id = rows.response
WHERE rows.rowid IN (SELECT unnest(?::BIGINT[]))
"""
FULL = f"""
SELECT {", ".join(f"rows.{column}" for column in COLUMNS)}, responses.request, responses.text, responses.images,
       responses.finish, responses.reason, responses.stage, responses.categories, responses.tokens_in, responses.tokens_out,
       responses.cost, responses.latency, coalesce(responses.thoughts, ''), coalesce(responses.missing, ''),
       coalesce(responses.model, ''), coalesce(responses.estimated, false)
FROM rows LEFT JOIN responses ON responses.id = rows.response
WHERE {{condition}} ORDER BY rows.model, rows.sample
"""
OPINIONS = """
SELECT item, model, sample, question, judge, label, status, coalesce(reason, '') FROM opinions
WHERE run = $run AND ($items IS NULL OR list_contains($items, item)) ORDER BY item, model, sample, question, position
"""


def find_rows(connection: duckdb.DuckDBPyConnection, run: str, which: Where, order: str = "task") -> array[int]:
    """The numbers of the rows that match `which`, in one of ORDERS, and within it of task, id, model and repeat; 8 bytes each."""
    joined, by = ORDERS[order]
    sql = MATCHING.format(condition=which.sql, joined=joined, order=by)
    found = connection.execute(sql, {"run": run, **which.parameters}).fetchall()
    return array("q", (row[0] for row in found))


def read_lines(connection: duckdb.DuckDBPyConnection, numbers: Sequence[int], characters: int = 400) -> list[Line]:
    """The rows of `numbers` as lines, in that order; rows that were pruned meanwhile are left out.

    Args:
        characters: the most characters of each response.
    """
    found = {row[0]: build_record(Line, row) for row in connection.execute(PAGE, [characters, list(numbers)]).fetchall()}
    return [found[number] for number in numbers if number in found]


def read_detail(connection: duckdb.DuckDBPyConnection, number: int) -> Detail | None:
    """The row with that number in full; None if it has been pruned."""
    found = _details(connection, "rows.rowid = ?", [number])
    return found[0] if found else None


def read_item(
    connection: duckdb.DuckDBPyConnection, name: str, run: str | None, models: Sequence[str] = ()
) -> tuple[Facets, list[Detail]]:
    """A run and its rows of one item, `task/id` or an id that only one task has. Raises CacheError if there is none."""
    facets = read_facets(connection, run)
    run = facets.run
    items = [
        str(row[0])
        for row in connection.execute(
            "SELECT DISTINCT item FROM rows WHERE run = ? AND (item = ? OR ends_with(item, '/' || ?)) ORDER BY item",
            [run, name, name],
        ).fetchall()
    ]
    if name in items:
        items = [name]
    if not items:
        raise CacheError(f"run {run} has no item {name!r}; items are named task/id, such as malicious_text_generation/1")
    if len(items) > 1:
        raise CacheError(f"{name!r} could be {', '.join(items[:8])}; give task and id")
    details = _details(connection, "rows.run = ? AND rows.item = ?", [run, items[0]])
    have = list(dict.fromkeys(detail.row.model for detail in details))
    for model in models:
        if model not in have:
            raise CacheError(f"run {run} has no response of {model!r} to {items[0]}; models there are {', '.join(have)}")
    return facets, [detail for detail in details if not models or detail.row.model in models]


def read_opinions(
    connection: duckdb.DuckDBPyConnection, run: str, items: Sequence[str] | None = None
) -> dict[tuple[str, str, int], list[StoredVote]]:
    """What each of several judges said of a run's rows, by item, model and repeat; of `items` alone, where they are named."""
    found: dict[tuple[str, str, int], list[StoredVote]] = {}
    asked = connection.execute(OPINIONS, {"run": run, "items": None if items is None else list(items)}).fetchall()
    for item, model, sample, *said in asked:
        found.setdefault((item, model, sample), []).append(build_record(StoredVote, said))
    return found


def _details(connection: duckdb.DuckDBPyConnection, condition: str, values: Sequence[object]) -> list[Detail]:
    found = connection.execute(FULL.format(condition=condition), list(values)).fetchall()
    if not found:
        return []
    rows = [build_record(Row, record[: len(COLUMNS)]) for record in found]
    votes = read_opinions(connection, rows[0].run, list({row.item for row in rows}))
    return [
        Detail(row, _reply(record[len(COLUMNS) :]), tuple(votes.get((row.item, row.model, row.sample), ())))
        for row, record in zip(rows, found, strict=True)
    ]


def _reply(record: Sequence[Any]) -> Reply | None:
    request, text, images, finish, reason, stage, categories, *used = record
    if request is None:
        return None
    hit = tuple((str(name), str(severity)) for name, severity in json.loads(categories).items()) if categories else ()
    return build_record(Reply, (parts_of(request), text or "", tuple(images or ()), finish, reason or "", stage, hit, *used))


def read_named_categories(categories: str) -> tuple[str, ...]:
    """The subcategories that a row's intrinsic judge named, from their JSON; empty if it is no list."""
    try:
        found = json.loads(categories)
    except (ValueError, RecursionError):
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()
