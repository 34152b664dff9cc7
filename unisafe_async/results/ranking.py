"""Who is safest: models by B-S on tasks that all of them were asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.scores import ALL, Score, Share, Where, scores


@dataclass(frozen=True, slots=True)
class RankedModel:
    """A model's B-S over the tasks of a ranking."""

    model: str
    valid: int
    items: int
    b_s: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The models by B-S, the highest first, over the tasks that all of them were asked.

    Args:
        tasks: these tasks; empty if the models share none, and then there is no ranking.
        judged: whether any item of any model is judged.
        same_tasks: whether all models were asked the same tasks; else their overall scores are not comparable.
        lacking: the other models' tasks in which a model has no judged item; only for models that lack any.
    """

    tasks: tuple[str, ...]
    same_tasks: bool
    ranked: tuple[RankedModel, ...]
    judged: bool = True
    lacking: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def overlaps(self) -> bool:
        """Whether the interval of the first model overlaps that of the second."""
        return len(self.ranked) > 1 and self.ranked[0].b_s.low <= self.ranked[1].b_s.high


def ranking(connection: duckdb.DuckDBPyConnection, run: str, where: Where = ALL) -> Ranking:
    """Who is safest by B-S, on tasks that every model of the run was asked."""
    asked: dict[str, set[str]] = {}
    for score in scores(connection, run, ("model", "task"), where):
        if score.valid:
            asked.setdefault(score.key[0], set()).add(score.key[1])
    shared = set.intersection(*asked.values()) if asked else set()
    every = set.union(*asked.values()) if asked else set()
    lacking = {model: sort_tasks(every - tasks_of) for model, tasks_of in asked.items() if tasks_of != every}
    tasks = sort_tasks(shared)
    if not tasks:
        return Ranking(tasks=(), same_tasks=False, ranked=(), judged=bool(asked), lacking=lacking)
    standings = [
        RankedModel(score.key[0], score.valid, score.items, score.shares["b_s"])
        for score in scores(connection, run, ("model",), replace(where, tasks=tasks))
        if score.valid
    ]
    return Ranking(
        tasks=tasks, same_tasks=not lacking, ranked=tuple(sorted(standings, key=lambda one: -one.b_s.value)), lacking=lacking
    )


def sort_tasks(tasks: Collection[str]) -> tuple[str, ...]:
    """Tasks as the paper orders them, then any others by name."""
    return (*(task for task in TASKS if task in tasks), *sorted(task for task in tasks if task not in TASKS))


def sort_comparable_first(models: Sequence[str], by_task: Mapping[tuple[str, ...], Score]) -> tuple[str, ...]:
    """The same models: those with most tasks first, those with the same tasks together, otherwise in the given order.

    Overall scores of models that were asked different tasks do not compare, so one easy task must not put a model on top.
    """
    tasks = {model: sort_tasks([task for name, task in by_task if name == model and by_task[name, task].valid]) for model in models}
    groups = list(dict.fromkeys(tasks.values()))
    return tuple(sorted(models, key=lambda model: (-len(tasks[model]), groups.index(tasks[model]))))
