"""Answers that are made by jobs: a vendor takes a request at once, works on it for a while, and is asked (polled) until it is done.

The vendor is paid for a job that it took, whatever becomes of us. So a provider writes each job into a book before it polls it, and
looks into the book before it submits: after a kill, a failed poll or a failed download it goes on with the same job.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

import orjson

from unisafe_providers.base import Request, Transient


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that a vendor has taken.

    Args:
        name: the vendor's name of it.
        poll: where it is polled, if the vendor says so; it holds no key.
        cost: US dollars that the vendor charges for it, if it says so when it takes the job.
    """

    name: str
    poll: str = ""
    cost: float | None = None

    def write(self) -> str:
        """The job as one line of JSON."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def read(cls, line: str) -> Job:
        return cls(**orjson.loads(line))


class JobLost(Transient):
    """The vendor took this job and no longer knows it, or no longer has its answer; only the user may have it submitted again."""


@runtime_checkable
class JobBook(Protocol):
    """Where the jobs of one model are written down: the gateway's is in the cache file.

    A request has one job at most. The answer ends it; so does a failure that the vendor reports for the job (`end`).
    """

    async def find(self, request: Request) -> Job | None:
        """The job under way for a request, from this run or an earlier one; None if it is to be submitted now."""
        ...

    async def note(self, request: Request, job: Job) -> None:
        """Write a job down; it is on disk once this returns."""
        ...

    async def end(self, request: Request) -> None:
        """The vendor says that the request's job failed: another try may submit another one."""
        ...


class JobsInMemory:
    """A book that lasts as long as its owner: of a provider that is used by itself, and of tests; `jobs` are those under way."""

    def __init__(self) -> None:
        self.jobs: dict[bytes, Job] = {}

    async def find(self, request: Request) -> Job | None:
        return self.jobs.get(request.canonical)

    async def note(self, request: Request, job: Job) -> None:
        self.jobs[request.canonical] = job

    async def end(self, request: Request) -> None:
        self.jobs.pop(request.canonical, None)


@runtime_checkable
class Submitting(Protocol):
    """A provider whose answers are made by jobs. Without a book it works too, and pays again for what was interrupted.

    A provider whose answers come by jobs only now and then says so by an attribute `submits_each = False`.

    Attributes:
        book: set by whoever opens the provider, before its first call.
    """

    book: JobBook | None


def submits_each(provider: Submitting) -> bool:
    """Whether each answer is made by a job: then the book notes each request before its submission, when `find` is called."""
    return bool(getattr(provider, "submits_each", True))
