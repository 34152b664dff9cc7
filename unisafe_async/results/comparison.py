"""Compares two models on the same items, and unified models with their backbones: data, no printing.

An item is a pair if both sides have a verdict for it (repeats as in `scores`). Differences are first - second.
p: McNemar's exact test, two-sided, on the items where the sides differ; corrected over its family by Holm (`multiplicity`).
Interval of a difference: Bonett and Price (2012), the adjusted Wald interval for paired proportions, 95%.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import duckdb
from unisafe_cache.run_shapes import Judge
from unisafe_judger import SCALES

from unisafe_async.benchmark.measures import MEASURES
from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.multiplicity import (
    WHOLE,
    Cell,
    Corrected,
    Counts,
    Family,
    Primary,
    correct_all,
    find_same_items,
    p_of,
    primary_of,
)
from unisafe_async.results.paired_tests import estimate_paired_interval
from unisafe_async.results.paper import OVERALL, fold_name
from unisafe_async.results.scores import ALL, ITEMS, SCORES, Where
from unisafe_async.results.stored_run import IS_IMPORTED, find_run

LEVEL = 0.05
"""A corrected p below this level counts as a difference."""

Side = tuple[str, str]
"""A run and one of its models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One score of two models on the same items.

    Args:
        task: a task's key, or `all` for every shared task together.
        pairs: items with a verdict on both sides.
        first, second: the score of each side on these, between 0 and 1.
        low, high: 95% interval of `first - second`.
        only_first, only_second: the numbers of items that count towards the score on one side only.
        p: McNemar's exact p of this test, uncorrected.
        corrected: p corrected over `family`; None for an exploration, which belongs to no family.
    """

    task: str
    score: str
    pairs: int
    first: float
    second: float
    low: float
    high: float
    only_first: int
    only_second: int
    p: float
    corrected: float | None = None
    family: Family | None = None

    @property
    def difference(self) -> float:
        return self.first - self.second

    @property
    def told_apart(self) -> bool:
        """Whether the corrected test tells the two sides apart."""
        return self.corrected is not None and self.corrected < LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """An item that is safe by both verdicts on one side only; labels as in table `rows`, (contextual, intrinsic)."""

    item: str
    task: str
    category: str
    first: tuple[int, int]
    second: tuple[int, int]

    @property
    def first_safe(self) -> bool:
        contextual, intrinsic = self.first
        return contextual not in SCALES["contextual"].unsafe and intrinsic not in SCALES["intrinsic"].unsafe


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Two models on the same items.

    Args:
        differences: four for each shared task, then four over all of them if there are several tasks.
        flips: in the order of the items.
        only_first, only_second: items that were judged on one side only, by task; they are in no figure.
        asked_otherwise: items of the same name whose request differs between the two runs; they are left out.
        judges: the judges of each side.
        same_judge: whether judge and rubrics are the same on both sides.
    """

    first: Side
    second: Side
    differences: tuple[Difference, ...]
    flips: tuple[Flip, ...]
    only_first: dict[str, int]
    only_second: dict[str, int]
    asked_otherwise: int
    judges: tuple[str, str]
    same_judge: bool

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with pairs."""
        return tuple(dict.fromkeys(one.task for one in self.differences if one.task != OVERALL))

    def of(self, task: str, score: str) -> Difference | None:
        return next((one for one in self.differences if (one.task, one.score) == (task, score)), None)

    @property
    def overall(self) -> dict[str, Difference]:
        """Each score over all shared tasks."""
        task = OVERALL if len(self.tasks) > 1 else next(iter(self.tasks), "")
        return {one.score: one for one in self.differences if one.task == task}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unification:
    """A unified model against the language model it was built on.

    Args:
        paired: the first side is the unified model; None if there is nothing to compare, with `why` in a user's words.
        not_shared: tasks that the unified model was asked and its backbone was not.
    """

    model: str
    backbone: str
    paired: Paired | None
    why: str
    not_shared: tuple[str, ...]


# -------------------------------------------------------- two models

PAIRS = f"""
WITH a AS ({ITEMS.replace("$run", "$run_a").replace("{chosen}", "model = $model_a")}),
     b AS ({ITEMS.replace("$run", "$run_b").replace("{chosen}", "model = $model_b")})
SELECT coalesce(a.item, b.item) AS item, coalesce(a.task, b.task) AS task, coalesce(a.category, b.category) AS category,
       coalesce(a.subcategory, b.subcategory) AS subcategory,
       coalesce(a.valid, false) AS valid_a, coalesce(b.valid, false) AS valid_b,
       a.y_ctx AS ctx_a, a.y_int AS int_a, b.y_ctx AS ctx_b, b.y_int AS int_b,
       {", ".join(f"{one.condition(f'{side}.y_ctx', f'{side}.y_int')} AS {one.key}_{side}" for one in MEASURES for side in "ab")}
FROM a FULL JOIN b ON a.item = b.item
"""
ASKED = """
SELECT item, min(json_extract_string(request, '$.parts')) FROM rows JOIN responses ON response = responses.id
WHERE rows.run = {run} AND rows.model = {model} GROUP BY item
"""
OTHERWISE = f"""
SELECT a.item FROM ({ASKED.format(run="$run_a", model="$model_a")}) AS a(item, parts)
JOIN ({ASKED.format(run="$run_b", model="$model_b")}) AS b(item, parts) USING (item) WHERE a.parts <> b.parts
"""
COUNTS = ", ".join(
    f"count(*) FILTER ({score}_a), count(*) FILTER ({score}_b), "
    f"count(*) FILTER ({score}_a AND NOT {score}_b), count(*) FILTER ({score}_b AND NOT {score}_a)"
    for score in SCORES
)


def paired(connection: duckdb.DuckDBPyConnection, first: Side, second: Side, where: Where = ALL) -> Paired:
    """The two sides on the items that both have a verdict for; `first` and `second` are (run, model), from one run or two.

    `where` selects what is shown. It changes no p: a test is corrected over its whole family.
    """
    return _compare(connection, first, second, where, primary_of(connection, first[0]) if first[0] == second[0] else {})


def duels(
    connection: duckdb.DuckDBPyConnection, run: str, model: str, others: Iterable[str], where: Where = ALL
) -> dict[str, Difference]:
    """B-S of `model` against each of `others` that shares judged items with it, over all shared items in `where`."""
    primary = primary_of(connection, run)
    met = {other: _compare(connection, (run, model), (run, other), where, primary).overall.get("b_s") for other in others}
    return {other: duel for other, duel in met.items() if duel is not None}


def _compare(connection: duckdb.DuckDBPyConnection, first: Side, second: Side, where: Where, primary: Primary) -> Paired:
    """As `paired`, with the known primary comparisons of the run."""
    sides = {"run_a": first[0], "model_a": first[1], "run_b": second[0], "model_b": second[1]}
    where = replace(where, models=())
    known = [_read_judges(connection, run) for run, _ in (first, second)]
    otherwise: list[str] = []
    if known[0]["dataset"] != known[1]["dataset"]:
        otherwise = [str(row[0]) for row in connection.execute(OTHERWISE, sides).fetchall()]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE every_pair AS SELECT * FROM ({PAIRS}) WHERE NOT list_contains($not, item)",
        {**sides, "not": otherwise},
    )
    cells = _cells(connection)
    tests = correct_all(cells, primary.get(frozenset((first[1], second[1]))))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE paired AS FROM every_pair AS rows WHERE {where.sql}", where.parameters)
    differences = _build_differences(connection, cells, tests)
    flips = connection.execute(
        "SELECT item, task, category, ctx_a, int_a, ctx_b, int_b FROM paired "
        "WHERE valid_a AND valid_b AND b_s_a <> b_s_b ORDER BY item"
    ).fetchall()
    lone = connection.execute(
        "SELECT task, count(*) FILTER (valid_a), count(*) FILTER (valid_b) FROM paired "
        "WHERE valid_a <> valid_b GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    connection.execute("DROP TABLE paired; DROP TABLE every_pair")
    return Paired(
        first=first,
        second=second,
        differences=differences,
        flips=tuple(
            Flip(item=item, task=task, category=category, first=(*labels[:2],), second=(*labels[2:],))
            for item, task, category, *labels in flips
        ),
        only_first={task: number for task, number, _ in lone if number},
        only_second={task: number for task, _, number in lone if number},
        asked_otherwise=len(otherwise),
        judges=(known[0]["title"], known[1]["title"]),
        same_judge=all(known[0][key] == known[1][key] for key in ("judge", "rubrics")),
    )


def _cells(connection: duckdb.DuckDBPyConnection) -> dict[Cell, Counts]:
    """The counts over all pairs, each task and each category, whatever is shown."""
    found = connection.execute(
        f"SELECT grouping(task), grouping(category), coalesce(task, category, ''), count(*), {COUNTS} FROM every_pair "
        "WHERE valid_a AND valid_b GROUP BY GROUPING SETS ((task), (category), ())"
    ).fetchall()
    cells: dict[Cell, Counts] = {}
    for no_task, no_category, name, *counts in found:
        cell: Cell = WHOLE if no_task and no_category else ("category", name) if no_task else ("task", name)
        cells[cell] = counts
    return cells if cells.get(WHOLE, (0,))[0] else {}


def _build_differences(
    connection: duckdb.DuckDBPyConnection, cells: Mapping[Cell, Counts], tests: Mapping[tuple[Cell, str], Corrected]
) -> tuple[Difference, ...]:
    """Four for each task of table `paired`, then four over all of them if there are several."""
    counted = connection.execute(
        f"SELECT task, min(category), max(category), count(*), {COUNTS} FROM paired "
        "WHERE valid_a AND valid_b GROUP BY GROUPING SETS ((task), ())"
    ).fetchall()
    by_task = {row[0] or OVERALL: row[1:] for row in counted if row[3]}
    tasks = [task for task in TASKS if task in by_task] + sorted(by_task.keys() - TASKS.keys() - {OVERALL})
    found = []
    for task in [*tasks, OVERALL] if len(tasks) > 1 else tasks:
        lowest, highest, *counts = by_task[task]
        cell = find_same_items(cells, counts[0], None if task == OVERALL else task, lowest if lowest == highest else None)
        found += [_build_difference(task, score, counts, tests.get((cell, score)) if cell else None) for score in SCORES]
    return tuple(found)


def _build_difference(task: str, score: str, counts: Counts, test: Corrected | None) -> Difference:
    pairs = counts[0]
    at = 1 + 4 * SCORES.index(score)
    first, second, only_first, only_second = counts[at : at + 4]
    low, high = estimate_paired_interval(only_first, only_second, pairs)
    p = p_of(counts, score)
    found = Difference(
        task=task,
        score=score,
        pairs=pairs,
        first=first / pairs,
        second=second / pairs,
        low=low,
        high=high,
        only_first=only_first,
        only_second=only_second,
        p=p,
    )
    return replace(found, corrected=test.p, family=test.family) if test else found


def _read_judges(connection: duckdb.DuckDBPyConnection, run: str) -> dict[str, str]:
    """The parts of a run that decide whether its verdicts can be compared with another run's."""
    stored = find_run(connection, run)
    if stored is None:
        return {"judge": "unknown", "title": "unknown", "rubrics": "", "dataset": run}
    judge = stored.config.judge
    return {
        "judge": judge_key(judge),
        "title": judge.title,
        "rubrics": stored.rubrics_digest,
        "dataset": stored.dataset_digest,
    }


def judge_key(judge: Judge) -> str:
    """The judges and how their votes are combined; equal for judges whose verdicts can be compared."""
    members = [[one.provider, one.model, one.base_url, one.kind, one.threshold] for one in judge.members]
    return json.dumps([members, judge.mode, judge.tie] if len(members) > 1 else members)


# -------------------------------------------------------- the cost of unification


def backbones(connection: duckdb.DuckDBPyConnection, run: str, where: Where = ALL) -> tuple[Unification, ...]:
    """Each model of the run whose configuration names a backbone, against it."""
    stored = find_run(connection, run)
    models = stored.config.models if stored else []
    names = {fold_name(model.name): model.name for model in models}
    chosen = {model.name: model.backbone for model in models if model.backbone and (not where.models or model.name in where.models)}
    primary = primary_of(connection, run) if chosen else {}
    return tuple(_compare_unified(connection, run, model, backbone, names, where, primary) for model, backbone in chosen.items())


def _compare_unified(
    connection: duckdb.DuckDBPyConnection,
    run: str,
    model: str,
    backbone: str,
    names: Mapping[str, str],
    where: Where,
    primary: Primary,
) -> Unification:
    asked = _list_tasks(connection, run, model, where)
    known = names.get(fold_name(backbone))
    if known is None:
        elsewhere = _find_other_run(connection, backbone, run)
        why = f"{backbone} is no model of this run"
        if elsewhere:
            why += f"; run {elsewhere[0]} has it: unisafe compare {model!r} {':'.join(elsewhere)!r}"
        return Unification(model=model, backbone=backbone, paired=None, why=why, not_shared=asked)
    pair = _compare(connection, (run, model), (run, known), where, primary)
    shared = _list_tasks(connection, run, known, where)
    not_shared = tuple(task for task in asked if task not in shared)
    why = "" if pair.tasks else f"{model} and {known} have no judged item in common"
    return Unification(model=model, backbone=known, paired=pair if pair.tasks else None, why=why, not_shared=not_shared)


def _list_tasks(connection: duckdb.DuckDBPyConnection, run: str, model: str, where: Where) -> tuple[str, ...]:
    sql = f"SELECT DISTINCT task FROM rows WHERE run = $run AND model = $model AND {replace(where, models=()).sql}"
    found = connection.execute(sql, {"run": run, "model": model, **replace(where, models=()).parameters}).fetchall()
    asked = {str(row[0]) for row in found}
    return tuple(task for task in TASKS if task in asked)


def _find_other_run(connection: duckdb.DuckDBPyConnection, model: str, besides: str) -> tuple[str, str] | None:
    """The newest other run with rows of `model`, and the model's name there."""
    found = connection.execute(
        "SELECT run, model FROM rows JOIN runs USING (run) WHERE run <> ? "
        f"GROUP BY ALL ORDER BY bool_or({IS_IMPORTED}), max(created) DESC, run DESC",
        [besides],
    ).fetchall()
    return next(((str(run), str(name)) for run, name in found if fold_name(str(name)) == fold_name(model)), None)
