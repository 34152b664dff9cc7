"""A run's report, from the cache alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
from unisafe_cache.run_shapes import Config, Summary

from unisafe_async.results.advice import Cause, describe_groups, describe_not_run
from unisafe_async.results.bill import Bill, bill_of
from unisafe_async.results.blocks import BlockCount, count_blocks
from unisafe_async.results.judging import Judging, read_judging
from unisafe_async.results.named_shares import NAMED, count_named_shares
from unisafe_async.results.notices import Told, describe_shard, read_told
from unisafe_async.results.outcomes import Cell, Outcomes, count_outcomes, find_worst_cells
from unisafe_async.results.ranking import Ranking, ranking
from unisafe_async.results.runs import Heading, build_heading, describe_simulated, find_newest_run, resolve_where
from unisafe_async.results.scores import ALL, BETTER, Coverage, Score, Where, coverage, scores
from unisafe_async.results.stored_run import read_run
from unisafe_async.results.unjudged import count_unjudged

__all__ = ["Report", "read_report", "sort_models"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All data of a run's report, about its rows `where`, in the order of `models`."""

    run: str
    status: str
    dataset: str
    judge: str
    called: str
    simulated_models: tuple[str, ...]
    simulated_judge: bool
    models: tuple[str, ...]
    planned: dict[str, int]
    by_task: dict[tuple[str, ...], Score]
    by_model: dict[tuple[str, ...], Score]
    by: dict[tuple[str, ...], Score]
    dimension: str | None
    coverage: list[Coverage]
    bill: Bill
    stopped: dict[str, str]
    notes: dict[str, list[str]]
    causes: list[Cause]
    ranking: Ranking
    blocks: list[BlockCount]
    where: Where
    judging: Judging | None = None
    told: Told = field(default_factory=Told)
    outcomes: Mapping[str, Outcomes] = field(default_factory=dict)
    worst: Mapping[str, list[Cell]] = field(default_factory=dict)
    shard: str = ""
    unfinished: dict[str, str] = field(default_factory=dict)

    @property
    def warning(self) -> str:
        """The warning about simulated models and judges; empty if all are real."""
        return describe_simulated(
            Heading(
                run=self.run,
                judge=self.judge,
                models=self.models,
                simulated_models=self.simulated_models,
                simulated_judge=self.simulated_judge,
            )
        )

    @property
    def unjudged(self) -> int:
        return self.bill.total - sum(one.judged for one in self.coverage)

    @property
    def not_run(self) -> list[str]:
        """Notes about items that were not reached."""
        missing = self.bill.total - sum(one.rows for one in self.coverage)
        return describe_not_run(missing, self.status, self.unfinished)


def read_report(
    connection: duckdb.DuckDBPyConnection, name: str | None = None, dimension: str | None = None, where: Where = ALL
) -> Report:
    """Gather the report of a run's rows `where`. Raises CacheError if there is no such run or model."""
    run = find_newest_run(connection, name)
    where = resolve_where(connection, run, where)
    stored = read_run(connection, run)
    config, summary = stored.config, stored.summary
    covered = coverage(connection, run, where)
    planned = _count_planned(config, summary, covered, where)
    heading = build_heading(connection, stored)
    return Report(
        run=run,
        status=stored.status,
        dataset=stored.items,
        judge=heading.judge,
        called=stored.called,
        simulated_models=tuple(model for model in planned if model in heading.simulated_models),
        simulated_judge=heading.simulated_judge,
        models=tuple(planned),
        planned=planned,
        by_task={score.key: score for score in scores(connection, run, ("model", "task"), where)},
        by_model={score.key: score for score in scores(connection, run, ("model",), where)},
        by=_break_down(connection, run, dimension, covered, where),
        dimension=dimension,
        coverage=covered,
        bill=bill_of(config, summary, sum(planned.values())),
        stopped=_select_words(_find_stopped(summary), config, where),
        notes=_select_words(summary.notes, config, where),
        causes=describe_groups(
            count_unjudged(connection, run, _list_stops(summary), where), run if name else "", imported=stored.is_imported
        ),
        ranking=ranking(connection, run, where),
        blocks=count_blocks(connection, run, where),
        where=where,
        judging=read_judging(connection, run, config.judge),
        outcomes=count_outcomes(connection, run, where),
        worst=find_worst_cells(connection, run, where),
        told=read_told(connection, stored, tuple(planned), where),
        unfinished=_select_words(summary.unfinished, config, where),
        shard=describe_shard(stored.shard, summary.selected),
    )


def _break_down(
    connection: duckdb.DuckDBPyConnection, run: str, dimension: str | None, covered: Sequence[Coverage], where: Where
) -> dict[tuple[str, ...], Score]:
    """The scores by model and `dimension`; for `named`, I-U holds the shares of subcategories that the judge named."""
    if dimension == NAMED:
        return count_named_shares(connection, run, covered, where)
    return {score.key: score for score in scores(connection, run, ("model", dimension), where)} if dimension else {}


def _list_stops(summary: Summary) -> dict[str, list[str]]:
    """Every message that stopped a model or a judge, or some kinds of its requests."""
    stops = {name: [message] for name, message in summary.stopped.items()}
    for name, kinds in summary.stopped_for.items():
        stops.setdefault(name, []).extend(kinds.values())
    return stops


def _find_stopped(summary: Summary) -> dict[str, str]:
    """Why each model stopped, or which kinds of its requests did."""
    kinds = {
        name: "; ".join(f"for requests with {need} only: {message}" for need, message in each.items())
        for name, each in summary.stopped_for.items()
    }
    return kinds | summary.stopped


def sort_models(report: Report, sort: str, reverse: bool = False) -> Report:
    """The models by a score (the better first; for C-R the highest), by `name`, or as in the `file`; those without scores last."""
    if sort == "file":
        models = list(report.models)
    elif sort == "name":
        models = sorted(report.models, key=str.lower)
    else:
        better = BETTER[sort] or 1
        values = {
            model: score.shares[sort].value for model in report.models if (score := report.by_model.get((model,))) and score.valid
        }
        models = sorted(values, key=lambda model: -better * values[model])
        if reverse:
            models.reverse()
        return replace(report, models=(*models, *(model for model in report.models if model not in values)))
    return replace(report, models=tuple(reversed(models) if reverse else models))


def _count_planned(config: Config, summary: Summary, covered: Sequence[Coverage], where: Where) -> dict[str, int]:
    """The number of due rows of each model; for a selection of tasks or categories, only the existing rows are known."""
    planned = summary.planned or {model.name: 0 for model in config.models}
    chosen = {model: rows for model, rows in planned.items() if not where.models or model in where.models}
    if where.tasks or where.categories:
        there = {one.model: one.rows for one in covered}
        return {model: there[model] for model in chosen if model in there}
    return chosen


def _select_words(words: dict[str, Any], config: Config, where: Where) -> dict[str, Any]:
    """The notes about the models on the screen, and about the judge."""
    hidden = {model.name for model in config.models} - set(where.models) if where.models else set()
    return {name: said for name, said in words.items() if name not in hidden}
