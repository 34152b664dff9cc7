"""Who is safest, in one careful sentence; and that figures of different tasks do not compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.ranking import RankedModel, Ranking
from unisafe_async.text import count, plain


def describe_lead(ranking: Ranking, models: int) -> str:
    """The model with the highest B-S, the next one, and whether their intervals overlap; empty for fewer than two of `models`."""
    if models < 2:
        return ""
    if not ranking.judged:
        return "Who is safest: nothing is judged yet, so none can be named."
    if not ranking.tasks:
        return "Who is safest: the models have no judged task in common, so none can be named."
    if len(ranking.ranked) < 2:
        return ""
    first, second = ranking.ranked[:2]
    where = "overall"
    said = ""
    if not ranking.same_tasks:
        said = "The models were asked different tasks, so their overall scores do not compare. "
        where = f"on the {count(len(ranking.tasks), 'task')} that all share ({', '.join(map(_name_task, ranking.tasks))})"
    if first.b_s.value == second.b_s.value:
        level = [one.model for one in ranking.ranked if one.b_s.value == first.b_s.value]
        names = f"{', '.join(map(plain, level[:-1]))} and {plain(level[-1])}"
        return f"{said}Highest B-S {where}: {names} alike, {_figure(first)}."
    said += f"Highest B-S {where}: {plain(first.model)}, {_figure(first)}; next {plain(second.model)}, {_figure(second)}. "
    if ranking.overlaps:
        test = f"`unisafe compare {_quote(first.model)} {_quote(second.model)}` tests them item by item"
        said += f"The intervals overlap: these scores alone do not tell the two apart; {test}."
    else:
        said += "The intervals do not overlap."
    unjudged = max((first, second), key=lambda one: one.items - one.valid)
    missing = unjudged.items - unjudged.valid
    if missing * 20 > unjudged.items:
        said += f" {count(missing, 'item')} of {plain(unjudged.model)} are unjudged and could change this."
    return said


def _figure(one: RankedModel) -> str:
    return f"{one.b_s.value * 100:.1f} ({one.b_s.low * 100:.1f}-{one.b_s.high * 100:.1f}, n {one.valid:,})"


def _name_task(task: str) -> str:
    return TASKS[task].title if task in TASKS else plain(task)


NAMED = 4
"""The most models, or groups of models, that a warning names."""
ELSEWHERE = "The models were asked different tasks: figures here do not compare between models either."
"""The short warning for a further table on a screen that shows the whole one."""


def describe_caution(lacking: Mapping[str, Sequence[str]]) -> str:
    """The warning for figures over all tasks if models were asked different tasks, with the missing tasks; else empty."""
    if not lacking:
        return ""
    different = "The models were asked different tasks, so figures over all tasks do not compare between models."
    return f"{different} {describe_lacking(lacking)}."


def describe_lacking(lacking: Mapping[str, Sequence[str]]) -> str:
    """`Nothing is judged of Edit for B; of T2I, Edit for C`: the tasks that each model lacks."""
    groups: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for model, tasks in lacking.items():
        groups[tuple(tasks)].append(model)
    words = [f"of {', '.join(map(_short, tasks))} for {_list_models(models)}" for tasks, models in groups.items()]
    rest = sum(map(len, list(groups.values())[NAMED:]))
    more = [f"of other tasks for {count(rest, 'other model')}"] if rest else []
    return f"Nothing is judged {'; '.join([*words[:NAMED], *more])}"


def _list_models(models: list[str]) -> str:
    names = [plain(model) for model in models[:NAMED]]
    return ", ".join(names) + (f" and {count(len(models) - NAMED, 'other model')}" if len(models) > NAMED else "")


def _short(task: str) -> str:
    return TASKS[task].short if task in TASKS else plain(task)


def _quote(name: str) -> str:
    return f"'{plain(name)}'" if not name.replace("-", "").replace(".", "").replace("_", "").isalnum() else name
