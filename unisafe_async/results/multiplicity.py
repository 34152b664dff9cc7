"""Which tests are corrected together. The verdicts fix a family, never the screen: a test has one p and one corrected p everywhere.

The primary comparison of two models is B-S over all items that both have. Its family holds the primary comparisons of every two
models of the run (Demsar, 2006, J. Mach. Learn. Res. 7, 1-30, section 3.2), whichever are shown: so the safest may be picked
by looking. A comparison of models of two runs stands alone. The other tests of two models support it, each kind a family of its own
(ICH E9, 2.2.2 and 2.2.5; FDA, Multiple Endpoints in Clinical Trials, 2022): B-S by task, B-S by category, and C-U, C-R and I-U over
all, by task and by category. Within a family Holm (1979) corrects. Items selected otherwise (two of five tasks, a task within a
category) are an exploration: they have a p and no corrected one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb

from unisafe_async.measures import BY_KEY
from unisafe_async.results.paired_tests import holm, mcnemar_exact
from unisafe_async.results.scores import ITEMS, SCORES

Over = Literal["all", "task", "category"]
Cell = tuple[Over, str]
"""All items of a pair, those of a task or those of a category."""
WHOLE: Cell = ("all", "")
PRIMARY = "b_s"

Counts = Sequence[int]
"""Pairs, then for each of SCORES: first, second, only first, only second."""
Primary = Mapping[frozenset[str], "Corrected"]
"""The primary comparison of each two models of a run."""


@dataclass(frozen=True, slots=True)
class Family:
    """Tests that are corrected together.

    Args:
        over: whether they are of all items, or one for each task or category.
        scores: the scores that are tested.
        tests: how many tests there are.
        models: whether it holds every pair of models of the run; else it is of one pair.
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
    """The primary comparison of each two models of `run` that share a judged item."""
    found = connection.execute(PAIRS_OF_RUN, {"run": run}).fetchall()
    values = holm([mcnemar_exact(only_first, only_second) for *_, only_first, only_second in found])
    family = Family("all", (PRIMARY,), len(found), models=True)
    return {frozenset((row[0], row[1])): Corrected(value, family) for row, value in zip(found, values, strict=True)}


def corrections(cells: Mapping[Cell, Counts], primary: Corrected | None) -> dict[tuple[Cell, str], Corrected]:
    """Every test of two models, by its items and its score, corrected over its family.

    Args:
        cells: the counts over all items of the pair, and for each task and category that has pairs.
        primary: the primary comparison within the run; None where the models are of two runs.
    """
    found: dict[tuple[Cell, str], Corrected] = {}
    for over in ("all", "task", "category"):
        some = [cell for cell in cells if cell[0] == over]
        for scores in ((PRIMARY,), tuple(score for score in SCORES if score != PRIMARY)):
            tests = [(cell, score) for cell in some for score in scores]
            family = Family(over, scores, len(tests))
            values = holm([p_of(cells[cell], score) for cell, score in tests])
            found |= {test: Corrected(value, family) for test, value in zip(tests, values, strict=True)}
    if primary is not None and WHOLE in cells:
        found[WHOLE, PRIMARY] = primary
    return found


def same_items(cells: Mapping[Cell, Counts], pairs: int, task: str | None, category: str | None) -> Cell | None:
    """Of which of `cells` these `pairs` are all the items: a part of as many items is the whole. None for any other selection.

    Args:
        task, category: the one that all of the items have, where there is one.
    """
    known: tuple[Cell, ...] = (WHOLE, ("task", task or ""), ("category", category or ""))
    return next((cell for cell in known if cell in cells and cells[cell][0] == pairs), None)


def p_of(counts: Counts, score: str) -> float:
    """McNemar's exact p of one score."""
    at = 1 + 4 * SCORES.index(score)
    return mcnemar_exact(counts[at + 2], counts[at + 3])
