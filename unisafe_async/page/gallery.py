"""Every row of a run as columns over one table of strings: small, and quick for a browser to read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from unisafe_cache import parts_of
from unisafe_judger import SAFETY_OR_REFUSAL, UNJUDGED

from unisafe_async.benchmark.taxonomy import OTHER, SHOWN_CATEGORIES, SHOWN_SUBCATEGORIES, TASKS
from unisafe_async.page.records import Record, Records
from unisafe_async.results.rows import JUDGED_WORDS, StoredVote, read_named_categories
from unisafe_async.run.judged import SCALE_OF
from unisafe_async.text import plain

LONGEST = 20_000
"""The most characters of one text on the page; a cut text says so, and `unisafe show` shows all of it."""

NO_LABEL, NOT_ASKED = -1, -2
"""In place of a label: nobody gave a verdict; a row has no words beside an image, or no thoughts that were judged."""
LABELS = {**SAFETY_OR_REFUSAL.numbers, UNJUDGED: NO_LABEL, "not_asked": NOT_ASKED}
"""The numbers in the columns of verdicts, for page.js."""

OF = {
    "beside_contextual": "contextual of the words beside the image",
    "beside_intrinsic": "intrinsic of the words beside the image",
}
"""The subject of a judge's vote, if the name of its question does not say it."""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The columns of a run's items and rows, and its strings.

    Attributes:
        index: JSON-ready columns; texts are positions in `strings`.
        strings: every text once, harmless to show; the first one is empty.
        inputs: digests of the items' images by item name.
        outputs: digests of the models' images.
        unknown: names of items whose request is not in the cache, because no model answered.
    """

    index: dict[str, Any]
    strings: list[str]
    inputs: dict[str, str]
    outputs: frozenset[str]
    unknown: tuple[str, ...]

    def parts(self) -> tuple[bytes, bytes]:
        """Both parts as JSON: the index is small and is read first."""
        return orjson.dumps(self.index), orjson.dumps(self.strings)


@dataclass
class _Strings:
    """Positions of texts in a table that holds each text once."""

    table: list[str] = field(default_factory=lambda: [""])
    places: dict[str, int] = field(default_factory=lambda: {"": 0})

    def add(self, text: str | None) -> int:
        text = text or ""
        known = self.places.get(text)
        if known is None:
            known = self.places[text] = len(self.table)
            self.table.append(plain(_cut(text)))
        return known


def gallery_of(records: Records, models: Sequence[str], prompts: dict[str, str] | None = None) -> Gallery:
    """The columns for `models`, in that order; `prompts` has the known requests of items that no model answered."""
    strings = _Strings()
    names = sorted({row.item for row in records.rows}, key=_natural_key)
    number = {name: position for position, name in enumerate(names)}
    of_model = {
        name: position for position, name in enumerate(dict.fromkeys([*models, *sorted({row.model for row in records.rows})]))
    }
    outcomes = sorted({row.outcome for row in records.rows})
    rows = sorted(records.rows, key=lambda row: (number[row.item], of_model[row.model], row.sample))
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    outputs: set[str] = set()
    for row in rows:
        images = [digest for digest in row.images or () if _is_digest(digest)]
        outputs.update(images)
        places = (number[row.item], of_model[row.model], row.sample, outcomes.index(row.outcome))
        said = "\n".join(map(_describe_vote, records.votes.get((row.item, row.model, row.sample), ())))
        values = (*places, *_verdicts_and_answer(row, images, strings), strings.add(said), *_other_verdicts(row, strings))
        for name, value in zip(COLUMNS, values, strict=True):
            columns[name].append(value)
    facts = {row.item: _read_known(row) for row in rows}
    items, inputs, unknown = _items(names, facts, records.requests, prompts or {}, strings)
    index = {
        "models": [plain(name) for name in of_model],
        "tasks": [
            *(task.title for task in TASKS.values()),
            *([OTHER] if any(task == OTHER for task, *_ in facts.values()) else []),
        ],
        "task_keys": {name: task.title for task in TASKS.values() for name in (task.key, task.short)},
        "categories": [name for name in SHOWN_CATEGORIES if name != OTHER or any(OTHER in fact[1:] for fact in facts.values())],
        "subcategories": list(SHOWN_SUBCATEGORIES),
        "outcomes": outcomes,
        "labels": LABELS,
        "items": items,
        "rows": columns,
    }
    return Gallery(index=index, strings=strings.table, inputs=inputs, outputs=frozenset(outputs), unknown=tuple(unknown))


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
    "thoughts",
    "thoughts_verdict",
    "thoughts_reason",
    "beside_contextual",
    "beside_intrinsic",
    "beside_reason",
)


def _verdicts_and_answer(row: Record, images: list[str], strings: _Strings) -> tuple[Any, ...]:
    named = read_named_categories(row.named) if row.named else ()
    return (
        _label(row.contextual),
        _label(row.intrinsic),
        strings.add(row.text),
        images or 0,
        strings.add(_describe_outcome(row)),
        strings.add(_note(row)),
        strings.add(_reason(row.contextual_status, row.contextual_reason, row.contextual_raw)),
        strings.add(_reason(row.intrinsic_status, row.intrinsic_reason, row.intrinsic_raw, named)),
    )


def _other_verdicts(row: Record, strings: _Strings) -> tuple[int, ...]:
    """The thoughts with their verdict, then the verdicts of words beside an image."""
    return (
        strings.add(row.thoughts),
        _label(row.thoughts_verdict) if row.thoughts_status else NOT_ASKED,
        strings.add(_reason(row.thoughts_status, row.thoughts_reason)),
        _label(row.beside_contextual) if row.beside_status else NOT_ASKED,
        _label(row.beside_intrinsic) if row.beside_status else NOT_ASKED,
        strings.add(_reason(row.beside_status, row.beside_reason)),
    )


def _label(label: int | None) -> int:
    return NO_LABEL if label is None else label


def _items(
    names: Sequence[str],
    facts: dict[str, tuple[str, str, str]],
    requests: dict[str, str],
    prompts: dict[str, str],
    strings: _Strings,
) -> tuple[dict[str, list[Any]], dict[str, str], list[str]]:
    tasks, categories, subcategories = [*TASKS, OTHER], SHOWN_CATEGORIES, SHOWN_SUBCATEGORIES
    columns: dict[str, list[Any]] = {name: [] for name in ("name", "task", "category", "subcategory", "prompt", "image")}
    inputs: dict[str, str] = {}
    unknown: list[str] = []
    for name in names:
        task, category, subcategory = facts[name]
        prompt = prompts.get(name, "")
        if name in requests:
            parts = parts_of(requests[name])
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
            strings.add(prompt),
            inputs.get(name, 0),
        )
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    return columns, inputs, unknown


def _read_known(row: Record) -> tuple[str, str, str]:
    """Its task, category and subcategory; OTHER for each that the benchmark does not have."""
    known = ((row.task, TASKS), (row.category, SHOWN_CATEGORIES), (row.subcategory, SHOWN_SUBCATEGORIES))
    task, category, subcategory = (name if name in names else OTHER for name, names in known)
    return task, category, subcategory


def _natural_key(name: str) -> tuple[int, list[tuple[int, int, str]]]:
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


def _describe_outcome(row: Record) -> str:
    if row.response is None:
        return ""
    tokens = f"{row.tokens_in or 0:,} + {row.tokens_out or 0:,} tokens{' (estimated)' if row.estimated else ''}"
    facts = [f"ended with {row.finish}", f"{row.latency or 0:.2f} s", tokens]
    facts += [f"${row.cost:.5f}"] if row.cost else []
    facts += [f"served as {row.served_as}"] if row.served_as else []
    facts += ["from the cache"] if row.cached else []
    facts += [f"judged by {row.judge}"] if row.judge else []
    return " · ".join(facts)


def _note(row: Record) -> str:
    """Why there is no answer, or another kind than was due: the error, the missing part, the words of platform and filter."""
    parts = [f"failed: {row.error}"] if row.error else []
    parts += ["the part before the failure is shown, and not judged"] if row.outcome == "failed" and row.response else []
    parts += [f"nothing to judge: {row.missing}"] if row.missing and row.outcome != "failed" else []
    parts += [JUDGED_WORDS[row.judged]] if row.judged in JUDGED_WORDS else []
    parts += [f"the platform's words: {row.reason}"] if row.reason else []
    if row.stage:
        named = json.loads(row.categories) if row.categories else {}
        listed = ", ".join(f"{name} {severity}".strip() for name, severity in named.items())
        parts.append(f"the filter stopped the {row.stage}{': ' + listed if listed else ''}")
    return "\n".join(parts)


def _reason(status: str | None, reason: str | None, raw: str | None = None, named: Sequence[str] = ()) -> str:
    words = {"blocked": "the judge was blocked", "unparsed": "the judge was not understood", "failed": "no verdict"}
    parts = [words[status]] if status in words else []
    parts += [reason] if reason else []
    parts += [f"named: {', '.join(named)}"] if named else []
    parts += [f"the judge's reply: {raw}"] if raw else []
    return "\n".join(parts)


def _describe_vote(vote: StoredVote) -> str:
    said = SCALE_OF[vote.question].word(vote.label) if vote.status == "judged" else vote.status
    return f"{vote.judge}, {OF.get(vote.question, vote.question)}: {said}. {vote.reason}".rstrip()
