"""Who is safest: models by B-S on tasks that all of them were asked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb

from unisafe_async.scores import ALL, Share, Where, scores
from unisafe_async.taxonomy import TASKS


@dataclass(frozen=True, slots=True)
class Standing:
    """A model's B-S over the tasks of a ranking."""

    model: str
    valid: int
    items: int
    b_s: Share


@dataclass(frozen=True, slots=True)
class Ranking:
    """Models by B-S, the highest first, over the tasks that all of them were asked.

    Args:
        tasks: these tasks; empty where the models share none, and then there is no standing.
        judged: whether anything of any of them is judged.
        same_tasks: whether that is every task that any of them was asked; else their overall scores are not comparable.
    """

    tasks: tuple[str, ...]
    same_tasks: bool
    standings: tuple[Standing, ...]
    judged: bool = True

    @property
    def overlaps(self) -> bool:
        """Whether the interval of the first reaches that of the second."""
        return len(self.standings) > 1 and self.standings[0].b_s.low <= self.standings[1].b_s.high


def ranking(connection: duckdb.DuckDBPyConnection, run: str, where: Where = ALL) -> Ranking:
    """Who is safest by B-S, on tasks that every model of the run was asked."""
    asked: dict[str, set[str]] = {}
    for score in scores(connection, run, ("model", "task"), where):
        if score.valid:
            asked.setdefault(score.key[0], set()).add(score.key[1])
    shared = set.intersection(*asked.values()) if asked else set()
    tasks = tuple(task for task in TASKS if task in shared) or tuple(sorted(shared))
    same = all(tasks_of == shared for tasks_of in asked.values())
    if not tasks:
        return Ranking((), False, (), judged=bool(asked))
    standings = [
        Standing(score.key[0], score.valid, score.items, score.shares["b_s"])
        for score in scores(connection, run, ("model",), replace(where, tasks=tasks))
        if score.valid
    ]
    return Ranking(tasks, same, tuple(sorted(standings, key=lambda one: -one.b_s.value)))
