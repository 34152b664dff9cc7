"""The figures of a comparison as text for its tables: shares, differences, intervals, p, and the meaning of their marks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.comparison import LEVEL, Difference
from unisafe_async.results.paper import OVERALL
from unisafe_async.results.probabilities import describe_families, format_probability
from unisafe_async.results.scores import BETTER, SMALL
from unisafe_async.screens.panels import SMALL_MARK, SMALL_WORDS
from unisafe_async.text import plain

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


def describe_method(shown: Sequence[Difference], intervals: Sequence[Difference], *, arrows: bool = False) -> str:
    """Explains the figures, the marks that are on the screen, and the families of their tests."""
    said = ["↑ ↓ points above or below the backbone"] if arrows else []
    said.append(f"{TEST}; {STAR}" if any(one.told_apart for one in shown) else TEST)
    said.append(INTERVAL)
    said += [EXPLORED] if any(one.family is None for one in shown) else []
    said += [SMALL_WORDS] if any(0 < one.pairs < SMALL for one in shown) else []
    words = "\n".join([" · ".join(said), *describe_families(shown)])
    seeming = any(not one.told_apart and (one.low > 0 or one.high < 0) for one in intervals)
    return f"{words}\n{APART}" if seeming else words


def format_share(share: float, items: int) -> Text:
    """A share in per cent; marked and dimmed if there are few items, as in `report`."""
    small = items < SMALL
    return Text(f"{SMALL_MARK if small else ''}{share * 100:.1f}", style="dim" if small else "", justify="right")


def format_signed(share: float) -> str:
    """A difference in points with its sign: `+1.2`, `-0.4`; without a sign if it rounds to `0.0`."""
    points = round(share * 100, 1)
    return f"{points:+.1f}" if points else "0.0"


def format_interval(one: Difference) -> str:
    return f"{format_signed(one.low)} to {format_signed(one.high)}"


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
    return Text(f"{arrow}{abs(points):.1f}{format_star(one) if tested else ''}", style=style, justify="right")


def format_star(one: Difference) -> str:
    return "*" if one.told_apart else " "


def format_corrected(one: Difference) -> Text:
    """The corrected p with its star."""
    return Text(f"{format_probability(one.corrected)}{format_star(one)}", style="" if one.told_apart else "dim", justify="right")


def format_raw(one: Difference) -> Text:
    """The uncorrected p of this test."""
    return Text(format_probability(one.p), style="" if one.told_apart else "dim", justify="right")
