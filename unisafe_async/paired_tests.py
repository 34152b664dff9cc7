"""Paired proportions: an exact test, an interval of the difference, and a correction for many tests; pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from unisafe_async.scores import Z


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """McNemar's exact two-sided p: the probability of a split at least this uneven, if both sides were equally likely."""
    from scipy.special import bdtr

    differing = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), differing, 0.5))) if differing else 1.0


def paired_interval(only_first: int, only_second: int, pairs: int) -> tuple[float, float]:
    """95% interval of a difference of paired proportions (Bonett and Price, 2012, J. Educ. Behav. Stat. 37, 479-488)."""
    one, other = (only_first + 1) / (pairs + 2), (only_second + 1) / (pairs + 2)
    half = Z * sqrt((one + other - (one - other) ** 2) / (pairs + 2))
    return max(-1.0, one - other - half), min(1.0, one - other + half)


def holm(values: Sequence[float]) -> list[float]:
    """p values corrected for their number, step down (Holm, 1979), in the order given."""
    found = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, values[index] * (len(values) - rank)))
        found[index] = highest
    return found
