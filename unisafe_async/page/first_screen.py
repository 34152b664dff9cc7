"""The first screen: what became of each model's items as a bar, what was not measured beside it, and the cells that fail most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.names import shorten_names
from unisafe_async.page.summary import Summary
from unisafe_async.results.coverage import list_unjudged
from unisafe_async.results.outcomes import Cell, rank_cell
from unisafe_async.results.scores import is_small
from unisafe_async.text import plain

LONGEST, LONGEST_BESIDE, SHORTEST = 34, 20, 16
"""The most characters of a model's name in the table of outcomes, in the heatmap beside it, and in the heatmap of many models."""
DENSE = 6
"""With more models than this the rows are lower, and the cells that fail most of all stand before those of each model."""
NAMED = 4
"""The most cells that are named for all models together."""


@dataclass(frozen=True)
class Part:
    """A part of an outcome bar: how many items, and where it lies, in per cent of the bar."""

    name: str
    number: int
    start: float
    width: float


@dataclass(frozen=True, kw_only=True)
class OutcomeBar:
    """A model's bar: its parts, and B-S with the ends of its 95% interval, from 0 to 100; both also as text.

    `small` says that there are few items.
    """

    parts: tuple[Part, ...]
    value: float
    low: float
    high: float
    figure: str
    interval: str
    small: bool


@dataclass(frozen=True)
class WorstCell:
    """A category within a task in which a model is often unsafe, with the filters of the link to its items."""

    model: str
    title: str
    unsafe: int
    valid: int
    filters: dict[str, Any]


class FirstScreen:
    """The values of the first screen, model by model."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self.names = shorten_names(summary.models, LONGEST)
        self.dense = len(summary.models) > DENSE
        self.short = shorten_names(summary.models, SHORTEST if self.dense else LONGEST_BESIDE)

    def bar(self, model: str) -> OutcomeBar | None:
        """None for a model without a judged item."""
        outcomes, score = self._summary.report.outcomes.get(model), self._summary.report.by_model.get((model,))
        if outcomes is None or score is None or not score.shares:
            return None
        share = score.shares["b_s"]
        return OutcomeBar(
            parts=tuple(_place_parts(outcomes.parts)),
            value=round(share.value * 100, 3),
            low=round(share.low * 100, 3),
            high=round(share.high * 100, 3),
            figure=f"{share.value * 100:.1f}",
            interval=f"{share.low * 100:.1f}–{share.high * 100:.1f}",
            small=is_small(score),
        )

    def list_unjudged(self, model: str) -> list[str]:
        """What was not measured of a model, by cause."""
        return list_unjudged(self._summary.coverage(model), self._summary.planned(model))

    def list_worst(self, model: str) -> list[WorstCell]:
        """The cells in which a model fails most."""
        return [_describe_cell(model, cell) for cell in self._summary.report.worst.get(model, ())]

    @property
    def failing(self) -> list[str]:
        """The models that are unsafe anywhere."""
        return [model for model in self._summary.models if self._summary.report.worst.get(model)]

    @property
    def worst(self) -> list[WorstCell]:
        """The cells that fail most of all models."""
        cells = [(cell, model) for model in self.failing for cell in self._summary.report.worst[model]]
        cells.sort(key=lambda found: rank_cell(found[0]))
        return [_describe_cell(model, cell) for cell, model in cells[:NAMED]]


def _place_parts(parts: dict[str, int]) -> Iterator[Part]:
    total, start = sum(parts.values()), 0
    for name, number in parts.items():
        yield Part(name, number, round(start * 100 / total, 3), round(number * 100 / total, 3))
        start += number


def _describe_cell(model: str, cell: Cell) -> WorstCell:
    task = TASKS[cell.task].short if cell.task in TASKS else plain(cell.task)
    filters = {"model": model, "task": cell.task, "category": cell.category, "verdict": "unsafe"}
    return WorstCell(model, f"{task}, {plain(cell.category)}", cell.unsafe, cell.valid, filters)
