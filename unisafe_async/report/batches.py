"""The batch jobs of a cache on a terminal: how they are as we know it, and as their vendors say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cache.batches import BatchRecord
from unisafe_async.batches.desk import Look
from unisafe_async.report.text import count, dollars, line, plain

WINDOW = timedelta(hours=24)
"""What both vendors give themselves for a job."""
STATUSES = {
    "submitting": ("not known to have been taken", "yellow"),
    "submitted": ("under way", "cyan"),
    "cancelling": ("being cancelled", "yellow"),
    "collected": ("collected", "green"),
    "cancelled": ("cancelled", "dim"),
    "failed": ("not taken, or failed", "dim"),
}
SOUGHT = {
    "absent": "not in the vendor's list",
    "perhaps": "a job in progress may be it",
    "unread": "the vendor's list is too long to tell",
}


def print_batches(console: Console, jobs: Sequence[BatchRecord], looks: Mapping[BatchRecord, Look]) -> None:
    """Two lines a job: its model and its vendor's name for it; then what is under way in all."""
    if not jobs:
        console.print("no batch jobs yet")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Model, job", no_wrap=True, overflow="fold")
    table.add_column("status", overflow="fold", min_width=20)
    table.add_column("created (UTC)", no_wrap=True)
    for job in jobs:
        look = looks.get(job)
        table.add_row(
            Text.assemble(line(model_of(job), "bold"), "\n", (plain(job.id), "dim")),
            _status(job, look),
            Text.assemble(_time(job.created), *(("\n", (f"by {_time(_expires(job, look))}", "dim")) if job.open else ())),
        )
    console.print(table)
    waiting = [job for job in jobs if job.open]
    if not waiting:
        console.print(Text("nothing is under way", style="dim"))
        return
    words = f"{count(len(waiting), 'job')} under way, {count(sum(len(job.keys) for job in waiting), 'request')}"
    most = sum(job.most for job in waiting)
    words += f", {dollars(most)} at the most" if most else ""
    console.print(Text(f"{words}: `unisafe run` collects them", style="bold"))


def look_words(look: Look) -> str:
    """What a vendor says of a job, in a few words on one line or two."""
    if look.failed:
        return plain(look.failed)
    if look.sought is not None:
        return SOUGHT.get(look.sought.state, f"taken as {plain(look.sought.job)}")
    assert look.status is not None
    done = f"\n{look.status.done:,} of {look.status.total:,} done" if look.status.total else ""
    match look.status.state:
        case "in_progress":
            return ("being cancelled" if look.status.cancelled else "in progress") + done
        case "ended":
            return ("cancelled" if look.status.cancelled else "ended") + f", not collected yet{done}"
        case _:
            return f"failed: {plain(str(look.status.error))}"


def model_of(job: BatchRecord) -> str:
    """The model's name at its vendor; an identity is `provider|address|model|...`."""
    return job.identity.split("|")[2] if job.identity.count("|") >= 2 else job.identity


def _status(job: BatchRecord, look: Look | None) -> Text:
    words, style = STATUSES.get(job.status, (job.status, ""))
    if look is None:
        return Text.assemble((words, style), (f"\n{count(len(job.keys), 'request')}", "dim"))
    return Text(look_words(look), style="red" if look.failed else style)


def _expires(job: BatchRecord, look: Look | None) -> datetime:
    return (look.status.expires if look and look.status else None) or job.created + WINDOW


def _time(moment: datetime) -> str:
    return moment.strftime("%d %b %H:%M")
