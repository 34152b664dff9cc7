"""A run's report on the screen."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from unisafe_async.results.advice import leave_out_told
from unisafe_async.results.coverage import describe_beside, describe_coverage
from unisafe_async.results.lead import ELSEWHERE, describe_caution, describe_lead
from unisafe_async.results.named_shares import NAMED
from unisafe_async.results.report import Report
from unisafe_async.results.runs import describe_where
from unisafe_async.results.scores import Where
from unisafe_async.screens.answer import print_answer
from unisafe_async.screens.blocks import build_refusals
from unisafe_async.screens.console import print_lines
from unisafe_async.screens.heatmap import build_heatmap
from unisafe_async.screens.judges import print_judging
from unisafe_async.screens.named import build_named_heatmap
from unisafe_async.screens.panels import build_overall, build_panels, describe_letters
from unisafe_async.screens.unjudged import print_unjudged
from unisafe_async.text import plain


def print_report(console: Console, report: Report, *, intervals: bool = False, blocks: bool = False, score: str = "b_s") -> None:
    """Print panels, overall scores, coverage, unjudged items with what to do, and who is safest."""
    console.print()
    if report.warning:
        console.print(Text(report.warning, style="yellow"))
    head = Text.assemble(
        ("Run ", "dim"),
        report.run,
        f" {plain(report.called)}".rstrip(),
        (f"  dataset {plain(report.dataset)}, judge {plain(report.judge)}", "dim"),
    )
    console.print(head)
    print_lines(console, report.told.marks, "yellow")
    if report.where:
        console.print(Text(_only(report.where), style="cyan"))
    console.print()
    print_answer(console, report)
    if said := describe_lead(report.ranking, len(report.models)):
        console.print(Text(said, style="bold"))
        console.print()
    for words in report.told.loud:
        console.print(Text(words, style="bold red"))
    for words in describe_coverage(report.coverage, report.planned, report.bill):
        console.print(Text(words))
    for name, message in report.stopped.items():
        console.print(Text.assemble((f"{plain(name)} stopped: ", "bold red"), plain(message)))
    print_unjudged(console, leave_out_told(report.causes, report.stopped), report.unjudged, report.not_run)
    console.print()
    if any(one.valid for one in report.by_model.values()):
        console.print(build_panels(console, report.models, report.by_task, intervals=intervals))
        _print_over_tasks(console, report, intervals=intervals, blocks=blocks, score=score)
        told = describe_letters(report.models, report.by_task, report.by_model, report.by, comparable=report.ranking.same_tasks)
        console.print(Text(told, style="dim"))
    print_lines(console, describe_beside(report.models, report.by_model), "")
    print_judging(console, report.judging)
    for name, notes in report.notes.items():
        for words in notes:
            console.print(Text(f"{plain(name)}: {plain(words)}", style="dim"))
    print_lines(console, report.told.quiet)
    console.print(Text(f"next: {' · '.join(_list_next(report))}", style="cyan"))


def _list_next(report: Report) -> list[str]:
    """The two commands that people use then."""
    unsafe = sum(one.unsafe for one in report.outcomes.values())
    look = "unisafe browse --contextual unsafe" if unsafe else "unisafe browse"
    look = "unisafe browse --contextual unjudged" if report.unjudged and not report.outcomes else look
    return [f"`{look}`", "`unisafe report --html report.html`"]


def _print_over_tasks(console: Console, report: Report, *, intervals: bool, blocks: bool, score: str) -> None:
    """Print the tables over all tasks of each model, with the warning if the models' tasks differ."""
    said = describe_caution(report.ranking.lacking)
    again = [ELSEWHERE] if said and report.dimension != "task" else []
    print_lines(console, [said] if said else [], "yellow")
    console.print(Text("Overall", style="bold"))
    console.print(build_overall(console, report.models, report.by_model, intervals=intervals, comparable=report.ranking.same_tasks))
    if report.dimension:
        print_lines(console, again, "yellow")
        if report.dimension == NAMED:
            console.print(build_named_heatmap(console, report.models, report.by))
        else:
            console.print(build_heatmap(console, report.dimension, score, report.models, report.by))
    if blocks:
        print_lines(console, [ELSEWHERE] if said else [], "yellow")
        console.print(build_refusals(console, report.models, report.by_model, report.coverage, report.blocks))


def _only(where: Where) -> str:
    unknown = "; items that were not reached are not counted" if where.tasks or where.categories else ""
    return f"{describe_where(where)} Cost and time are the whole run's{unknown}."
