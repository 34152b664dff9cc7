"""How far raters agree, of counts: Wilson's interval of a share, Cohen's kappa of two raters, Fleiss' of more; pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from unisafe_async.results.scores import Z


def compute_wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """95% interval of the share `hits / n`, between 0 and 1 (Wilson, 1927, J. Am. Stat. Assoc. 22, 209-212). `n` is above 0."""
    share, spread = hits / n, Z * Z / n
    middle = share + spread / 2
    half = Z * sqrt(share * (1 - share) / n + spread / (4 * n))
    low = (middle - half) / (1 + spread) if hits else 0.0
    high = (middle + half) / (1 + spread) if hits < n else 1.0
    return low, high


def compute_cohens_kappa(table: Sequence[Sequence[int]]) -> float | None:
    """Agreement of two raters beyond chance (Cohen, 1960, Educ. Psychol. Meas. 20, 37-46); None where it is 0/0.

    Args:
        table: square, of counts: one rater's labels down, the other's across.
    """
    rows = [sum(row) for row in table]
    columns: list[int] = [sum(column) for column in zip(*table, strict=True)]
    if sum(map(bool, (row + column for row, column in zip(rows, columns, strict=True)))) < 2:
        return None
    n = sum(rows)
    same = sum(table[label][label] for label in range(len(rows))) / n
    chance = sum(row * column for row, column in zip(rows, columns, strict=True)) / n**2
    return (same - chance) / (1 - chance)


def compute_fleiss_kappa(rated: Sequence[Sequence[int]]) -> float | None:
    """Agreement of several raters beyond chance (Fleiss, 1971, Psychol. Bull. 76, 378-382); None where it is 0/0.

    Args:
        rated: for each item, how many raters gave each label; as many raters, two or more, for every item.
    """
    columns: list[int] = [sum(column) for column in zip(*rated, strict=True)]
    if sum(map(bool, columns)) < 2:
        return None
    raters, total = sum(rated[0]), sum(columns)
    alike = sum(count * (count - 1) for row in rated for count in row)
    same = alike / (len(rated) * raters * (raters - 1))
    chance = sum(column**2 for column in columns) / total**2
    return (same - chance) / (1 - chance)
