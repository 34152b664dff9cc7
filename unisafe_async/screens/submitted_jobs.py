"""The submitted jobs of a cache on a terminal: requests that a vendor answers by a job of its own each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from unisafe_cache.records import now
from unisafe_cache.submitted_jobs import JobRecord

from unisafe_async.run.submitted_jobs import name_of
from unisafe_async.screens.batch_jobs import describe_identity, format_time
from unisafe_async.screens.fitting import fit_table
from unisafe_async.text import count, format_dollars, format_duration, plain

STATES = {
    "submitting": ("submission interrupted", "yellow"),
    "submitted": ("under way", "cyan"),
    "lost": ("lost", "red"),
}
NO_NAME = "not known whether the vendor took it"


def print_submitted(console: Console, jobs: Sequence[JobRecord], names: Mapping[str, str] | None = None) -> None:
    """Print two lines for each job: its model, and its vendor's name, which is never cut; then the sums.

    Args:
        names: the models of the configuration by identity.
    """
    called = {job.identity: _name_model(job, names or {}) for job in jobs}
    builds = (partial(build, jobs, called, now()) for build in (_build_table, _build_lines))
    console.print(fit_table(console, called.values(), *builds), overflow="ignore", crop=False)
    for words, style in _sums(jobs):
        console.print(Text(words, style=style))


def _sums(jobs: Sequence[JobRecord]) -> list[tuple[str, str]]:
    states, sums = Counter(job.state for job in jobs), list[tuple[str, str]]()
    if states["submitted"]:
        cost = sum(job.cost or 0.0 for job in jobs if job.state == "submitted")
        paid = f", {format_dollars(cost)} at the most" if cost else ""
        words = f"{count(states['submitted'], 'submitted job')} under way{paid}: `unisafe run` goes on with them"
        sums.append((words, "bold"))
    if states["submitting"]:
        words = f"{count(states['submitting'], 'submission')} interrupted: perhaps paid for; `unisafe run` submits them again"
        sums.append((words, "yellow"))
    if states["lost"]:
        words = f"{count(states['lost'], 'job')} lost: paid for, and the vendor no longer has the answer; "
        sums.append((f"{words}`unisafe batches --cancel ID` (or `lost`) frees them to be paid for again", "yellow"))
    return sums


def describe_job(job: JobRecord, names: Mapping[str, str]) -> str:
    """A job in one line."""
    words, _ = STATES[job.state]
    return f"{_name_model(job, names)}, {name_of(job) or NO_NAME}: {words}, {_cost(job)}, submitted {describe_age(job, now())}"


def _name_model(job: JobRecord, names: Mapping[str, str]) -> str:
    return names.get(job.identity) or describe_identity(job.identity)


def describe_age(job: JobRecord, at: datetime) -> str:
    """How long ago a job was submitted."""
    return f"{format_duration(max(0.0, (at - job.created).total_seconds()))} ago"


def _build_table(jobs: Sequence[JobRecord], called: Mapping[str, str], at: datetime, names: Mapping[str, Text]) -> Table:
    table = _columns("Model, submitted job", "state", "submitted (UTC)")
    for job in jobs:
        words, style = STATES[job.state]
        table.add_row(
            Text.assemble((names[called[job.identity]].plain, "bold"), "\n", (plain(name_of(job)) or NO_NAME, "dim")),
            Text.assemble((words, style), "\n", (_cost(job), "dim")),
            Text.assemble(format_time(job.created), "\n", (describe_age(job, at), "dim")),
        )
    return table


def _build_lines(jobs: Sequence[JobRecord], called: Mapping[str, str], at: datetime, names: Mapping[str, Text]) -> Table:
    """The jobs as separate lines, without columns."""
    table = _columns("Model", "", "state", "", "submitted (UTC)", "")
    for job in jobs:
        words, style = STATES[job.state]
        name = Text(names[called[job.identity]].plain, style="bold")
        table.add_row(
            name,
            plain(name_of(job)) or NO_NAME,
            Text(words, style=style),
            _cost(job),
            format_time(job.created),
            describe_age(job, at),
        )
    return table


def _columns(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def _cost(job: JobRecord) -> str:
    return format_dollars(job.cost) if job.cost is not None else "cost unknown"
