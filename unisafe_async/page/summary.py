"""The figures on the page, read from the cache at once."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
from unisafe_cache.run_shapes import Config

from unisafe_async.benchmark.taxonomy import SHOWN_CATEGORIES, TASKS, Task
from unisafe_async.results.comparison import Difference, Unification, backbones, duels
from unisafe_async.results.lead import describe_caution
from unisafe_async.results.provenance import Provenance, read_provenance
from unisafe_async.results.ranking import sort_comparable_first
from unisafe_async.results.report import Report, read_report
from unisafe_async.results.scores import ALL, Coverage, Score, Where, has_thoughts, scores
from unisafe_async.results.stored_run import read_run

PAID = """
SELECT rows.model, coalesce(sum(cost), 0), count(*) FILTER (cost IS NULL), avg(latency), avg(tokens_out)
FROM rows JOIN responses ON responses.id = response WHERE rows.run = $run AND {chosen} GROUP BY ALL
"""


@dataclass(frozen=True)
class Paid:
    """The cost of a model's answers, from all runs that paid for them.

    Args:
        dollars: US dollars, without the `unpriced` answers, whose price is not known.
        latency: mean seconds of an answer; tokens: its mean length.
    """

    dollars: float = 0.0
    unpriced: int = 0
    latency: float = 0.0
    tokens: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A run's figures.

    Attributes:
        report: the data of `unisafe report`.
        duels: B-S of the safest model against each other model, on all items judged for both; empty if no model is safest.
        by_category: scores by (model, category).
        utility: the models' utility in bench.toml, 0 to 100.
        unifications: each unified model against its backbone.
        provenance: the provenance of the figures.
        config: the run's, as it is stored.
    """

    report: Report
    duels: dict[str, Difference]
    by_category: dict[tuple[str, ...], Score]
    utility: dict[str, float]
    unifications: tuple[Unification, ...]
    paid: dict[str, Paid]
    provenance: Provenance
    config: Config

    @property
    def models(self) -> tuple[str, ...]:
        """The models, the safest first; those with the same tasks together, with most tasks first; those without a score last."""
        by_model = self.report.by_model

        def place(model: str) -> tuple[bool, float]:
            score = by_model.get((model,))
            return (False, -score.shares["b_s"].value) if score and score.shares else (True, 0.0)

        return sort_comparable_first(sorted(self.report.models, key=place), self.report.by_task)

    @property
    def caution(self) -> str:
        """The warning for figures over all tasks, if models were asked different tasks; else empty."""
        return describe_caution(self.report.ranking.lacking)

    @property
    def backbone(self) -> dict[str, str]:
        """The backbone of each unified model, by name."""
        return {one.model: one.backbone for one in self.unifications}

    @property
    def categories(self) -> list[str]:
        return [name for name in SHOWN_CATEGORIES if any(key[1] == name for key in self.by_category)]

    def tasks(self, panel: str) -> list[Task]:
        """The tasks of one of the paper's panels that any model was asked."""
        found = [task for task in TASKS.values() if task.panel == panel]
        return [task for task in found if any((model, task.key) in self.report.by_task for model in self.report.models)]

    def coverage(self, model: str) -> Coverage:
        known = {one.model: one for one in self.report.coverage}
        return known.get(model) or Coverage.none(model)

    @property
    def rare(self) -> dict[str, str]:
        """Rarely needed columns of the table of coverage: title and field of Coverage."""
        columns = {"Judges tied": "tied", "Not in the file": "absent", "Nothing to judge": "nothing"}
        return {title: field for title, field in columns.items() if any(getattr(one, field) for one in self.report.coverage)}

    @property
    def told(self) -> dict[str, str]:
        """Further facts about judged rows, shown if there are any: title and field of Coverage."""
        columns = {
            "In words": "in_words",
            "Words beside": "beside",
            "With thoughts": "thoughts",
            "Empty, so refused": "empty",
        }
        return {title: field for title, field in columns.items() if any(getattr(one, field) for one in self.report.coverage)}

    @property
    def thinking(self) -> bool:
        """Whether any thoughts were judged: only then is there a column for them."""
        return has_thoughts(self.report.by_model.values())

    def planned(self, model: str) -> int:
        """The number of a model's due rows: at least those that are there, since an older or imported run may not say it."""
        return max(self.report.planned[model], self.coverage(model).rows)

    def unjudged(self, model: str) -> list[int]:
        """Counts of the model's other rows, in the order of the table's columns: by cause, and not run."""
        one = self.coverage(model)
        rare = [getattr(one, field) for field in self.rare.values()]
        rest = self.planned(model) - one.rows
        return [one.judge_blocked, one.unparsed, one.judge_failed, *rare, one.failed, rest]


def read_summary(connection: duckdb.DuckDBPyConnection, name: str | None, where: Where = ALL) -> Summary:
    """The figures of the rows `where` in the run that begins with `name`, or in the newest. Raises CacheError."""
    report = read_report(connection, name, None, where)
    run, where = report.run, report.where
    config = read_run(connection, run).config
    chosen = {"models": where.models, "tasks": where.tasks, "categories": where.categories}
    paid = connection.execute(PAID.format(chosen=where.sql), {"run": run, **where.parameters}).fetchall()
    ranked = [one.model for one in report.ranking.ranked]
    return Summary(
        report=report,
        duels=duels(connection, run, ranked[0], ranked[1:], where) if ranked else {},
        by_category={score.key: score for score in scores(connection, run, ("model", "category"), where)},
        utility={model.name: model.utility for model in config.models if model.utility is not None},
        unifications=backbones(connection, run, where),
        paid={row[0]: Paid(*row[1:]) for row in paid},
        provenance=read_provenance(connection, run, chosen),
        config=config,
    )
