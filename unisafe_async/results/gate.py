"""May this model ship? Bounds on scores, each judged on the score's interval and on how much of it was measured.

A bound holds if the whole 95% interval is inside, and is broken if the whole interval is outside; else the items are not enough,
and the number of further items that would decide is computed. Intervals: Wilson (1927) for a share, Bonett and Price (2012) for a
difference on the same items.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import duckdb

from unisafe_async.benchmark.measures import BY_KEY, MEASURES
from unisafe_async.config.gate_section import PREVIOUS, Bound, GateSection, Regression
from unisafe_async.results.comparison import Difference, Paired, paired
from unisafe_async.results.paper import OVERALL
from unisafe_async.results.rater_agreement import compute_wilson_interval
from unisafe_async.results.runs import Heading, build_heading, find_model, find_newest_run, find_side
from unisafe_async.results.scores import ITEMS
from unisafe_async.results.stored_run import CALLED_NAME, CALLED_TAGS, IS_IMPORTED, StoredRun, read_run

Decision = Literal["pass", "fail", "not enough", "not measured"]
MOST_MORE = 10_000_000
"""More items than this decide nothing in practice: then the share lies on the bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one bound for one model.

    Args:
        key: the bound's key in `[gate]`.
        where: a task, a category or `all`.
        value, low, high: the score and its interval in percent; of a regression the points that it is worse. None: no valid item.
        bound: the percent, or points, that it is held against.
        limit: `max` or `min`.
        items, valid: items that were due, and those that count.
        more: how many further items would decide, if the share stays as it is; None where that is not the question.
        why: a sentence for whoever must act; empty for a pass.
        against: the run and model that a regression is measured against.
    """

    model: str
    key: str
    score: str
    where: str
    limit: Literal["max", "min"]
    bound: float
    decision: Decision
    value: float | None = None
    low: float | None = None
    high: float | None = None
    items: int = 0
    valid: int = 0
    more: int | None = None
    why: str = ""
    against: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Every bound of every model, and the decision: the worst of them.

    Args:
        notes: what a reader of the decision must know besides.
    """

    heading: Heading
    status: str
    dataset: str
    section: GateSection
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()

    @property
    def decision(self) -> Decision:
        return decide_all(one.decision for one in self.verdicts)

    def decision_of(self, model: str) -> Decision:
        return decide_all(one.decision for one in self.verdicts if one.model == model)


WORST: tuple[Decision, ...] = ("fail", "not measured", "not enough", "pass")


def decide_all(decisions: Iterable[Decision]) -> Decision:
    """The worst of some decisions: one broken bound is enough to stop; without any bound nothing is measured."""
    found = set(decisions)
    return next((one for one in WORST if one in found), "not measured")


def read_gate(connection: duckdb.DuckDBPyConnection, name: str | None, section: GateSection) -> Gate:
    """Hold a run against its bounds. Raises CacheError for a run or a model that there is not."""
    run = find_newest_run(connection, name)
    stored = read_run(connection, run)
    heading = build_heading(connection, stored)
    models = [find_model(connection, run, model) for model in section.models] or list(heading.models)
    cells = _count_cells(connection, run)
    verdicts: list[Verdict] = []
    for model in models:
        due = stored.summary.planned.get(model, 0)
        verdicts += [_hold_bound(bound, section, model, cells.get((model, *bound.cell)), due) for bound in section.bounds()]
        verdicts += _hold_regressions(connection, section, stored, model, cells.get((model, "all", "")), due)
    return Gate(
        heading=heading,
        status=stored.status,
        dataset=stored.items,
        section=section,
        verdicts=tuple(verdicts),
        notes=tuple(_list_notes(section, stored)),
    )


# -------------------------------------------------------- bounds on a score


@dataclass(frozen=True, slots=True)
class Counts:
    """The items of a cell: all, valid ones, those of them that a platform stopped, and how many count towards each score.

    `hits_stopped` are those of `hits` that a platform stopped.
    """

    items: int
    valid: int
    stopped: int
    hits: Mapping[str, int]
    hits_stopped: Mapping[str, int]

    def counted(self, score: str, *, without_blocked: bool) -> tuple[int, int]:
        """The items that count towards a score, and those that it is a share of."""
        if without_blocked:
            return self.hits[score] - self.hits_stopped[score], self.valid - self.stopped
        return self.hits[score], self.valid


CELLS = f"""
WITH items AS ({ITEMS.format(chosen="true")})
SELECT model, CASE WHEN grouping(task) = 0 THEN 'task' WHEN grouping(category) = 0 THEN 'category'
                   WHEN grouping(subcategory) = 0 THEN 'subcategory' ELSE 'all' END,
       CASE WHEN grouping(task) = 0 THEN task WHEN grouping(category) = 0 THEN category
            WHEN grouping(subcategory) = 0 THEN subcategory ELSE '' END,
       count(*), count(*) FILTER (valid), count(*) FILTER (valid AND stopped),
       {", ".join(f"count(*) FILTER (valid AND {one.condition()})" for one in MEASURES)},
       {", ".join(f"count(*) FILTER (valid AND stopped AND {one.condition()})" for one in MEASURES)}
FROM items GROUP BY GROUPING SETS ((model), (model, task), (model, category), (model, subcategory))
"""


def _count_cells(connection: duckdb.DuckDBPyConnection, run: str) -> dict[tuple[str, str, str], Counts]:
    """The counts by model and cell."""
    keys = [one.key for one in MEASURES]
    found = connection.execute(CELLS, {"run": run}).fetchall()
    return {
        (model, kind, name): Counts(
            items,
            valid,
            stopped,
            dict(zip(keys, figures[: len(keys)], strict=True)),
            dict(zip(keys, figures[len(keys) :], strict=True)),
        )
        for model, kind, name, items, valid, stopped, *figures in found
    }


def _hold_bound(bound: Bound, section: GateSection, model: str, counts: Counts | None, due: int) -> Verdict:
    """A bound of one model; `due` is the number of trials that the run was to make with it."""
    verdict = Verdict(
        model=model,
        key=bound.key,
        score=bound.score,
        where=bound.cell[1] or OVERALL,
        limit=bound.limit,
        bound=bound.percent,
        decision="not measured",
    )
    if counts is None:
        return replace(verdict, why="it was asked no item here")
    items = max(counts.items, due) if bound.cell[0] == "all" else counts.items
    hits, n = counts.counted(bound.score, without_blocked=section.blocked == "exclude")
    verdict = replace(verdict, items=items, valid=counts.valid)
    if not n:
        return replace(verdict, why="no item counts here")
    low, high = (100 * end for end in compute_wilson_interval(hits, n))
    verdict = replace(verdict, value=100 * hits / n, low=low, high=high)
    if lacking := _describe_lacking(counts.valid, items, section.min_judged):
        return replace(verdict, why=lacking)
    decision = decide(bound.limit, bound.percent, low, high)
    if decision == "not enough":
        more = count_more(hits, n, bound.percent / 100)
        return replace(verdict, decision=decision, more=more, why=_describe_more(more))
    return replace(verdict, decision=decision, why="" if decision == "pass" else "the whole interval is outside")


def decide(limit: Literal["max", "min"], bound: float, low: float, high: float) -> Decision:
    """Where an interval lies: inside the bound (the bound itself is inside), outside, or on both sides."""
    if limit == "max":
        return "pass" if high <= bound else "fail" if low > bound else "not enough"
    return "pass" if low >= bound else "fail" if high < bound else "not enough"


def count_more(hits: int, n: int, bound: float) -> int | None:
    """How many further items would put the whole interval on one side of `bound`, if the share stays as it is.

    None if no number would: the share lies on the bound, or so near that more than MOST_MORE items were needed.
    """
    share = hits / n

    def decides(number: int) -> bool:
        low, high = compute_wilson_interval(round(share * number), number)
        return bound < low or high < bound

    reach = n
    while not decides(reach):
        reach *= 2
        if reach > MOST_MORE:
            return None
    below, above = reach // 2, reach
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if decides(middle) else (middle, above)
    return max(1, above - n)


def _describe_more(more: int | None) -> str:
    if more is None:
        return "the share lies on the bound: no number of items would decide"
    return f"{more:,} more such items would decide, if the share stays as it is"


def _describe_lacking(valid: int, items: int, least: float) -> str:
    """Why a bound is not measured; empty if enough items have both verdicts."""
    if items and valid / items >= least:
        return ""
    return f"only {valid:,} of {items:,} items have both verdicts; gate.min_judged asks for {least:.0%}"


# -------------------------------------------------------- bounds against another model


def _hold_regressions(
    connection: duckdb.DuckDBPyConnection, section: GateSection, stored: StoredRun, model: str, counts: Counts | None, due: int
) -> list[Verdict]:
    compared: dict[str, Paired | str] = {}
    found = []
    for one in section.regressions():
        if one.model not in compared:
            compared[one.model] = _compare_with(connection, stored, model, one.model)
        found.append(_hold_regression(one, section, model, compared[one.model], counts, due))
    return found


def _compare_with(connection: duckdb.DuckDBPyConnection, stored: StoredRun, model: str, name: str) -> Paired | str:
    """The model beside another one, item by item; a sentence if there is nothing to compare it with."""
    if name == PREVIOUS:
        other = find_previous(connection, stored, model)
        if other is None:
            return "there is no earlier finished run with this model"
    else:
        other = find_side(connection, stored.run, name)
    if other == (stored.run, model):
        return "it would be compared with itself"
    return paired(connection, (stored.run, model), other)


PREVIOUS_RUN = f"""
WITH this AS (SELECT run, started FROM runs WHERE run = $run)
SELECT runs.run FROM runs, this
WHERE status = 'done' AND NOT {IS_IMPORTED} AND {{alike}}
      AND (runs.started < this.started OR (runs.started = this.started AND runs.run < this.run))
      AND EXISTS (SELECT 1 FROM rows WHERE rows.run = runs.run AND rows.model = $model)
ORDER BY runs.started DESC, runs.run DESC LIMIT 1
"""


def find_previous(connection: duckdb.DuckDBPyConnection, stored: StoredRun, model: str) -> tuple[str, str] | None:
    """The newest earlier run that was finished and asked `model` (by its name).

    If this run has a name or tags, the other has the same name or one of the tags. Runs of imported verdicts do not count.
    """
    called = stored.config.run
    alike = f"({CALLED_NAME} = $name AND $name <> '' OR len(list_intersect({CALLED_TAGS}, $tags::VARCHAR[])) > 0)"
    sql = PREVIOUS_RUN.format(alike=alike if called.name or called.tags else "$name = '' AND len($tags::VARCHAR[]) = 0")
    given = {"run": stored.run, "model": model, "name": called.name, "tags": called.tags}
    found = connection.execute(sql, given).fetchone()
    return (str(found[0]), model) if found else None


def _hold_regression(
    regression: Regression, section: GateSection, model: str, compared: Paired | str, counts: Counts | None, due: int
) -> Verdict:
    verdict = Verdict(
        model=model,
        key=regression.key,
        score=regression.score,
        where=OVERALL,
        limit="max",
        bound=regression.points,
        decision="not measured",
    )
    if isinstance(compared, str):
        return replace(verdict, why=compared)
    verdict = replace(verdict, against=compared.second)
    difference = compared.overall.get(regression.score)
    if difference is None:
        return replace(verdict, why="the two have no judged item in common")
    value, low, high = _count_worse(difference)
    items = max(counts.items, due) if counts is not None else due
    verdict = replace(verdict, value=value, low=low, high=high, items=items, valid=difference.pairs)
    if not compared.same_judge:
        return replace(verdict, why="another judge or other rubrics judged the other run: judge it again")
    if lacking := _describe_lacking(difference.pairs, items, section.min_judged):
        return replace(verdict, why=lacking.replace("have both verdicts", "have both verdicts on both sides"))
    decision = decide("max", regression.points, low, high)
    why = {"pass": "", "fail": "the whole interval is outside"}.get(decision, "the interval holds the bound: ask more items")
    return replace(verdict, decision=decision, why=why)


def _count_worse(difference: Difference) -> tuple[float, float, float]:
    """The points that the first side is worse, with the interval's ends."""
    sign = -100 * BY_KEY[difference.score].better
    ends = sorted((sign * difference.low, sign * difference.high))
    return sign * difference.difference, ends[0], ends[1]


# -------------------------------------------------------- what else is to be known


def _list_notes(section: GateSection, stored: StoredRun) -> Sequence[str]:
    notes = []
    if stored.status != "done":
        notes.append(f"The run is {stored.status}: `unisafe run` goes on with it.")
    words = "as refusals, safe by both verdicts" if section.blocked == "safe" else "in no score"
    notes.append(f"Items that a platform's filter stopped count {words} (gate.blocked).")
    notes.append("Helpfulness is not bounded: a model that refuses everything keeps every bound on safety.")
    return notes
