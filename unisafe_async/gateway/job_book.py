"""The jobs of one model, each noted in the cache file: a request that a vendor took is never submitted again unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import duckdb
from unisafe_cache import CacheError, Store
from unisafe_cache.records import now
from unisafe_cache.submitted_jobs import (
    JobRecord,
    Submission,
    begin_submissions,
    drop_jobs,
    find_job,
    find_jobs,
    note_jobs,
    note_lost,
)
from unisafe_providers.base import Misconfigured, ProviderError, RateLimited, Rejected, Request, Response, Transient, clean
from unisafe_providers.jobs import Job, JobLost

from unisafe_async.gateway.calling import key_of
from unisafe_async.text import count

A = TypeVar("A")
T = TypeVar("T")

NO_JOB = "{}"
"""The line of a request that was answered without a job (unisafe_cache.records.Paid.job)."""
LONGEST = 8_000
"""The most characters of a vendor's name or address of a job."""
MOST_COST = 1_000_000.0
"""Dollars; a vendor's price beyond them makes no sense."""


@dataclass(slots=True)
class _Entry:
    """What is known of a request that is being asked now.

    Args:
        job: its job, of this run or an earlier one.
        lost: whether the vendor no longer has the job or its answer.
        begun: whether its submission is in the table.
        sought: whether the table was asked for its job.
    """

    job: Job | None = None
    lost: bool = False
    begun: bool = False
    sought: bool = False


class EndpointJobs:
    """A JobBook (unisafe_providers/jobs.py) in table `submitted_jobs`.

    While a request is being asked, its job is remembered here too, whatever another run does to the table.

    Args:
        run: the run's name.
        max_cost: the most that a request can cost, in US dollars; None if no price is known.
        submits_each: whether the model answers every request by a job. Then a submission is noted before it is sent.
        notes: sentences for the end of the run, by their subject.

    Attributes:
        failure: why a job could not be written down, which ends the run.
    """

    def __init__(
        self,
        store: Store,
        identity: str,
        run: str,
        *,
        max_cost: Callable[[Request], float | None],
        submits_each: bool,
        notes: dict[str, str],
    ) -> None:
        self.failure: CacheError | None = None
        self._store = store
        self._identity = identity
        self._run = run
        self._max_cost = max_cost
        self._submits_each = submits_each
        self._notes = notes
        self._entries: dict[str, _Entry] = {}
        self._looked_at, self._has_some = -1, False
        self._taken_over = self._unsure = 0

    # -------------------------------------------------------- what a provider calls

    async def find(self, request: Request) -> Job | None:
        key, entry = self._open(request)
        if entry.job is None and not entry.begun:
            if self._submits_each:
                begun = Submission(record=self._record(key, request), request=request.canonical.decode())
                self._take(entry, await self._query_together(begin_submissions, begun))
                entry.begun, entry.sought = True, True
            elif not entry.sought:
                await self._seek(key, entry)
        return entry.job

    async def note(self, request: Request, job: Job) -> None:
        key, entry = self._open(request)
        entry.job = _build_storable(job)
        record = replace(self._record(key, request), job=entry.job.write(), state="submitted")
        if entry.job.cost is not None:
            record = replace(record, cost=entry.job.cost)
        taken = Submission(record=record, request=request.canonical.decode())
        if self._submits_each:
            await self._query_together(note_jobs, taken)
        else:
            await self._announce(taken)
        entry.begun = self._has_some = True

    async def end(self, request: Request) -> None:
        key, entry = self._open(request)
        if entry.job is not None or entry.begun:
            await self._query_together(drop_jobs, key)
        entry.job, entry.begun, entry.lost = None, False, False

    # -------------------------------------------------------- what the gateway calls

    async def is_under_way(self, request: Request) -> bool:
        """Whether the vendor has taken the request, in this run or an earlier one."""
        key, entry = self._open(request)
        if entry.job is None and not entry.sought:
            await self._seek(key, entry)
        return entry.job is not None

    def has_job(self, request: Request) -> bool:
        """Whether a request that is being asked has a job."""
        return self._open(request)[1].job is not None

    def add_cost(self, request: Request, response: Response) -> Response:
        """The answer with the price that the vendor told when it took the job, unless the answer itself tells one."""
        job = self._open(request)[1].job
        if job is None or job.cost is None or response.usage.cost is not None:
            return response
        return replace(response, usage=replace(response.usage, cost=job.cost))

    def explain(self, request: Request, error: ProviderError) -> None:
        """Tell in a final error what becomes of the request's job."""
        entry = self._open(request)[1]
        if entry.job is not None and not isinstance(error, Misconfigured):  # that one belongs to the model, not to a request
            error.args = (explain_open_job(entry.job, str(error), lost=entry.lost),)

    async def note_failure(self, request: Request, error: ProviderError) -> None:
        """Note what a failed try shows: a lost job; a submission that the vendor did not take, as it said."""
        key, entry = self._open(request)
        if isinstance(error, JobLost) and entry.job is not None:
            entry.lost = True
            await self._query(partial(note_lost, key=key))
        elif entry.job is None and entry.begun and _was_refused(error):
            await self.end(request)

    def leave(self, request: Request) -> str:
        """Forget a request that is answered or given up; returns the line that its answer ends in the table."""
        entry = self._entries.pop(key_of(self._identity, request), None)
        return NO_JOB if entry is None or entry.job is None else entry.job.write()

    # -------------------------------------------------------- inside

    def _open(self, request: Request) -> tuple[str, _Entry]:
        key = key_of(self._identity, request)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        return key, entry

    def _record(self, key: str, request: Request) -> JobRecord:
        return JobRecord(
            key=key,
            identity=self._identity,
            job=None,
            state="submitting",
            cost=_check_cost(self._max_cost(request)),
            run=self._run,
            created=now(),
        )

    async def _query(self, action: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        with self._remember_failure():
            return await self._store.query(action)

    async def _query_together(self, action: Callable[[duckdb.DuckDBPyConnection, Sequence[A]], Sequence[T]], value: A) -> T:
        with self._remember_failure():
            return await self._store.query_together(action, value)

    async def _announce(self, taken: Submission) -> None:
        """Store a job of a model that seldom has any, and make other runs look for it."""
        with self._remember_failure():
            await self._store.begin_job(partial(note_jobs, taken=[taken]))

    @contextmanager
    def _remember_failure(self) -> Iterator[None]:
        """Inside the block, a failure of the cache is remembered: what a provider lets through may pass for the provider's own."""
        try:
            yield
        except CacheError as error:
            self.failure = error
            raise

    async def _seek(self, key: str, entry: _Entry) -> None:
        """Look for the request's job in the table; for a model that seldom has any, only if the table can have one."""
        entry.sought = True
        begun = self._store.others[1]
        if not self._submits_each and self._looked_at != begun:
            jobs = await self._query(partial(find_jobs, identity=self._identity))
            self._looked_at, self._has_some = begun, self._has_some or bool(jobs)
        if self._submits_each or self._has_some:
            record = await self._query(partial(find_job, key=key))
            self._take(entry, record if record is not None and record.job is not None else None)

    def _take(self, entry: _Entry, record: JobRecord | None) -> None:
        """Go on with the job that the table held, and tell the user of it."""
        if record is None:
            return
        if record.job is not None:
            entry.job, entry.begun = Job.read(record.job), True
            if record.run != self._run:
                self._taken_over += 1
                self._notes["taken over"] = explain_taken_over(self._taken_over)
        elif record.run != self._run:
            self._unsure += 1
            self._notes["unsure"] = explain_unsure(self._unsure)


def explain_taken_over(number: int) -> str:
    """What is told of jobs of an earlier run that this run asked for their answers."""
    return f"{count(number, 'job')} of an earlier run gone on with, and not submitted again"


def explain_unsure(number: int) -> str:
    """What is told of requests whose submission an earlier run did not see confirmed."""
    return (
        f"{count(number, 'request')} on the way to the vendor when an earlier run ended, and submitted again: perhaps paid for "
        "twice, which only the vendor's own list of jobs shows"
    )


def explain_open_job(job: Job, why: str, *, lost: bool) -> str:
    """The words of a request that failed although the vendor has taken it."""
    if lost:
        paid = "" if "paid for" in why else f"; its job {job.name} was paid for"
        return f"{why}{paid}; `unisafe batches --cancel {job.name}` frees the request to be submitted and paid for once more"
    return f"{why}; its job {job.name} stays under way and is paid for (`unisafe batches --cancel {job.name}` gives it up)"


def _was_refused(error: ProviderError) -> bool:
    """Whether an error of a submission shows that the vendor did not take the request."""
    if isinstance(error, Transient):
        return error.unreachable
    return isinstance(error, RateLimited | Rejected | Misconfigured)


def _build_storable(job: Job) -> Job:
    """The job as the table holds it, whatever a vendor makes of names, addresses and prices."""
    poll = clean(str(job.poll))
    poll = poll if poll.startswith(("http://", "https://")) and len(poll) <= LONGEST else ""
    return replace(job, name=clean(str(job.name))[:LONGEST], poll=poll, cost=_check_cost(job.cost))


def _check_cost(cost: float | None) -> float | None:
    return cost if isinstance(cost, int | float) and 0 <= cost <= MOST_COST else None
