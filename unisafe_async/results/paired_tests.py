"""Paired proportions: an exact test, an interval of the difference, and a correction for many tests; pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, sqrt

from unisafe_async.results.scores import Z


def compute_mcnemar_exact(only_first: int, only_second: int) -> float:
    """McNemar's exact two-sided p: the probability of a split at least this uneven, if both sides were equally likely.

    It is twice the tail of the binomial distribution at one half (McNemar, 1947, Psychometrika 12, 153-157).
    """
    differing, fewer = only_first + only_second, min(only_first, only_second)
    chance = tail = comb(differing, fewer) / (1 << differing)
    for count in range(fewer, 0, -1):
        chance *= count / (differing - count + 1)
        if tail + chance == tail:
            break
        tail += chance
    return min(1.0, 2 * tail)


def estimate_paired_interval(only_first: int, only_second: int, pairs: int) -> tuple[float, float]:
    """95% interval of a difference of paired proportions (Bonett and Price, 2012, J. Educ. Behav. Stat. 37, 479-488)."""
    one, other = (only_first + 1) / (pairs + 2), (only_second + 1) / (pairs + 2)
    half = Z * sqrt((one + other - (one - other) ** 2) / (pairs + 2))
    return max(-1.0, one - other - half), min(1.0, one - other + half)


def correct_by_holm(values: Sequence[float]) -> list[float]:
    """p values corrected for their number, step down (Holm, 1979), in the order given."""
    found = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, values[index] * (len(values) - rank)))
        found[index] = highest
    return found
