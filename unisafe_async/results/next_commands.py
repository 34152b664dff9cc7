"""The two commands that people use after a report."""

from __future__ import annotations

from shlex import quote

from unisafe_async.results.report import Report
from unisafe_async.text import plain


def list_next(report: Report) -> list[str]:
    """What goes on with a run that did not reach all of its items, what shows its responses, what writes its page.

    Commands name the run unless it is the newest. A run of imported verdicts has no responses to look at.
    """
    run = f" {plain(quote(report.named))}" if report.named else ""
    page = f"unisafe report{run} --html report.html"
    if report.imported:
        return [f"unisafe report{run} --by category", page]
    if report.not_run and not report.named:
        return [plain(report.bill.source.command), _look(report, run)]
    return [_look(report, run), page]


def _look(report: Report, run: str) -> str:
    unsafe = any(one.unsafe for one in report.outcomes.values())
    which = " --contextual unsafe" if unsafe else " --contextual unjudged" if report.unjudged and not report.outcomes else ""
    return f"unisafe browse{run}{which}"
