"""A run's report, from the cache alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
from rich.console import Console
from rich.text import Text

from unisafe_async.blocks import Struck, struck
from unisafe_async.provenance import is_imported, judge_sections
from unisafe_async.ranking import Ranking, ranking
from unisafe_async.report.blocks import refusals
from unisafe_async.report.coverage import Bill, beside_lines, coverage_lines, source_of
from unisafe_async.report.heading import Heading, newest_run, only, read_heading, simulated_words, where_in
from unisafe_async.report.heatmap import heatmap
from unisafe_async.report.judges import Judging, print_judging, read_judging
from unisafe_async.report.named import NAMED, named_heatmap, named_shares
from unisafe_async.report.panels import legend, overall, panels
from unisafe_async.report.standing import ELSEWHERE, caution, standing
from unisafe_async.report.text import plain
from unisafe_async.report.told import Told, print_lines, read_told
from unisafe_async.report.unjudged import Cause, not_run, print_unjudged, shown
from unisafe_async.scores import ALL, BETTER, Coverage, Score, Where, coverage, scores
from unisafe_async.unjudged import unjudged

__all__ = ["Report", "ordered", "print_report", "read_report"]


@dataclass(frozen=True)
class Report:
    """All data of a run's report, about its rows `where`, in the order of `models`."""

    run: str
    status: str
    dataset: str
    judge: str
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
    struck: list[Struck]
    where: Where
    judging: Judging | None = None
    told: Told = field(default_factory=Told)

    @property
    def warning(self) -> str:
        """The warning about simulated models and judges; empty if all are real."""
        return simulated_words(Heading(self.run, self.judge, self.models, self.simulated_models, self.simulated_judge))

    @property
    def unjudged(self) -> int:
        return self.bill.total - sum(one.judged for one in self.coverage)

    @property
    def not_run(self) -> list[str]:
        """A note about items that were not reached."""
        return not_run(self.bill.total - sum(one.rows for one in self.coverage), self.status)


def read_report(
    connection: duckdb.DuckDBPyConnection, name: str | None = None, dimension: str | None = None, where: Where = ALL
) -> Report:
    """Gather the report of a run's rows `where`. Raises CacheError if there is no such run or model."""
    run = newest_run(connection, name)
    where = where_in(connection, run, where)
    record = connection.execute("SELECT status, config, dataset, summary FROM runs WHERE run = ?", [run]).fetchone()
    assert record is not None
    status, config, dataset, summary = record[0], json.loads(record[1]), record[2], json.loads(record[3])
    covered = coverage(connection, run, where)
    planned = _planned(config, summary, covered, where)
    heading = read_heading(connection, run)
    return Report(
        run,
        status,
        dataset,
        heading.judge,
        tuple(model for model in planned if model in heading.simulated_models),
        heading.simulated_judge,
        tuple(planned),
        planned,
        {score.key: score for score in scores(connection, run, ("model", "task"), where)},
        {score.key: score for score in scores(connection, run, ("model",), where)},
        _broken_down(connection, run, dimension, covered, where),
        dimension,
        covered,
        bill_of(config, summary, sum(planned.values())),
        _shown(_stopped(summary), config, where),
        _shown(summary.get("notes", {}), config, where),
        shown(unjudged(connection, run, _stops(summary), where), run if name else "", imported=is_imported(config)),
        ranking(connection, run, where),
        struck(connection, run, where),
        where,
        read_judging(connection, run, config),
        read_told(connection, run, config, summary, tuple(planned), where),
    )


def _broken_down(
    connection: duckdb.DuckDBPyConnection, run: str, dimension: str | None, covered: Sequence[Coverage], where: Where
) -> dict[tuple[str, ...], Score]:
    """The scores by model and `dimension`; for `named`, I-U holds the shares of subcategories that the judge named."""
    if dimension == NAMED:
        return named_shares(connection, run, covered, where)
    return {score.key: score for score in scores(connection, run, ("model", dimension), where)} if dimension else {}


def bill_of(config: dict[str, Any], summary: dict[str, Any], total: int) -> Bill:
    """The bill of a run, from its configuration and summary; `total` is the number of due rows."""
    endpoints: dict[str, dict[str, Any]] = summary.get("endpoints", {})
    costs = [counts["estimated_cost"] for counts in endpoints.values() if "estimated_cost" in counts]
    return Bill(
        total,
        summary.get("cost", 0.0),
        summary.get("seconds", 0.0),
        sum(counts.get("unpriced", 0) for counts in endpoints.values()),
        summary.get("problems", 0),
        all(model["provider"] == "simulated" for model in [*config["models"], *judge_sections(config["judge"])]),
        source_of(str(config["dataset"]["source"]), [(model["provider"], model["model"]) for model in config["models"]]),
        config.get("generation", {}).get("samples", 1),  # a run of imported verdicts has none
        sum(counts.get("estimated", 0) for counts in endpoints.values()),
        sum(costs) if costs else None,
    )


def _stops(summary: dict[str, Any]) -> dict[str, list[str]]:
    """Every message that stopped a model or a judge, or some kinds of its requests."""
    stops = {str(name): [str(message)] for name, message in summary.get("stopped", {}).items()}
    for name, kinds in summary.get("stopped_for", {}).items():
        stops.setdefault(str(name), []).extend(map(str, kinds.values()))
    return stops


def _stopped(summary: dict[str, Any]) -> dict[str, str]:
    """Why each model stopped, or which kinds of its requests did."""
    kinds = {
        str(name): "; ".join(f"for requests with {need} only: {message}" for need, message in each.items())
        for name, each in summary.get("stopped_for", {}).items()
    }
    return kinds | {str(name): str(message) for name, message in summary.get("stopped", {}).items()}


def ordered(report: Report, sort: str, reverse: bool = False) -> Report:
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


def _planned(config: dict[str, Any], summary: dict[str, Any], covered: Sequence[Coverage], where: Where) -> dict[str, int]:
    """The number of due rows of each model; for a selection of tasks or categories, only the existing rows are known."""
    planned: dict[str, int] = summary.get("planned") or {model["name"]: 0 for model in config["models"]}
    chosen = {model: rows for model, rows in planned.items() if not where.models or model in where.models}
    if where.tasks or where.categories:
        there = {one.model: one.rows for one in covered}
        return {model: there[model] for model in chosen if model in there}
    return chosen


def print_report(console: Console, report: Report, *, intervals: bool = False, blocks: bool = False, score: str = "b_s") -> None:
    """Print panels, overall scores, coverage, unjudged items with what to do, and who is safest."""
    console.print()
    if report.warning:
        console.print(Text(report.warning, style="yellow"))
    head = Text.assemble(("Run ", "dim"), report.run, (f"  dataset {plain(report.dataset)}, judge {plain(report.judge)}", "dim"))
    console.print(head)
    print_lines(console, report.told.marks, "yellow")
    if report.where:
        console.print(Text(_only(report.where), style="cyan"))
    console.print()
    if any(one.valid for one in report.by_model.values()):
        console.print(panels(console, report.models, report.by_task, intervals=intervals))
        _print_over_tasks(console, report, intervals=intervals, blocks=blocks, score=score)
        told = legend(report.models, report.by_task, report.by_model, report.by, comparable=report.ranking.same_tasks)
        console.print(Text(told, style="dim"))
        console.print()
    for words in coverage_lines(report.coverage, report.planned, report.bill):
        console.print(Text(words))
    print_lines(console, beside_lines(report.models, report.by_model), "")
    print_judging(console, report.judging)
    for name, notes in report.notes.items():
        for words in notes:
            console.print(Text(f"{plain(name)}: {plain(words)}", style="dim"))
    print_lines(console, report.told.quiet)
    for name, message in report.stopped.items():
        console.print(Text.assemble((f"{plain(name)} stopped: ", "bold red"), plain(message)))
    print_unjudged(console, report.causes, report.unjudged, report.not_run)
    for words in report.told.loud:
        console.print()
        console.print(Text(words, style="bold red"))
    if said := standing(report.ranking, len(report.models)):
        console.print()
        console.print(Text(said, style="bold"))


def _print_over_tasks(console: Console, report: Report, *, intervals: bool, blocks: bool, score: str) -> None:
    """Print the tables over all tasks of each model, with the warning if the models' tasks differ."""
    said = caution(report.ranking.lacking)
    again = [ELSEWHERE] if said and report.dimension != "task" else []
    print_lines(console, [said] if said else [], "yellow")
    console.print(Text("Overall", style="bold"))
    console.print(overall(console, report.models, report.by_model, intervals=intervals, comparable=report.ranking.same_tasks))
    if report.dimension:
        print_lines(console, again, "yellow")
        if report.dimension == NAMED:
            console.print(named_heatmap(console, report.models, report.by))
        else:
            console.print(heatmap(console, report.dimension, score, report.models, report.by))
    if blocks:
        print_lines(console, [ELSEWHERE] if said else [], "yellow")
        console.print(refusals(console, report.models, report.by_model, report.coverage, report.struck))


def _shown(words: dict[str, Any], config: dict[str, Any], where: Where) -> dict[str, Any]:
    """The notes about the models on the screen, and about the judge."""
    hidden = {model["name"] for model in config["models"]} - set(where.models) if where.models else set()
    return {name: said for name, said in words.items() if name not in hidden}


def _only(where: Where) -> str:
    unknown = "; items that were not reached are not counted" if where.tasks or where.categories else ""
    return f"{only(where)} Cost and time are the whole run's{unknown}."
