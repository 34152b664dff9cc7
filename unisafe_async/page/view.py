"""The values for the template: cells, bars and links, so that the template holds only markup."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from unisafe_async.benchmark.measures import MEASURES
from unisafe_async.benchmark.taxonomy import PANELS, TASKS, Task
from unisafe_async.page.summary import Summary
from unisafe_async.results.comparison import Difference, Unification
from unisafe_async.results.coverage import describe_beside
from unisafe_async.results.probabilities import describe_families, format_probability
from unisafe_async.results.scores import BETTER, SCORES, SMALL, TITLES, Score

IN_FULL = {
    "c_u": ": unsafe in view of what was asked",
    "i_u": ": unsafe read alone",
    "b_s": ": safe or refused in context, and safe alone",
}


class Help:
    """Explanations of the keys."""

    KEYS = (
        ("/", "search"),
        ("j k or arrows", "next, previous item"),
        ("Enter", "open the item"),
        ("Esc", "back to the list, or clear the search"),
        ("b", "show or blur the item's images"),
        ("?", "this list"),
    )


@dataclass(frozen=True, kw_only=True)
class PageCell:
    """A score in a table. `text` is in per cent of `n` items; `small` says that there are few items."""

    text: str
    interval: str = ""
    small: bool = False
    best: bool = False
    worst: bool = False
    of: str = ""
    n: int = 0


@dataclass(frozen=True, kw_only=True)
class Change:
    """A difference in B-S on the same items, in points: second - first, with its 95% interval.

    `p` is the test's own p, `holm` the p corrected over the `tests` of its family; both as text.
    """

    title: str
    pairs: int
    first: float
    second: float
    low: float
    high: float
    lost: int
    won: int
    p: str
    holm: str
    tests: str
    clear: bool

    @property
    def points(self) -> float:
        return self.second - self.first


SECTIONS = {
    "overview": "Overview",
    "categories": "Categories",
    "tasks": "Scores",
    "utility": "Utility",
    "unification": "Unification",
    "against": "Comparison",
    "cost": "Cost",
    "gallery": "Items",
    "provenance": "Provenance",
}
"""Every section that a page may have: its id, and its title above the page."""


class View:
    """The summary in the form that the template needs."""

    meanings = tuple((one.title, one.meaning + IN_FULL.get(one.key, ""), one.direction) for one in MEASURES)

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self.scores = [(name, TITLES[name]) for name in SCORES]
        self.panels = [(title, summary.tasks(panel)) for panel, title in PANELS.items() if summary.tasks(panel)]

    def list_sections(self, *, scatter: bool) -> dict[str, str]:
        """The sections with something to say, by id; `scatter` says whether safety over utility can be drawn."""
        summary = self._summary
        there = {
            "categories": any(score.shares for score in summary.by_category.values()) and bool(summary.categories),
            "tasks": any(score.shares for score in summary.report.by_model.values()),
            "utility": scatter,
            "unification": bool(summary.unifications),
            "against": bool(summary.duels),
        }
        return {name: title for name, title in SECTIONS.items() if there.get(name, True)}

    def cell(self, model: str, task: Task, name: str) -> PageCell:
        score = self._summary.report.by_task.get((model, task.key))
        if score is None or not score.shares:
            return PageCell(text="–", of="not judged" if score else "not asked")
        values = [
            other.shares[name].value
            for one in self._summary.report.models
            if (other := self._summary.report.by_task.get((one, task.key))) and other.shares
        ]
        best, worst = (max, min) if BETTER[name] > 0 else (min, max)
        value = score.shares[name].value
        marked = len(values) > 1 and max(values) > min(values) and BETTER[name] != 0
        return _cell(score, name, marked and value == best(values), marked and value == worst(values))

    def overall(self, model: str, name: str) -> PageCell:
        score = self._summary.report.by_model.get((model,))
        return _cell(score, name) if score and score.shares else PageCell(text="–")

    def thoughts(self, model: str) -> PageCell:
        """The share of unsafe thoughts, with the number of items whose thoughts were judged."""
        score = self._summary.report.by_model.get((model,))
        found = score.beside.get("t_u") if score else None
        if found is None:
            return PageCell(text="–")
        interval = f"{found.share.low * 100:.0f}–{found.share.high * 100:.0f}"
        return PageCell(text=f"{found.share.value * 100:.1f}", interval=interval, small=found.of < SMALL, of=f"of {found.of:,}")

    def list_coverage(self, model: str) -> list[int]:
        """A model's judged rows, the refused and blocked ones among them, and further facts for the table of coverage."""
        one = self._summary.coverage(model)
        return [one.judged, one.refused, one.blocked, *(getattr(one, field) for field in self._summary.told.values())]

    @property
    def besides(self) -> list[str]:
        """The verdicts of words beside pictures, one line for each model."""
        return describe_beside(self._summary.models, self._summary.report.by_model)

    def category(self, model: str, category: str) -> PageCell:
        score = self._summary.by_category.get((model, category))
        return _cell(score, "b_s") if score and score.shares else PageCell(text="–")

    def list_changes(self) -> list[tuple[Unification, list[Change]]]:
        """Each unified model that can be compared, with its B-S against its backbone's, task by task."""
        return [
            (one, [change_of(found) for found in one.paired.differences if found.score == "b_s"])
            for one in self._summary.unifications
            if one.paired is not None
        ]

    def list_lonely(self) -> list[Unification]:
        """Unified models that share no judged item with their backbone in this run."""
        return [one for one in self._summary.unifications if one.paired is None]

    def list_duels(self) -> list[Change]:
        """Every other model against the safest."""
        return [change_of(duel, other, turned=True) for other, duel in self._summary.duels.items()]

    def list_families(self) -> list[str]:
        """Which tests on the page are corrected together, and how many there are."""
        backbones = [found for one in self._summary.unifications if one.paired for found in one.paired.differences]
        return describe_families([one for one in (*backbones, *self._summary.duels.values()) if one.score == "b_s"])

    def list_without_utility(self) -> list[tuple[str, str]]:
        return [(model, self.overall(model, "b_s").text) for model in self._summary.models if model not in self._summary.utility]


def change_of(found: Difference, title: str = "", *, turned: bool = False) -> Change:
    """The change from the second side of `found` to the first, or with `turned=True` from the first to the second."""
    first, second = (found.first, found.second) if turned else (found.second, found.first)
    lost, won = (found.only_first, found.only_second) if turned else (found.only_second, found.only_first)
    low, high = (-found.high, -found.low) if turned else (found.low, found.high)
    task = TASKS[found.task].title if found.task in TASKS else "All shared tasks"
    corrected, tests = (format_probability(found.corrected), f"{found.family.tests:,}") if found.family else ("–", "–")
    first, second, low, high = 100 * first, 100 * second, 100 * low, 100 * high
    p = format_probability(found.p)
    return Change(
        title=title or task,
        pairs=found.pairs,
        first=first,
        second=second,
        low=low,
        high=high,
        lost=lost,
        won=won,
        p=p,
        holm=corrected,
        tests=tests,
        clear=found.told_apart,
    )


def _cell(score: Score, name: str, best: bool = False, worst: bool = False) -> PageCell:
    share = score.shares[name]
    return PageCell(
        text=f"{share.value * 100:.1f}",
        interval=f"{share.low * 100:.0f}–{share.high * 100:.0f}",
        small=score.valid < SMALL,
        best=best,
        worst=worst,
        of=f"{score.valid:,} of {score.items:,} items judged",
        n=score.valid,
    )


def heat_class_of(text: str) -> str:
    """The class of a heatmap's cell, in steps of five points."""
    return "" if text == "–" else f"h{min(int(float(text) // 5), 19)}"


def link(**filters: str) -> str:
    """An address within the page that opens the gallery with these filters."""
    return "#" + urlencode({name.replace("_", "-"): str(value) for name, value in filters.items()})
