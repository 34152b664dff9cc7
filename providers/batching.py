"""Batch jobs: many requests handed to a vendor at once, answered within a day and for less.

A provider that can do that is a Batching as well as a Provider. Its requests go by names that no other job has, so that results can
come in any order, from a job that an earlier run handed over, and are known for ours.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from providers.base import Misconfigured, ProviderError, Rejected, Request, Response


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What a vendor says of a job.

    Args:
        state: `in_progress`; `ended` (there are results, perhaps not of every request); or `failed` (there are none).
        done, total: requests that are answered or have failed, and all of them; 0 where the vendor does not say yet.
        error: of a failed job, what is to be done about it.
        cancelled: whether somebody cancelled it; of an ended one, what has no answer will get none.
        expires: UTC, when the vendor gives up what is not answered; None where it does not say.
    """

    state: Literal["in_progress", "ended", "failed"]
    done: int = 0
    total: int = 0
    error: ProviderError | None = None
    cancelled: bool = False
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sought:
    """What a vendor's list of jobs says of one whose handing over was cut off.

    Args:
        state: `found`, for certain; `absent`, when the list was read back to that time and holds none that could be it;
            `perhaps`, when jobs still in progress could be it, which shows once they end; or `unread`, when the list goes on
            for longer than it was read.
        job: the vendor's name of the job that was found.
    """

    state: Literal["found", "absent", "perhaps", "unread"]
    job: str = ""


class Cancelled(Rejected):
    """The job was cancelled before it came to this request."""


class NoSuchJob(Misconfigured):
    """This key knows no such job."""


@runtime_checkable
class Batching(Protocol):
    """A provider that takes batch jobs. Its calls raise what `Provider.call` raises.

    Attributes:
        most_requests, most_bytes: what one job may hold.
    """

    most_requests: int
    most_bytes: int

    async def entry(self, name: str, request: Request) -> bytes:
        """The request as one line of JSON for a job; `name` is 1 to 64 of a-z, A-Z, 0-9, _ and -."""
        ...

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        """Hand a job over and return the vendor's name for it; `tag` is put on it where the vendor can.

        Raises Transient when it is not known whether the vendor took it: then `find` tells.
        """
        ...

    async def find(self, tag: str, names: Collection[str], since: datetime, known: Collection[str]) -> Sought:
        """Look for the job that was handed over right after `since` (UTC) with `tag` or these names, and is none of `known`."""
        ...

    async def status(self, job: str) -> JobStatus:
        """How far a job is. Raises NoSuchJob when this key knows no such job."""
        ...

    async def cancel(self, job: str) -> None:
        """Have a job in progress end soon; what it answered until then stays, and is paid for."""
        ...

    def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        """Of an ended job, each request's name and its answer or what went wrong with it, in any order."""
        ...
