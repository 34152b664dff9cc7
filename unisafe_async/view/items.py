"""The items on the screen: entries of the list, and one item with every model's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
from unisafe_cache import parts_of

from unisafe_async.benchmark.taxonomy import OTHER, TASKS
from unisafe_async.calibration.labels import digest_response
from unisafe_async.page.answers import NO_LABEL, describe_answer, is_digest, show_text
from unisafe_async.page.records import ROWS, Record
from unisafe_async.results.rows import StoredVote, read_opinions
from unisafe_async.text import plain
from unisafe_async.view.selection import JOIN, KEY, Choice

LINE = 200
"""Characters of a request in the list."""
MOST = 200
"""The most entries that are read at once."""
ENTRIES = f"""
WITH wanted AS (SELECT DISTINCT item, {KEY} AS key FROM rows WHERE run = $run AND {KEY} IN (SELECT unnest($keys::BIGINT[])))
SELECT wanted.key, rows.item, rows.model, rows.contextual, rows.intrinsic, responses.images, responses.request, {{condition}},
       rows.sample, responses.text
FROM wanted JOIN rows ON rows.item = wanted.item AND rows.run = $run {JOIN}
ORDER BY wanted.key, list_position($models, rows.model), rows.model, rows.sample
"""
ANSWER_KEY = "(hash(rows.item, rows.model, rows.sample) >> 11)::BIGINT"
MATCHES = f"""
SELECT rows.model, rows.sample, {ANSWER_KEY}, {{condition}} FROM rows {JOIN} WHERE rows.run = $run AND rows.item = $item
"""


def read_entries(
    connection: duckdb.DuckDBPyConnection, run: str, keys: Sequence[int], choice: Choice, models: Sequence[str]
) -> dict[int, dict[str, Any]]:
    """The entries of the list by key; one whose rows are gone is left out.

    Each has a name, the beginning of the request, an image's digest or None, and for each answer the model, both verdicts, whether
    it matches, and what names it in a file of labels.
    """
    values = {"run": run, "keys": list(keys)[:MOST], "models": list(models), **choice.parameters}
    entries: dict[int, dict[str, Any]] = {}
    for record in connection.execute(ENTRIES.format(condition=choice.condition), values).fetchall():
        key, item, model, contextual, intrinsic, images, request, matches, sample, text = record
        entry = entries.setdefault(key, {"name": plain(item), "words": "", "picture": None, "marks": []})
        if request and not entry["words"]:
            prompt, picture = read_request(request)
            entry |= {"words": show_text(prompt[:LINE]), "picture": picture}
        if entry["picture"] is None and matches:
            entry["picture"] = next(filter(is_digest, images or ()), None)
        entry["marks"].append(
            {
                "model": plain(model),
                "contextual": _number(contextual),
                "intrinsic": _number(intrinsic),
                "other": not matches,
                "place": (item, model, sample, digest_response(text or "", images or ())) if request else None,
            }
        )
    return entries


def read_item(connection: duckdb.DuckDBPyConnection, run: str, key: int, choice: Choice, models: Sequence[str]) -> dict[str, Any]:
    """One item in full, with its answers in the order of `models`; empty if its rows are gone."""
    found = connection.execute(f"SELECT item FROM rows WHERE run = ? AND {KEY} = ? LIMIT 1", [run, key]).fetchone()
    if found is None:
        return {}
    item = str(found[0])
    records = connection.execute(ROWS.format(chosen="rows.item = $item"), {"run": run, "item": item}).fetchall()
    rows = sorted((Record(*record) for record in records), key=lambda row: (_place(row.model, models), row.model, row.sample))
    request = connection.execute(f"SELECT request FROM rows {JOIN} WHERE rows.run = ? AND item = ? AND request <> ''", [run, item])
    stored = request.fetchone()
    prompt, picture = read_request(stored[0]) if stored else ("", None)
    values = {"run": run, "item": item, **choice.parameters}
    numbered = connection.execute(MATCHES.format(condition=choice.condition), values).fetchall()
    numbers = {(model, sample): (number, matches) for model, sample, number, matches in numbered}
    votes = read_opinions(connection, run, [item])
    return {
        "item": item,
        "name": plain(item),
        "meta": _describe_place(rows[0]),
        "prompt": show_text(prompt),
        "picture": picture,
        "answers": [_answer(row, votes.get((item, row.model, row.sample), ()), numbers) for row in rows],
    }


def _answer(row: Record, votes: Sequence[StoredVote], numbers: Mapping[tuple[str, int], tuple[int, bool]]) -> dict[str, Any]:
    number, matches = numbers[row.model, row.sample]
    said = {name: show_text(value) if isinstance(value, str) else value for name, value in describe_answer(row, votes).items()}
    came = row.response is not None
    task = TASKS.get(row.task)
    return said | {
        "number": number,
        "model": plain(row.model),
        "repeat": row.sample,
        "outcome": row.outcome,
        "other": not matches,
        "place": (row.item, row.model, row.sample, digest_response(row.text or "", row.images or ())) if came else None,
        "drawn": bool(task and task.image_out),
    }


def find_item(connection: duckdb.DuckDBPyConnection, run: str, name: str) -> int | None:
    """The key of the item that is shown as `name`; None if the run has none."""
    for item, key in connection.execute(f"SELECT DISTINCT item, {KEY} FROM rows WHERE run = ?", [run]).fetchall():
        if plain(item) == name:
            return int(key)
    return None


def read_request(request: str) -> tuple[str, str | None]:
    """The text of a stored request, and the digest of its image."""
    parts = parts_of(request)
    picture = next((part["image"] for part in parts if "image" in part), None)
    return "\n".join(part["text"] for part in parts if "text" in part), picture if picture and is_digest(picture) else None


def _describe_place(row: Record) -> str:
    task = TASKS[row.task].title if row.task in TASKS else OTHER
    return plain(f"{task} · {row.category}: {row.subcategory}")


def _number(label: int | None) -> int:
    return NO_LABEL if label is None else label


def _place(model: str, models: Sequence[str]) -> int:
    return models.index(model) if model in models else len(models)
