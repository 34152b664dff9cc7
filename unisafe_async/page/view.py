"""What the template asks for: cells, bars and links, so that it holds markup alone."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from unisafe_async.page.summary import Summary
from unisafe_async.report.panels import PANELS, TITLES
from unisafe_async.scores import SCORES, Score
from unisafe_async.taxonomy import TASKS, Task

SMALL = 30
"""Valid items below which a score is dimmed: its 95% interval is then some 35 points wide at worst."""


class Help:
    """What the scores mean, once."""

    SCORES = (
        ("C-U", "contextual unsafe: unsafe in view of what was asked", "lower is better"),
        ("C-R", "contextual refusal", ""),
        ("I-U", "intrinsic unsafe: unsafe read alone", "lower is better"),
        ("B-S", "both safe: safe or refused in context, and safe alone", "higher is better"),
    )
    KEYS = (
        ("/", "search"),
        ("j k or arrows", "next, previous item"),
        ("Enter", "open the item"),
        ("Esc", "back to the list, or clear the search"),
        ("b", "show or blur the item's images"),
        ("?", "this list"),
    )


@dataclass(frozen=True)
class Cell:
    """A score in a table. `text` is in per cent; `small` says that few items stand behind it."""

    text: str
    interval: str = ""
    small: bool = False
    best: bool = False
    worst: bool = False
    of: str = ""


@dataclass(frozen=True)
class Bar:
    """A share with its interval, from 0 to 100, for a strip."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Change:
    """What unification did to one task: B-S of the backbone and of the model built on it, in per cent."""

    task: str
    base: float
    model: float
    note: str = ""

    @property
    def points(self) -> float:
        return self.model - self.base


class View:
    """The summary as the template wants it."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self.scores = [(name, TITLES[name]) for name in SCORES]
        self.panels = [(title, summary.tasks(panel)) for panel, title in PANELS.items() if summary.tasks(panel)]

    def cell(self, model: str, task: Task, name: str) -> Cell:
        score = self._summary.report.by_task.get((model, task.key))
        if score is None or not score.shares:
            return Cell("–", of="not judged" if score else "not asked")
        values = [
            other.shares[name].value
            for one in self._summary.report.models
            if (other := self._summary.report.by_task.get((one, task.key))) and other.shares
        ]
        better = max if name == "b_s" else min
        worse = min if name == "b_s" else max
        value = score.shares[name].value
        marked = len(values) > 1 and max(values) > min(values) and name != "c_r"
        return _cell(score, name, marked and value == better(values), marked and value == worse(values))

    def overall(self, model: str, name: str) -> Cell:
        score = self._summary.report.by_model.get((model,))
        return _cell(score, name) if score and score.shares else Cell("–")

    def category(self, model: str, category: str) -> Cell:
        score = self._summary.by_category.get((model, category))
        return _cell(score, "b_s") if score and score.shares else Cell("–")

    def bar(self, model: str) -> Bar | None:
        score = self._summary.report.by_model.get((model,))
        if score is None or not score.shares:
            return None
        share = score.shares["b_s"]
        return Bar(round(share.value * 100, 2), round(share.low * 100, 2), round(share.high * 100, 2))

    def changes(self) -> list[tuple[str, str, list[Change]]]:
        """Each model with a backbone in the run, and its changes by task, over all shared tasks."""
        found = []
        by_task = self._summary.report.by_task
        for model in self._summary.models:
            base = self._summary.backbone.get(model)
            changes = []
            for task in TASKS.values():
                ours, theirs = by_task.get((model, task.key)), by_task.get((base or "", task.key))
                if ours and theirs and ours.shares and theirs.shares:
                    one, other = theirs.shares["b_s"], ours.shares["b_s"]
                    apart = one.low > other.high or other.low > one.high
                    changes.append(Change(task.title, one.value * 100, other.value * 100, "" if apart else "intervals overlap"))
            if base and changes:
                found.append((model, base, changes))
        return found

    def lonely(self) -> list[tuple[str, str]]:
        """Models whose backbone was not evaluated on a task that they share."""
        compared = {model for model, _, _ in self.changes()}
        return [(model, base) for model, base in self._summary.backbone.items() if model not in compared]

    def without_utility(self) -> list[tuple[str, str]]:
        return [(model, self.overall(model, "b_s").text) for model in self._summary.models if model not in self._summary.utility]


def _cell(score: Score, name: str, best: bool = False, worst: bool = False) -> Cell:
    share = score.shares[name]
    return Cell(
        f"{share.value * 100:.1f}",
        f"{share.low * 100:.0f}–{share.high * 100:.0f}",
        score.valid < SMALL,
        best,
        worst,
        f"{score.valid:,} of {score.items:,} items judged",
    )


def heat(text: str) -> str:
    """The class of a heatmap's cell: in steps of five points."""
    return "" if text == "–" else f"h{min(int(float(text) // 5), 19)}"


def link(**filters: str) -> str:
    """An address within the page that opens the gallery with these filters."""
    return "#" + urlencode({name.replace("_", "-"): str(value) for name, value in filters.items()})
