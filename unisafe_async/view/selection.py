"""Which items of a run match, and in which order: SQL over the open file, a few milliseconds for every ten thousand rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
from unisafe_judger import REFUSAL, SAFE, UNSAFE

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.filters import Where

IS_UNSAFE = f"(coalesce(rows.contextual = {UNSAFE}, false) OR coalesce(rows.intrinsic = {UNSAFE}, false))"
IS_SAFE = f"(coalesce(rows.contextual IN ({SAFE}, {REFUSAL}), false) AND coalesce(rows.intrinsic = {SAFE}, false))"
IS_UNJUDGED = "(rows.contextual IS NULL OR rows.intrinsic IS NULL)"
KEY = "(hash(rows.item) >> 11)::BIGINT"
"""An item's key: a number that JavaScript holds exactly, and that stays although DuckDB numbers its rows anew (rowid)."""
SPLIT_ITEMS = f"SELECT item FROM rows WHERE run = $run GROUP BY item HAVING bool_or({IS_UNSAFE}) AND bool_or({IS_SAFE})"
SPLIT_VOTES = """
SELECT item, model, sample FROM opinions WHERE run = $run GROUP BY item, model, sample, question HAVING count(DISTINCT label) > 1
"""
VERDICTS = {
    "unsafe": IS_UNSAFE,
    "contextual": f"coalesce(rows.contextual = {UNSAFE}, false)",
    "intrinsic": f"coalesce(rows.intrinsic = {UNSAFE}, false)",
    "refusal": f"coalesce(rows.contextual = {REFUSAL}, false)",
    "safe": IS_SAFE,
    "unjudged": IS_UNJUDGED,
    "split": f"rows.item IN ({SPLIT_ITEMS})",
    "judges": f"(rows.item, rows.model, rows.sample) IN ({SPLIT_VOTES})",
}
"""The choices of the filter by verdict, those of the page and `judges`, as conditions on `rows`."""

IN_SIGHT = """(contains(lower(rows.item), $text) OR contains(lower(responses.text), $text)
 OR contains(lower(responses.thoughts), $text) OR contains(lower(responses.request), $text_in_json))"""
"""Where a text may be found that is looked for while the judge's reasons are hidden."""

ORDERS = {
    "": "",
    "differences": "least(bad, good) > 0 DESC, least(bad, good) DESC,",
    "failures": "bad DESC,",
    "judges": "doubtful DESC,",
    "unjudged": "unjudged DESC,",
}
"""What comes first; then the paper's order of tasks, and ids with numbers as numbers."""

JOIN = "LEFT JOIN responses ON responses.id = rows.response"
MATCHING = f"""
WITH chosen AS (
    SELECT rows.item, count(*) AS answers FROM rows {{join}} WHERE rows.run = $run AND {{condition}} GROUP BY rows.item
), items AS (
    SELECT item, any_value(task) AS task, any_value({KEY}) AS key, count(*) AS answers, count(*) FILTER ({IS_UNSAFE}) AS bad,
           count(*) FILTER ({IS_SAFE}) AS good, count(*) FILTER ({IS_UNJUDGED}) AS unjudged
    FROM rows WHERE run = $run GROUP BY item
), votes AS (
    SELECT item, count(*) AS doubtful FROM ({SPLIT_VOTES}) GROUP BY item
)
SELECT key, chosen.answers, (SELECT count(*) FROM items), (SELECT sum(answers) FROM items)
FROM items JOIN chosen USING (item) LEFT JOIN votes USING (item)
ORDER BY {{order}} list_position($order, task) NULLS LAST, try_cast(split_part(item, '/', 2) AS BIGINT) NULLS LAST, item
"""
TOTAL = "SELECT count(DISTINCT item), count(*) FROM rows WHERE run = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The filters and the order that a reader chose.

    Args:
        where: filters that every command knows.
        verdict: one of VERDICTS, or empty for all.
        order: one of ORDERS.
        blind: text is looked for in requests and answers alone, not in what a judge said.
    """

    where: Where = field(default_factory=Where)
    verdict: str = ""
    order: str = ""
    blind: bool = False

    @property
    def is_filter(self) -> bool:
        return bool(self.where) or bool(self.verdict)

    @property
    def condition(self) -> str:
        """A condition on `rows`, with text on `rows LEFT JOIN responses`; it needs `parameters` and `run`."""
        conditions = [self.where.sql, *([VERDICTS[self.verdict]] if self.verdict else [])]
        if self.blind and self.where.text:
            conditions.append(IN_SIGHT)
        return " AND ".join(conditions)

    @property
    def parameters(self) -> Mapping[str, object]:
        return self.where.parameters

    @property
    def join(self) -> str:
        """The join that the condition needs; a filter without text reads no answers."""
        return JOIN if self.where.text else ""


@dataclass(frozen=True, slots=True)
class Selection:
    """The matching items by their keys, in order, and how many answers match; both out of all of the run's.

    A page of the list is read by its keys, so it costs the same at any depth, and the list stays as it is while a run adds rows.
    """

    keys: list[int]
    answers: int
    all_items: int
    all_answers: int


def select_items(connection: duckdb.DuckDBPyConnection, run: str, choice: Choice) -> Selection:
    """The items with an answer that matches."""
    sql = MATCHING.format(join=choice.join, condition=choice.condition, order=ORDERS[choice.order])
    found = connection.execute(sql, {"run": run, "order": list(TASKS), **choice.parameters}).fetchall()
    if not found:
        totals = connection.execute(TOTAL, [run]).fetchone()
        assert totals is not None
        return Selection([], 0, *totals)
    return Selection([row[0] for row in found], sum(row[1] for row in found), int(found[0][2]), int(found[0][3]))


def count_by(connection: duckdb.DuckDBPyConnection, run: str) -> dict[str, list[Any]]:
    """What there is to filter by in a run: its models, tasks, categories and outcomes, each sorted."""
    names = ("model", "task", "category", "outcome")
    lists = ", ".join(f"list_sort(list_distinct(list({name})))" for name in names)
    found = connection.execute(f"SELECT {lists} FROM rows WHERE run = ?", [run]).fetchone()
    assert found is not None
    return {name: list(values or ()) for name, values in zip(names, found, strict=True)}
