"""The figures of a comparison as text for its tables: shares, differences, intervals, p, and the meaning of their marks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from unisafe_async.comparison import LEVEL, Difference
from unisafe_async.multiplicity import Family
from unisafe_async.paper import OVERALL
from unisafe_async.report.panels import SMALL, SMALL_MARK, SMALL_WORDS, TITLES
from unisafe_async.report.text import count, plain
from unisafe_async.scores import BETTER
from unisafe_async.taxonomy import TASKS

TEST = "p: McNemar's exact test on items where the two differ; Holm: p corrected over the test's family"
STAR = f"* corrected below {LEVEL}"
INTERVAL = "95% interval of the difference: Bonett and Price, 2012"
EXPLORED = "- under Holm: a selection of items that belongs to no family; its p is a hint and no test"
APART = (
    "Each interval describes one difference, Holm corrects a family: if only the interval leaves out 0, the two are not told apart."
)
"""A note for an interval that seems to contradict its p.

Wider intervals at Bonferroni's level would not help: Holm's method rejects more often, and an exact test and an approximate
interval sometimes disagree at any level.
"""
REACH = {"all": "over all", "task": "by task", "category": "by category"}


def method(shown: Sequence[Difference], intervals: Sequence[Difference], *, arrows: bool = False) -> str:
    """Explains the figures, the marks that are on the screen, and the families of their tests."""
    said = ["↑ ↓ points above or below the backbone"] if arrows else []
    said.append(f"{TEST}; {STAR}" if any(one.told_apart for one in shown) else TEST)
    said.append(INTERVAL)
    said += [EXPLORED] if any(one.family is None for one in shown) else []
    said += [SMALL_WORDS] if any(0 < one.pairs < SMALL for one in shown) else []
    words = "\n".join([" · ".join(said), *family_lines(shown)])
    seeming = any(not one.told_apart and (one.low > 0 or one.high < 0) for one in intervals)
    return f"{words}\n{APART}" if seeming else words


def family_lines(shown: Sequence[Difference]) -> list[str]:
    """The number of tests in each family on the screen, in one line; the primary comparison first."""
    families = dict.fromkeys(one.family for one in shown if one.family is not None)
    words = [family_words(one) for one in sorted(families, key=lambda one: (not one.primary, one.over != "all", one.tests))]
    return [f"Families, each corrected by itself: {'; '.join(words)}"] if words else []


def family_words(family: Family) -> str:
    """`B-S over all, 3 tests (the primary comparison, of every pair of models of the run)`, `C-U, C-R, I-U by task, 18 tests`."""
    names = ", ".join(TITLES[score] for score in family.scores)
    words = f"{names} {REACH[family.over]}, {count(family.tests, 'test')}"
    if not family.primary:
        return words
    return f"{words} (the primary comparison, of {'every pair of models of the run' if family.models else 'models of two runs'})"


def figure(share: float, items: int) -> Text:
    """A share in per cent; marked and dimmed if there are few items, as in `report`."""
    small = items < SMALL
    return Text(f"{SMALL_MARK if small else ''}{share * 100:.1f}", style="dim" if small else "", justify="right")


def signed(share: float) -> str:
    """A difference in points with its sign: `+1.2`, `-0.4`; without a sign if it rounds to `0.0`."""
    points = round(share * 100, 1)
    return f"{points:+.1f}" if points else "0.0"


def interval(one: Difference) -> str:
    return f"{signed(one.low)} to {signed(one.high)}"


def task_title(task: str, *, long: bool = False) -> str:
    """A task's title, or its short name if there is little room."""
    if task == OVERALL:
        return "All these"
    if task not in TASKS:
        return plain(task)
    return TASKS[task].title if long else TASKS[task].short


def change(one: Difference, *, tested: bool = True) -> Text:
    """`↓12.5*`: direction and distance of the first from the second; coloured only if the test tells them apart."""
    points = round(one.difference * 100, 1)
    arrow = "↑" if points > 0 else "↓" if points < 0 else "="
    better = points * BETTER[one.score]
    style = "dim" if not one.told_apart else "green" if better > 0 else "red" if better < 0 else "cyan"
    return Text(f"{arrow}{abs(points):.1f}{star(one) if tested else ''}", style=style, justify="right")


def star(one: Difference) -> str:
    return "*" if one.told_apart else " "


def tested(one: Difference) -> Text:
    """The corrected p with its star."""
    return Text(f"{probability(one.corrected)}{star(one)}", style="" if one.told_apart else "dim", justify="right")


def raw(one: Difference) -> Text:
    """The uncorrected p of this test."""
    return Text(probability(one.p), style="" if one.told_apart else "dim", justify="right")


def both_p(one: Difference) -> str:
    """`p 0.016, by Holm 0.047 (of 3 tests)`."""
    if one.family is None:
        return f"p {probability(one.p)}, not corrected"
    return f"p {probability(one.p)}, by Holm {probability(one.corrected)} (of {count(one.family.tests, 'test')})"


def probability(p: float | None) -> str:
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"
