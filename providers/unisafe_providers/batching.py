"""Batch jobs: a vendor takes many requests at once, answers within a day and charges less.

A provider that can do this is a Batching as well as a Provider. Each request in a job has a name that no other job has. So
results may come in any order and from a job that an earlier run submitted, and we recognise them as ours.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from unisafe_providers.base import Misconfigured, ProviderError, Rejected, Request, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A vendor's report on a batch job.

    Args:
        state: `in_progress`; `ended` (there are results, perhaps not of every request); or `failed` (there are none).
        done, total: requests that are answered or have failed, and all requests; 0 if the vendor does not say yet.
        error: for a failed job, the error whose kind says what to do. Of an ended one, why requests without an answer have none:
            if it is not Transient, it holds only where the results name none of the requests.
        cancelled: whether somebody cancelled it; requests without an answer in an ended job will get none.
        expires: when the vendor gives up unanswered requests, in UTC; None if it does not say.
    """

    state: Literal["in_progress", "ended", "failed"]
    done: int = 0
    total: int = 0
    error: ProviderError | None = None
    cancelled: bool = False
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Whether a vendor's list of jobs has the job of an interrupted submission.

    Args:
        state: `found`: the list has it. `absent`: the list was read back to the submission and no job in it can be ours.
            `perhaps`: a job in progress may be ours; that shows when it ends. `unread`: the list is longer than the part that was
            read.
        job: the vendor's name of the found job.
    """

    state: Literal["found", "absent", "perhaps", "unread"]
    job: str = ""


class Cancelled(Rejected):
    """The job was cancelled before the vendor answered this request."""


class NoSuchJob(Misconfigured):
    """This key knows no such job."""


@runtime_checkable
class Batching(Protocol):
    """A provider that takes batch jobs. Its calls raise what `Provider.call` raises.

    Attributes:
        most_requests, most_bytes: the limits of one job.
    """

    most_requests: int
    most_bytes: int

    async def entry(self, name: str, request: Request) -> bytes:
        """The request as one line of JSON for a job; `name` is 1 to 64 of a-z, A-Z, 0-9, _ and -."""
        ...

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        """Submit a job and return the vendor's name for it; the job carries `tag` if the vendor supports tags.

        Raises Transient if it is not known whether the vendor took the job: then `find` tells.
        """
        ...

    async def find(self, tag: str, names: Collection[str], since: datetime, known: Collection[str]) -> Reconciled:
        """Look for the job that was submitted right after `since` (UTC) with `tag` or these names, and is none of `known`."""
        ...

    async def status(self, job: str) -> JobStatus:
        """The state of a job. Raises NoSuchJob if this key knows no such job."""
        ...

    async def cancel(self, job: str) -> None:
        """Ask the vendor to end a job in progress soon; its answers until then stay and are paid for."""
        ...

    def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        """For an ended job: each request's name with its answer or its error, in any order."""
        ...
