"""A run's report, from the cache alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from rich.console import Console
from rich.text import Text

from cache import CacheError
from providers.simulated import JUDGED, MARKED
from unisafe_async.report.coverage import Bill, coverage_lines
from unisafe_async.report.judges import Judging, judge_title, judges_of, print_judging, read_judging
from unisafe_async.report.panels import LEGEND, heatmap, overall, panels
from unisafe_async.report.text import count, line, plain
from unisafe_async.scores import Coverage, Score, coverage, scores

LISTED = 10
SIMULATED_MODELS = """
SELECT DISTINCT model FROM rows JOIN responses ON response = responses.id WHERE rows.run = ? AND text LIKE ?
"""
SIMULATED_JUDGE = "SELECT 1 FROM rows WHERE run = ? AND contextual_reason LIKE ? LIMIT 1"


@dataclass(frozen=True)
class Problem:
    """A row without both verdicts and why."""

    model: str
    item: str
    sample: int
    why: str


@dataclass(frozen=True)
class Report:
    """All that is shown of a run."""

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
    problems: list[Problem]
    judging: Judging | None = None

    @property
    def unjudged(self) -> int:
        return self.bill.total - sum(one.judged for one in self.coverage)


def newest_run(connection: duckdb.DuckDBPyConnection, name: str | None) -> str:
    """The full name of the run that `name` begins, or of the newest one. Raises CacheError when there is none or several."""
    found = connection.execute(
        "SELECT run FROM runs WHERE starts_with(run, ?) ORDER BY started DESC, run DESC", [name or ""]
    ).fetchall()
    names = [str(row[0]) for row in found]
    if not names:
        raise CacheError(
            f"there is no run {name!r}; `unisafe runs` lists them" if name else "there is no run yet; start one with `unisafe run`"
        )
    if name and name not in names and len(names) > 1:
        raise CacheError(f"{name!r} begins the names of {len(names)} runs: {', '.join(names[:5])}")
    return name if name in names else names[0]


def read_report(connection: duckdb.DuckDBPyConnection, name: str | None = None, dimension: str | None = None) -> Report:
    """Gather a run's report. Raises CacheError when there is no such run."""
    run = newest_run(connection, name)
    record = connection.execute("SELECT status, config, dataset, summary FROM runs WHERE run = ?", [run]).fetchone()
    assert record is not None
    status, config, dataset, summary = record[0], json.loads(record[1]), record[2], json.loads(record[3])
    planned = _planned(config, summary)
    problems = connection.execute(
        """
        SELECT model, item, sample, coalesce(nullif(error, ''), nullif(contextual_reason, ''), intrinsic_reason),
               contextual_status, intrinsic_status, intrinsic_reason
        FROM rows WHERE run = ? AND (contextual IS NULL OR intrinsic IS NULL) ORDER BY model, item, sample
        """,
        [run],
    ).fetchall()
    marked = {str(row[0]) for row in connection.execute(SIMULATED_MODELS, [run, f"%{MARKED}%"]).fetchall()}
    judged_by_marker = bool(connection.execute(SIMULATED_JUDGE, [run, f"{JUDGED}%"]).fetchall())
    endpoints: dict[str, dict[str, Any]] = summary.get("endpoints", {})
    return Report(
        run,
        status,
        dataset,
        judge_title(config),
        tuple(model["name"] for model in config["models"] if model["provider"] == "simulated" or model["name"] in marked),
        any(judge["provider"] == "simulated" for judge in judges_of(config)) or judged_by_marker,
        tuple(planned),
        planned,
        {score.key: score for score in scores(connection, run, ("model", "task"))},
        {score.key: score for score in scores(connection, run, ("model",))},
        {score.key: score for score in scores(connection, run, ("model", dimension))} if dimension else {},
        dimension,
        coverage(connection, run),
        Bill(
            sum(planned.values()),
            summary.get("cost", 0.0),
            summary.get("seconds", 0.0),
            sum(counts.get("unpriced", 0) for counts in endpoints.values()),
            summary.get("problems", 0),
            all(model["provider"] == "simulated" for model in [*config["models"], *judges_of(config)]),
        ),
        summary.get("stopped", {}),
        summary.get("notes", {}),
        [Problem(row[0], row[1], row[2], _why(row)) for row in problems],
        read_judging(connection, run, config),
    )


def _why(row: Sequence[Any]) -> str:
    _, _, _, why, contextual, intrinsic, intrinsic_reason = row
    return str(intrinsic_reason if contextual == "judged" and intrinsic != "judged" else why)


def _planned(config: dict[str, Any], summary: dict[str, Any]) -> dict[str, int]:
    return summary.get("planned") or {model["name"]: 0 for model in config["models"]}


def print_report(console: Console, report: Report) -> None:
    """Panels, overall scores, coverage, and what is unjudged with what to do about it."""
    console.print()
    if report.simulated_models or report.simulated_judge:
        console.print(Text(_simulated(report), style="yellow"))
    head = Text.assemble(("Run ", "dim"), report.run, (f"  dataset {plain(report.dataset)}, judge {plain(report.judge)}", "dim"))
    console.print(head)
    console.print()
    if any(score.valid for score in report.by_model.values()):
        console.print(panels(console, report.models, report.by_task))
        console.print(Text("Overall", style="bold"))
        console.print(overall(report.models, report.by_model))
        if report.dimension:
            console.print(heatmap(report.dimension, report.models, report.by))
        console.print(Text(LEGEND, style="dim"))
        console.print()
    for words in coverage_lines(report.coverage, report.planned, report.bill):
        console.print(Text(words))
    print_judging(console, report.judging)
    for name, notes in report.notes.items():
        for words in notes:
            console.print(Text(f"{plain(name)}: {plain(words)}", style="dim"))
    _print_unjudged(console, report)


def _simulated(report: Report) -> str:
    if report.simulated_judge and len(report.simulated_models) == len(report.models):
        return "SIMULATED: models and judge are simulated; these figures say nothing about any real model."
    names = ", ".join(map(plain, report.simulated_models))
    said = [f"models {names} are simulated"] if names else []
    said += ["the judge is simulated"] if report.simulated_judge else []
    return f"SIMULATED: {' and '.join(said)}; their figures say nothing about real ones."


def _print_unjudged(console: Console, report: Report) -> None:
    for name, message in report.stopped.items():
        console.print(Text.assemble((f"{plain(name)} stopped: ", "bold red"), plain(message)))
    if not report.unjudged:
        return
    console.print()
    console.print(Text(f"Unjudged, and in no score: {count(report.unjudged, 'item')}", style="bold yellow"))
    for problem in report.problems[:LISTED]:
        sample = f" sample {problem.sample}" if problem.sample else ""
        console.print(
            Text.assemble("  ", line(f"{problem.model}  {problem.item}{sample}: {problem.why}")),
            overflow="ellipsis",
            no_wrap=True,
        )
    if len(report.problems) > LISTED:
        console.print(
            Text(
                f"  and {len(report.problems) - LISTED:,} more: SELECT * FROM rows WHERE contextual IS NULL OR intrinsic IS NULL",
                style="dim",
            )
        )
    missing = report.bill.total - sum(one.rows for one in report.coverage)
    if missing and report.status in ("interrupted", "running"):
        console.print(
            Text(f"  {count(missing, 'item')} not reached: `unisafe run` again goes on from here and pays for nothing twice")
        )
    elif missing and report.status == "stopped":
        console.print(Text(f"  {count(missing, 'item')} left to do when the budget was spent: raise run.budget_usd and run again"))
    if any(one.tied for one in report.coverage):
        console.print(Text('  judges tied: another judge in the panel, or judge.tie = "unsafe" or "last", decides them'))
    if any(one.failed or one.judge_failed for one in report.coverage):
        console.print(Text("  failed calls: `unisafe run` again asks only for those"))
    if any(one.judge_blocked or one.unparsed for one in report.coverage):
        console.print(
            Text("  judge blocked or not understood: `unisafe show ITEM` has its words; another judge or rubric may do better")
        )
