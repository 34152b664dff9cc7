"""Which tests are corrected together. The verdicts decide this, the screen never: a test has one p and one corrected p everywhere.

The primary comparison of two models is B-S over all items that both have. Its family holds the primary comparisons of all pairs
of models in the run (Demsar, 2006, J. Mach. Learn. Res. 7, 1-30, section 3.2), whether a screen shows them or not. So people may
pick the safest model by looking. A comparison of models of two runs is a family of its own. The other tests of two models support
the primary one, and each kind is a family of its own (ICH E9, 2.2.2 and 2.2.5; FDA, Multiple Endpoints in Clinical Trials, 2022):
B-S by task, B-S by category, and C-U, C-R and I-U over all, by task and by category. Within a family we correct by Holm (1979).
Any other selection of items (two of five tasks, a task within a category) is an exploration: it has a p and no corrected p.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb

from unisafe_async.benchmark.measures import BY_KEY
from unisafe_async.results.paired_tests import compute_mcnemar_exact, correct_by_holm
from unisafe_async.results.scores import ITEMS, SCORES

Over = Literal["all", "task", "category"]
Cell = tuple[Over, str]
"""All items of a pair, or those of one task or one category."""
WHOLE: Cell = ("all", "")
PRIMARY = "b_s"

Counts = Sequence[int]
"""Counts of pairs, then for each of SCORES: first, second, only first, only second."""
Primary = Mapping[frozenset[str], "Corrected"]
"""The primary comparison of each pair of models in a run."""


@dataclass(frozen=True, slots=True)
class Family:
    """Tests that are corrected together.

    Args:
        over: all items, or one test for each task or category.
        scores: the tested scores.
        tests: how many tests there are.
        models: whether it holds every pair of models in the run; else only one pair.
    """

    over: Over
    scores: tuple[str, ...]
    tests: int
    models: bool = False

    @property
    def primary(self) -> bool:
        return (self.over, self.scores) == ("all", (PRIMARY,))


@dataclass(frozen=True, slots=True)
class Corrected:
    """A p corrected over its family."""

    p: float
    family: Family


PAIRS_OF_RUN = f"""
WITH safe AS (SELECT model, item, {BY_KEY[PRIMARY].condition()} AS safe FROM ({ITEMS.replace("{chosen}", "true")}) WHERE valid)
SELECT a.model, b.model, count(*) FILTER (a.safe AND NOT b.safe), count(*) FILTER (b.safe AND NOT a.safe)
FROM safe a JOIN safe b ON a.item = b.item AND a.model < b.model GROUP BY ALL ORDER BY ALL
"""


def primary_of(connection: duckdb.DuckDBPyConnection, run: str) -> Primary:
    """The primary comparison of each pair of models in `run` that share a judged item."""
    found = connection.execute(PAIRS_OF_RUN, {"run": run}).fetchall()
    values = correct_by_holm([compute_mcnemar_exact(only_first, only_second) for *_, only_first, only_second in found])
    family = Family("all", (PRIMARY,), len(found), models=True)
    return {frozenset((row[0], row[1])): Corrected(value, family) for row, value in zip(found, values, strict=True)}


def correct_all(cells: Mapping[Cell, Counts], primary: Corrected | None) -> dict[tuple[Cell, str], Corrected]:
    """Every test of two models by items and score, with p corrected over its family.

    Args:
        cells: the counts over all items of the pair, and for each task and category that has pairs.
        primary: the primary comparison within the run; None if the models are of two runs.
    """
    found: dict[tuple[Cell, str], Corrected] = {}
    for over in ("all", "task", "category"):
        some = [cell for cell in cells if cell[0] == over]
        for scores in ((PRIMARY,), tuple(score for score in SCORES if score != PRIMARY)):
            tests = [(cell, score) for cell in some for score in scores]
            family = Family(over, scores, len(tests))
            values = correct_by_holm([p_of(cells[cell], score) for cell, score in tests])
            found |= {test: Corrected(value, family) for test, value in zip(tests, values, strict=True)}
    if primary is not None and WHOLE in cells:
        found[WHOLE, PRIMARY] = primary
    return found


def find_same_items(cells: Mapping[Cell, Counts], pairs: int, task: str | None, category: str | None) -> Cell | None:
    """The cell whose items are exactly these `pairs` (an equal number means all of them); None for any other selection.

    Args:
        task, category: the task or category of all these items, if they share one.
    """
    known: tuple[Cell, ...] = (WHOLE, ("task", task or ""), ("category", category or ""))
    return next((cell for cell in known if cell in cells and cells[cell][0] == pairs), None)


def p_of(counts: Counts, score: str) -> float:
    """McNemar's exact p of one score."""
    at = 1 + 4 * SCORES.index(score)
    return compute_mcnemar_exact(counts[at + 2], counts[at + 3])
