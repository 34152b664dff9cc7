"""The batch jobs of a cache on a terminal: their status in the cache, and their vendors' reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from textwrap import fill
from urllib.parse import urlsplit

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from unisafe_cache.batches import BatchRecord

from unisafe_async.config.secret_words import hide_in_text
from unisafe_async.run.batches.vendor_jobs import Look
from unisafe_async.screens.fitting import fit_table
from unisafe_async.text import count, format_dollars, plain

WINDOW = timedelta(hours=24)
"""The time that both vendors allow for a job."""
NARROW = 15
"""Width of a status if there is little room: with Azure's ids of 42 characters, a row has 80 columns."""
STATUSES = {
    "submitting": ("submission interrupted", "yellow"),
    "submitted": ("under way", "cyan"),
    "cancelling": ("being cancelled", "yellow"),
    "collected": ("collected", "green"),
    "cancelled": ("cancelled", "dim"),
    "failed": ("not taken, or failed", "dim"),
}
SOUGHT = {
    "absent": "not in the vendor's list",
    "perhaps": "it may be a job in progress",
    "unread": "the vendor's list is too long to tell",
}


def print_batches(
    console: Console, jobs: Sequence[BatchRecord], looks: Mapping[BatchRecord, Look], names: Mapping[str, str] | None = None
) -> None:
    """Print two lines for each job: its model, and its vendor's name, which is never cut; then the sum of jobs under way.

    Args:
        names: the models of the configuration by identity.
    """
    if not jobs:
        console.print("no batch jobs yet")
        return
    called = {job.identity: (names or {}).get(job.identity) or describe_identity(job.identity) for job in jobs}
    # a longer id than the screen is wide goes over the edge in one piece
    console.print(
        fit_table(
            console, called.values(), *(partial(build, jobs, looks, called) for build in (_build_table, _narrow, _build_lines))
        ),
        overflow="ignore",
        crop=False,
    )
    for job, look in looks.items():
        if said := _sentence(look):
            console.print(Text.assemble((f"{plain(job.id)}: ", "dim"), " ".join(plain(said).split())))
    waiting = [job for job in jobs if job.open]
    if not waiting:
        console.print(Text("nothing is under way", style="dim"))
        return
    words = f"{count(len(waiting), 'job')} under way, {count(sum(len(job.keys) for job in waiting), 'request')}"
    max_cost = sum(job.max_cost for job in waiting)
    words += f", {format_dollars(max_cost)} at the most" if max_cost else ""
    console.print(Text(f"{words}: `unisafe run` collects them", style="bold"))


Jobs = Sequence[BatchRecord]
Looks = Mapping[BatchRecord, Look]
Called = Mapping[str, str]


def _build_table(jobs: Jobs, looks: Looks, called: Called, names: Mapping[str, Text], wrap: int = 0) -> Table:
    """Two lines for each job; with `wrap`, the status is wrapped to this number of columns."""
    table = _columns("Model, job", "status", "created (UTC)")
    for job in jobs:
        words, more, style = _status(job, looks.get(job))
        if wrap:
            words, more = fill(words, wrap), fill(more, wrap)
        table.add_row(
            Text.assemble((names[called[job.identity]].plain, "bold"), "\n", (plain(job.id), "dim")),
            Text.assemble((words, style), "\n", (more, "dim")),
            Text.assemble(format_time(job.created), *((("\n" + _ends(job, looks), "dim"),) if job.open else ())),
        )
    return table


def _narrow(jobs: Jobs, looks: Looks, called: Called, names: Mapping[str, Text]) -> Table:
    return _build_table(jobs, looks, called, names, NARROW)


def _build_lines(jobs: Jobs, looks: Looks, called: Called, names: Mapping[str, Text]) -> Table:
    """The jobs as separate lines, without columns."""
    table = _columns("Model", "", "status", "", "created (UTC)", "")
    for job in jobs:
        words, more, style = _status(job, looks.get(job))
        ends = _ends(job, looks) if job.open else ""
        name = Text(names[called[job.identity]].plain, style="bold")
        table.add_row(name, plain(job.id), Text(words, style=style), more, format_time(job.created), ends)
    return table


def _columns(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def look_words(look: Look) -> str:
    """A vendor's report on a job, in a few words on one or two lines."""
    if look.failed:
        return plain(look.failed)
    if look.reconciled is not None:
        return SOUGHT.get(look.reconciled.state, f"taken as {plain(look.reconciled.job)}")
    assert look.status is not None
    done = f"\n{look.status.done:,} of {look.status.total:,} done" if look.status.total else ""
    match look.status.state:
        case "in_progress":
            return ("being cancelled" if look.status.cancelled else "in progress") + done
        case "ended":
            return ("cancelled" if look.status.cancelled else "ended") + f", not collected yet{done}"
        case _:
            return f"failed: {plain(str(look.status.error))}"


def describe_identity(identity: str) -> str:
    """The model's name at its vendor, and the vendor's host; an identity is `provider|address|model|...`."""
    if identity.count("|") < 2:
        return hide_in_text(identity)
    _, address, model, *_ = hide_in_text(identity).split("|")
    return f"{model} at {urlsplit(address).netloc.rpartition('@')[2] or address}"


def _status(job: BatchRecord, look: Look | None) -> tuple[str, str, str]:
    """A few words, the words below them, and their style; a whole sentence goes below the table."""
    words, style = STATUSES.get(job.status, (job.status, ""))
    more = ""
    if look is not None and _sentence(look):
        words = "not known" if look.failed else "failed" if look.status else "at the vendor"
        style = style if look.reconciled else "red"
    elif look is not None:
        words, _, more = look_words(look).partition("\n")
    return words, more or count(len(job.keys), "request"), style


def _sentence(look: Look) -> str:
    """A vendor's report that is too long for a table: an error, or another name."""
    if look.reconciled is not None and look.reconciled.state == "found":
        return f"the vendor has it as {look.reconciled.job}"
    return look.failed or (str(look.status.error) if look.status and look.status.state == "failed" else "")


def _ends(job: BatchRecord, looks: Looks) -> str:
    look = looks.get(job)
    return f"by {format_time((look.status.expires if look and look.status else None) or job.created + WINDOW)}"


def format_time(moment: datetime) -> str:
    """`27 Nov 05:10`."""
    return moment.strftime("%d %b %H:%M")
