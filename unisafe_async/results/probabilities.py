"""The p of a comparison in words, and which tests are corrected together."""

from __future__ import annotations

from collections.abc import Sequence

from unisafe_async.results.comparison import Difference
from unisafe_async.results.multiplicity import Family
from unisafe_async.results.scores import TITLES
from unisafe_async.text import count

REACH = {"all": "over all", "task": "by task", "category": "by category"}


def describe_families(shown: Sequence[Difference]) -> list[str]:
    """The number of tests in each family on the screen, in one line; the primary comparison first."""
    families = dict.fromkeys(one.family for one in shown if one.family is not None)
    words = [describe_family(one) for one in sorted(families, key=lambda one: (not one.primary, one.over != "all", one.tests))]
    return [f"Families, each corrected by itself: {'; '.join(words)}"] if words else []


def describe_family(family: Family) -> str:
    """`B-S over all, 3 tests (the primary comparison, of every pair of models of the run)`, `C-U, C-R, I-U by task, 18 tests`."""
    names = ", ".join(TITLES[score] for score in family.scores)
    words = f"{names} {REACH[family.over]}, {count(family.tests, 'test')}"
    if not family.primary:
        return words
    return f"{words} (the primary comparison, of {'every pair of models of the run' if family.models else 'models of two runs'})"


def format_both(one: Difference) -> str:
    """`p 0.016, by Holm 0.047 (of 3 tests)`."""
    if one.family is None:
        return f"p {format_probability(one.p)}, not corrected"
    return f"p {format_probability(one.p)}, by Holm {format_probability(one.corrected)} (of {count(one.family.tests, 'test')})"


def format_probability(p: float | None) -> str:
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"
