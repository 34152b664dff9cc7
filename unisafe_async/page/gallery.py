"""Every row of a run as columns over one table of strings: small, and quick for a browser to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from unisafe_cache import parts_of

from unisafe_async.benchmark.taxonomy import OTHER, SHOWN_CATEGORIES, SHOWN_SUBCATEGORIES, TASKS
from unisafe_async.page.answers import ANSWER, LABELS, describe_answer, is_digest, list_images, show_text
from unisafe_async.page.records import Record, Records
from unisafe_async.text import plain


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
            self.table.append(show_text(text))
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
        outputs.update(list_images(row))
        places = (number[row.item], of_model[row.model], row.sample, outcomes.index(row.outcome))
        said = describe_answer(row, records.votes.get((row.item, row.model, row.sample), ()))
        texts = (strings.add(value) if isinstance(value, str) else value for value in said.values())
        values = (*places, *texts)
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


COLUMNS = ("item", "model", "sample", "outcome", *ANSWER)


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
            if image is not None and is_digest(image):
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
