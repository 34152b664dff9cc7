"""Every row of a run as columns over one table of strings: small, and quick to read for a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import orjson

from unisafe_async.report.text import plain
from unisafe_async.scores import ALL, Where
from unisafe_async.taxonomy import CATEGORIES, CATEGORY_OF, TASKS

LONGEST = 20_000
"""Characters of one text on the page; what is cut is said, and `unisafe show` has the whole."""

ROWS = """
SELECT item, task, category, subcategory, rows.model, sample, outcome, error, response, judge, cached,
       contextual, contextual_status, contextual_reason, contextual_raw,
       intrinsic, intrinsic_status, intrinsic_reason, intrinsic_raw,
       text, images, finish, responses.reason, tokens_in, tokens_out, cost, latency, stage, responses.categories
FROM rows LEFT JOIN responses ON responses.id = response
WHERE rows.run = $run AND {chosen}
"""
REQUESTS = """
SELECT item, any_value(request) FROM rows JOIN responses ON responses.id = response WHERE rows.run = $run AND {chosen} GROUP BY item
"""
OPINIONS = """
SELECT item, model, sample, question, judge, label, status, reason FROM opinions WHERE run = ?
ORDER BY item, model, sample, question, position
"""
LABELS = {
    "contextual": {0: "unsafe", 1: "safe", 2: "refusal", None: "unjudged"},
    "intrinsic": {0: "unsafe", 1: "safe", None: "unjudged"},
}


@dataclass(frozen=True)
class Records:
    """What the gallery is made of, as it stands in the cache; fetched at once so that the file is soon let go."""

    rows: list[tuple[Any, ...]]
    requests: dict[str, str]
    opinions: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Gallery:
    """The columns of a run's items and rows, and its strings.

    Attributes:
        index: JSON-ready columns; texts are positions in `strings`.
        strings: every text once, harmless to show; the first one is empty.
        inputs: digests of the items' images by item name.
        outputs: digests of the images that models made.
        unknown: names of items whose request is not in the cache, since no model answered.
    """

    index: dict[str, Any]
    strings: list[str]
    inputs: dict[str, str]
    outputs: frozenset[str]
    unknown: tuple[str, ...]

    def parts(self) -> tuple[bytes, bytes]:
        """Both as JSON: the index is small and is read first."""
        return orjson.dumps(self.index), orjson.dumps(self.strings)


@dataclass
class _Strings:
    """Positions of texts in a table that holds each once."""

    table: list[str] = field(default_factory=lambda: [""])
    places: dict[str, int] = field(default_factory=lambda: {"": 0})

    def place(self, text: str | None) -> int:
        text = text or ""
        known = self.places.get(text)
        if known is None:
            known = self.places[text] = len(self.table)
            self.table.append(plain(_cut(text)))
        return known


def read_records(connection: duckdb.DuckDBPyConnection, run: str, where: Where = ALL) -> Records:
    chosen = {"run": run, **where.parameters}
    return Records(
        connection.execute(ROWS.format(chosen=where.sql), chosen).fetchall(),
        dict(connection.execute(REQUESTS.format(chosen=where.sql), chosen).fetchall()),
        connection.execute(OPINIONS, [run]).fetchall(),
    )


def gallery_of(records: Records, models: Sequence[str], prompts: dict[str, str] | None = None) -> Gallery:
    """The columns for `models`, in that order; `prompts` has the requests of items that no model answered, where they are known."""
    strings = _Strings()
    names = sorted({row[0] for row in records.rows}, key=_natural)
    number = {name: position for position, name in enumerate(names)}
    of_model = {name: position for position, name in enumerate(dict.fromkeys([*models, *sorted({row[4] for row in records.rows})]))}
    outcomes = sorted({row[6] for row in records.rows})
    rows = sorted(records.rows, key=lambda row: (number[row[0]], of_model[row[4]], row[5]))
    opinions = _opinions(records.opinions)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    facts: dict[str, tuple[str, str, str]] = {}
    outputs: set[str] = set()
    for row in rows:
        (item, task, category, subcategory, model, sample, outcome, error, response, judge, cached, *rest) = row
        facts[item] = (task, category, subcategory)
        contextual, contextual_status, contextual_reason, contextual_raw, *rest = rest
        intrinsic, intrinsic_status, intrinsic_reason, intrinsic_raw, *rest = rest
        text, images, finish, reason, tokens_in, tokens_out, cost, latency, stage, categories = rest
        images = [digest for digest in images or () if _is_digest(digest)]
        outputs.update(images)
        told = _told(response, finish, latency, tokens_in, tokens_out, cost, cached, judge)
        for name, value in zip(
            COLUMNS,
            (
                number[item],
                of_model[model],
                sample,
                outcomes.index(outcome),
                -1 if contextual is None else contextual,
                -1 if intrinsic is None else intrinsic,
                strings.place(text),
                images or 0,
                strings.place(told),
                strings.place(_note(error, reason, stage, categories)),
                strings.place(_reason(contextual_status, contextual_reason, contextual_raw)),
                strings.place(_reason(intrinsic_status, intrinsic_reason, intrinsic_raw)),
                strings.place(opinions.get((item, model, sample))),
            ),
            strict=True,
        ):
            columns[name].append(value)
    items, inputs, unknown = _items(names, facts, records.requests, prompts or {}, strings)
    index = {
        "models": [plain(name) for name in of_model],
        "tasks": [task.title for task in TASKS.values()],
        "categories": list(CATEGORIES),
        "subcategories": list(CATEGORY_OF),
        "outcomes": outcomes,
        "items": items,
        "rows": columns,
    }
    return Gallery(index, strings.table, inputs, frozenset(outputs), tuple(unknown))


COLUMNS = (
    "item",
    "model",
    "sample",
    "outcome",
    "contextual",
    "intrinsic",
    "text",
    "images",
    "told",
    "note",
    "contextual_reason",
    "intrinsic_reason",
    "opinions",
)


def _items(
    names: Sequence[str],
    facts: dict[str, tuple[str, str, str]],
    requests: dict[str, str],
    prompts: dict[str, str],
    strings: _Strings,
) -> tuple[dict[str, list[Any]], dict[str, str], list[str]]:
    tasks, categories, subcategories = list(TASKS), list(CATEGORIES), list(CATEGORY_OF)
    columns: dict[str, list[Any]] = {name: [] for name in ("name", "task", "category", "subcategory", "prompt", "image")}
    inputs: dict[str, str] = {}
    unknown: list[str] = []
    for name in names:
        task, category, subcategory = facts[name]
        prompt = prompts.get(name, "")
        if name in requests:
            parts = json.loads(requests[name])["parts"]
            prompt = "\n".join(part["text"] for part in parts if "text" in part)
            image = next((part["image"] for part in parts if "image" in part), None)
            if image is not None and _is_digest(image):
                inputs[name] = image
        elif not prompt:
            unknown.append(name)
        values = (
            plain(name),
            tasks.index(task),
            categories.index(category),
            subcategories.index(subcategory),
            strings.place(prompt),
            inputs.get(name, 0),
        )
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    return columns, inputs, unknown


def _natural(name: str) -> tuple[int, list[tuple[int, int, str]]]:
    """Items in the paper's order of tasks, then by id with numbers as numbers."""
    task, _, id_ = name.partition("/")
    place = list(TASKS).index(task) if task in TASKS else len(TASKS)
    pieces = re.findall(r"[0-9]{1,15}|[^0-9]+|[0-9]", id_)
    return place, [(0, int(piece), "") if piece.isascii() and piece.isdigit() else (1, 0, piece) for piece in pieces]


def _is_digest(name: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{32}", name) is not None


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n[cut here: {len(text):,} characters in all; `unisafe show` has them]"


def _told(
    response: int | None,
    finish: str | None,
    latency: float | None,
    tokens_in: int | None,
    tokens_out: int | None,
    cost: float | None,
    cached: bool,
    judge: str,
) -> str:
    if response is None:
        return ""
    facts = [f"ended with {finish}", f"{latency or 0:.2f} s", f"{tokens_in or 0:,} + {tokens_out or 0:,} tokens"]
    facts += [f"${cost:.5f}"] if cost else []
    facts += ["from the cache"] if cached else []
    facts += [f"judged by {judge}"] if judge else []
    return " · ".join(facts)


def _note(error: str | None, reason: str | None, stage: str | None, categories: str | None) -> str:
    """Why there is no answer: the error, the platform's words, where its filter struck and by which categories."""
    parts = [f"failed: {error}"] if error else []
    parts += [f"the platform's words: {reason}"] if reason else []
    if stage:
        named = json.loads(categories) if categories else {}
        listed = ", ".join(f"{name} {severity}".strip() for name, severity in named.items())
        parts.append(f"the filter stopped the {stage}{': ' + listed if listed else ''}")
    return "\n".join(parts)


def _reason(status: str, reason: str | None, raw: str | None) -> str:
    words = {"blocked": "the judge was blocked", "unparsed": "the judge was not understood", "failed": "no verdict"}
    parts = [words[status]] if status in words else []
    parts += [reason] if reason else []
    parts += [f"the judge's reply: {raw}"] if raw else []
    return "\n".join(parts)


def _opinions(records: Sequence[tuple[Any, ...]]) -> dict[tuple[str, str, int], str]:
    found: dict[tuple[str, str, int], list[str]] = {}
    for item, model, sample, question, judge, label, status, reason in records:
        said = LABELS[question].get(label, "unjudged") if status == "judged" else status
        found.setdefault((item, model, sample), []).append(f"{judge}, {question}: {said}. {reason or ''}".rstrip())
    return {key: "\n".join(lines) for key, lines in found.items()}
