"""A run in a notebook: its progress, and its scores with their warnings; as HTML without script, and as plain text."""

from __future__ import annotations

import io
from collections.abc import Iterator
from html import escape
from pathlib import Path

import anyio
from rich.console import Console
from unisafe_cache import read_file

from unisafe_async.results.coverage import describe_coverage
from unisafe_async.results.lead import describe_caution, describe_lead
from unisafe_async.results.report import Report, read_report
from unisafe_async.results.scores import SCORES, TITLES, Score, is_small
from unisafe_async.run.evaluation import Run
from unisafe_async.screens.panels import LEGEND, SMALL_MARK, SMALL_WORDS
from unisafe_async.screens.progress import Progress
from unisafe_async.text import plain

REFRESH = 0.5
"""Seconds between two updates of the bar."""


class NotebookProgress:
    """Shows a Run below its cell until it is cancelled, and then how far it came."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._progress = Progress(Console(file=io.StringIO()), run)

    async def show(self) -> None:
        from IPython.display import display

        handle = display(self.bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        try:
            while True:
                await anyio.sleep(REFRESH)
                handle.update(self.bundle(), raw=True)
        finally:
            handle.update(self.bundle(), raw=True)

    def bundle(self) -> dict[str, str]:
        """The bar by media type: done of total, unjudged, calls, cost, time left, and notes about endpoints."""
        run, line = self._run, plain(self._progress.plain_line())
        bar = f'<progress value="{run.done}" max="{max(1, run.total)}" style="width: 20em; vertical-align: middle"></progress>'
        return {"text/plain": line, "text/html": f"<div>{bar} {escape(line)}</div>"}


def build_result_html(cache: Path, run: str) -> str:
    """The models' overall scores in a small table, with the command line's warnings. Raises CacheError."""
    report = read_file(cache, lambda connection: read_report(connection, run))
    return f"<div>{''.join(_pieces(report))}</div>"


def _pieces(report: Report) -> Iterator[str]:
    if report.warning:
        yield _line(report.warning, "font-weight: bold; color: #b45309")
    yield _line(f"Run {report.run}, {report.status}; dataset {report.dataset}, judged by {report.judge}")
    for words in report.told.marks:
        yield _line(words, "color: #b45309")
    if any(one.valid for one in report.by_model.values()):
        if words := describe_caution(report.ranking.lacking):
            yield _line(words, "color: #b45309")
        yield _table(report)
        small = f" · {SMALL_WORDS}" if any(map(is_small, report.by_model.values())) else ""
        yield _line(f"{LEGEND}{small}", "opacity: 0.7; font-size: smaller")
    for words in describe_coverage(report.coverage, report.planned, report.bill):
        yield _line(words)
    for name, message in report.stopped.items():
        yield _line(f"{name} stopped: {message}", "color: #b91c1c")
    for words in [*report.not_run, *report.told.loud]:
        yield _line(words, "color: #b91c1c")
    if words := describe_lead(report.ranking, len(report.models)):
        yield _line(words, "font-weight: bold")


def _table(report: Report) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in ("Model", "n", *TITLES.values(), "B-S, 95% interval"))
    rows = "".join(_row(model, report.by_model.get((model,))) for model in report.models)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _row(model: str, score: Score | None) -> str:
    shares = score.shares if score else {}
    mark = SMALL_MARK if score and is_small(score) else ""
    cells = [f"{score.valid:,}" if score else "-", *(f"{mark}{shares[name].value * 100:.1f}" if shares else "-" for name in SCORES)]
    interval = f"{shares['b_s'].low * 100:.1f}-{shares['b_s'].high * 100:.1f}" if shares else "-"
    figures = "".join(f'<td style="text-align: right">{cell}</td>' for cell in [*cells, interval])
    return f"<tr><td>{escape(plain(model))}</td>{figures}</tr>"


def _line(words: str, style: str = "") -> str:
    return f'<div style="{style}">{escape(plain(words))}</div>'
