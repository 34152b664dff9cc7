"""A model whose requests go as batch jobs: cut, handed over, watched, collected into the cache, and passed on to be judged.

    items -> what the cache lacks -> jobs at the vendor -> answers in the cache -> the same replay as ever -> the judge

A job is in table `batches` before the vendor is asked to take it, with its requests' keys, so that it is found again whatever ends
the run. In memory there are keys, and the requests of one job at a time.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio

from cache import Store
from cache.batches import BatchRecord, accept_batch, add_batch, end_batch, known_jobs, open_batches, unanswered
from cache.records import now
from providers.base import Misconfigured, ProviderError, RateLimited, Rejected, Response, Transient
from providers.batching import Batching, JobStatus, NoSuchJob
from unisafe_async.dataset import Item, ItemError
from unisafe_async.gateway import BudgetSpent, Draining, Gateway, key_of
from unisafe_async.jobs import Job

if TYPE_CHECKING:
    from unisafe_async.scheduler import Lane

JOB_BYTES = 64 * 1024 * 1024
"""What the requests of one job may take of our memory; a vendor may allow less."""
KEPT_AT_ONCE = 64
JITTER = 0.2
HOLD = 10
"""After a vendor said that too much is enqueued: looks at jobs before anything more is handed over, unless one of them ends."""
GRACE = timedelta(minutes=30)
"""How long another run may take to hand a job over; before that, one that the vendor does not list is not given up."""
KEPT_BY_VENDORS = timedelta(days=29)


@dataclass
class _Cut:
    """The requests of a job that is being put together."""

    keys: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)
    size: int = 0
    most: float = 0.0

    def add(self, key: str, request: str, entry: bytes, most: float) -> None:
        self.keys.append(key)
        self.requests.append(request)
        self.entries.append(entry)
        self.size += len(entry) + 1
        self.most += most


@dataclass
class BatchLane:
    """One model's items by batch jobs.

    Args:
        run: the run's name.
        chunks: the items, from the start each time it is called.
        jobs_of: the jobs of some items.
        verify: raises ItemError for a job whose image cannot be used.
        pass_on: replays jobs from the cache and has those judged that are answered; it asks the model nothing.
    """

    lane: Lane
    gateway: Gateway
    store: Store
    run: str
    chunks: Callable[[], Iterator[list[Item]]]
    jobs_of: Callable[[list[Item]], Awaitable[list[Job]]]
    verify: Callable[[Job], Awaitable[None]]
    pass_on: Callable[[list[Job]], Awaitable[None]]

    def __post_init__(self) -> None:
        self._endpoint = self.lane.endpoint
        assert isinstance(self._endpoint.provider, Batching)
        assert self._endpoint.jobs is not None
        self._provider: Batching = self._endpoint.provider
        self._identity = self._endpoint.provider.identity
        self._poll = self._endpoint.jobs.poll
        self._most_requests = min(self._endpoint.jobs.most_requests or self._provider.most_requests, self._provider.most_requests)
        self._most_bytes = min(JOB_BYTES, self._provider.most_bytes)
        self._open: dict[str, BatchRecord] = {}
        self._seen: dict[str, JobStatus] = {}
        self._taken: set[str] = set()
        self._unsent: set[str] | None = None
        self._settled: set[str] = set()
        self._collected: set[str] = set()
        self._failures: dict[str, str] = {}
        self._tries: Counter[str] = Counter()
        self._held_until = 0.0
        self._short: float | None = None
        self._failing_since: float | None = None

    async def execute(self) -> None:
        """Return when every item is passed on, or when the run stops; jobs under way are left to the next run then."""
        try:
            for record in await self.store.query(lambda connection: open_batches(connection, self._identity)):
                self._begin(record)
                self.gateway.budget.owe(record.most)
            await self._send()
            await self._hand_on(None)
            await self._watch()
            if self._endpoint.stopped is not None:
                await self._give_up(str(self._endpoint.stopped))
        except (BudgetSpent, Draining):
            return
        finally:
            for record in self._open.values():
                self.gateway.budget.settle(record.most, 0.0)

    async def _watch(self) -> None:
        while (self._open or self._unsent) and self._endpoint.stopped is None:
            if not self._open and self._short is not None:
                await self._afford(self._short)
            await self.gateway.sleep(self._poll * random.uniform(1 - JITTER, 1 + JITTER))
            await self._look()
            if self.gateway.draining:
                raise Draining
            if self._settled:  # before new jobs, so that the budget judges what is paid for first
                await self._hand_on(frozenset(self._settled))
            if self._unsent and time.monotonic() >= self._held_until:
                await self._send()

    async def _afford(self, most: float) -> None:
        """Wait for calls under way to settle. Raises BudgetSpent when not even one request more can be paid for."""
        await self.gateway.budget.reserve(most)
        self.gateway.budget.settle(most, 0.0)

    # -------------------------------------------------------- out

    async def _send(self) -> None:
        """Hand over what the cache lacks: the first time of all items, later of those that are to be sent (again)."""
        wanted, left, cut = self._unsent, set[str](), _Cut()
        self._unsent, self._short = left, None
        try:
            for chunk in self.chunks():
                jobs = {key_of(self._identity, job.request): job for job in await self.jobs_of(chunk) if job.error is None}
                asked = [key for key in jobs if key not in self._taken and (wanted is None or key in wanted)]
                found = await self.gateway.look_up(asked)
                self._settled.update(found)
                for key in asked:
                    if self.gateway.draining:
                        raise Draining
                    if key in found or key in self._taken or key in self._failures:
                        continue
                    if self._short is not None or self._endpoint.stopped is not None or time.monotonic() < self._held_until:
                        left.add(key)
                        continue
                    entry = await self._entry(key, jobs[key])
                    if entry is None:
                        continue
                    if len(cut.entries) >= self._most_requests or cut.size + len(entry) + 1 > self._most_bytes:
                        cut = await self._hand_over(cut)
                    most = self._endpoint.most(jobs[key].request)
                    if not self.gateway.budget.try_reserve(most):
                        self._short = most
                        left.add(key)
                        continue
                    self._taken.add(key)
                    cut.add(key, jobs[key].request.canonical.decode(), entry, most)
            cut = await self._hand_over(cut)
        finally:
            self.gateway.budget.settle(cut.most, 0.0)
            self._taken.difference_update(cut.keys)

    async def _entry(self, key: str, job: Job) -> bytes | None:
        """The request as the vendor takes it; None where it cannot be sent."""
        try:
            await self.verify(job)
            entry = await self._provider.entry(key, job.request)
        except (ProviderError, ItemError, OSError) as error:
            self._fail(key, str(error))
            return None
        if len(entry) + 1 > self._most_bytes:
            self._fail(key, f"the request takes {len(entry):,} bytes, more than a batch job may hold")
            return None
        return entry

    async def _hand_over(self, cut: _Cut) -> _Cut:
        """Give a job to the vendor; returns an empty cut. The job is in the file before the vendor hears of it."""
        if not cut.keys:
            return cut
        record = BatchRecord(
            f"unisafe-{self.store.ids.next():x}", self._identity, tuple(cut.keys), False, cut.most, self.run, now()
        )
        await self.store.query(lambda connection: add_batch(connection, record, cut.requests))
        self._begin(record)
        try:
            job = await self._provider.submit(cut.entries, record.id)
        except RateLimited as error:
            await self._end(record, "failed")
            self._hold(error)
            self._put_off(record.keys, error)
        except Transient as error:
            if not error.unreachable:
                return _Cut()  # whether the vendor took it shows at the next look
            await self._end(record, "failed")
            if not self._endpoint.counts.calls and not self._open:
                self._endpoint.stopped = Misconfigured(f"{error}; check base_url and that the server runs")
            self._again(record.keys, error)
        except Misconfigured as error:
            await self._end(record, "failed")
            self._endpoint.stopped = error
            self._later(record.keys)
        except ProviderError as error:
            await self._end(record, "failed")
            for key in record.keys:
                self._fail(key, str(error))
        else:
            await self._accepted(record, job)
        return _Cut()

    async def _accepted(self, record: BatchRecord, job: str) -> None:
        del self._open[record.id]
        self._open[job] = replace(record, id=job, handed_over=True)
        with anyio.CancelScope(shield=True):
            await self.store.query(lambda connection: accept_batch(connection, record.id, job))
        self._tell()

    # -------------------------------------------------------- back

    async def _look(self) -> None:
        """Ask for every job; collect those that ended."""
        for record in list(self._open.values()):
            try:
                if not record.handed_over:
                    await self._resolve(record)
                else:
                    await self._look_at(record)
                self._failing_since = None
            except (RateLimited, Transient) as error:
                self._bear(error)
            except NoSuchJob as error:
                if now() - record.created < KEPT_BY_VENDORS:
                    self._endpoint.stopped = error
                    return
                await self._end(record, "failed")
                self._again(record.keys, Transient("its job's results are no longer kept by the vendor"))
            except ProviderError as error:
                self._endpoint.stopped = error if isinstance(error, Misconfigured) else Misconfigured(str(error))
                return
        self._tell()

    async def _look_at(self, record: BatchRecord) -> None:
        status = await self._provider.status(record.id)
        self._seen[record.id] = status
        self._tell()
        if status.state == "ended":
            await self._collect(record)
        elif status.state == "failed":
            await self._end(record, "failed")
            error = status.error or Rejected("the job failed at the vendor")
            if isinstance(error, RateLimited):
                self._most_requests = max(1, len(record.keys) // 2)
                self._hold(error)
                self._put_off(record.keys, error)
            else:
                self._settle_errors(dict.fromkeys(record.keys, error))

    async def _resolve(self, record: BatchRecord) -> None:
        """Find out whether the vendor took a job whose handing over was cut off."""
        known = await self.store.query(known_jobs)
        job = await self._provider.find(record.id, frozenset(record.keys), record.created, known)
        if job is not None:
            await self._accepted(record, job)
        elif record.run == self.run or now() - record.created > GRACE:
            await self._end(record, "failed")
            self._again(record.keys, Transient("the vendor did not take the job"))

    async def _collect(self, record: BatchRecord) -> None:
        """Have the answers of an ended job in the cache, each under its key; what a run that was cut off had kept is left out."""
        since = max(record.first_id, self.gateway.since)
        wanted = await self.store.query(lambda connection: unanswered(connection, self._identity, record.id, since))
        errors: dict[str, ProviderError] = {}
        pile: list[tuple[str, str, Response]] = []
        async with aclosing(self._provider.results(record.id)) as results:
            async for key, outcome in results:
                if key not in wanted:
                    continue
                request = wanted.pop(key)
                if request is None:
                    errors[key] = Transient("another run gave this job up, and its request with it")
                    continue
                if not isinstance(outcome, Response):
                    errors[key] = outcome
                    continue
                pile.append((key, request, outcome))
                if len(pile) == KEPT_AT_ONCE:
                    await self._keep(pile)
                    pile = []
        await self._keep(pile)
        errors |= {key: Transient("the job ended without an answer to it") for key in wanted}
        await self._end(record, "collected")
        self._held_until = 0.0
        self._settled.update(key for key in record.keys if key not in errors)
        self._settle_errors(errors)

    async def _keep(self, pile: Sequence[tuple[str, str, Response]]) -> None:
        async with anyio.create_task_group() as commits:
            for key, request, response in pile:
                commits.start_soon(self.gateway.keep, self._endpoint, key, request, response)
        self._collected.update(key for key, _, _ in pile)

    def _settle_errors(self, errors: dict[str, ProviderError]) -> None:
        passing = {key: error for key, error in errors.items() if isinstance(error, RateLimited | Transient)}
        for key, error in passing.items():
            self._again([key], error)
        for key in errors.keys() - passing.keys():
            self._fail(key, str(errors[key]))
        wrong = next((error for error in errors.values() if isinstance(error, Misconfigured)), None)
        self._endpoint.stopped = self._endpoint.stopped or wrong

    # -------------------------------------------------------- what becomes of requests

    def _begin(self, record: BatchRecord) -> None:
        self._open[record.id] = record
        self._taken.update(record.keys)
        self._tell()

    async def _end(self, record: BatchRecord, status: str) -> None:
        """Nothing more comes of the job: its money and its keys are free."""
        with anyio.CancelScope(shield=True):
            await self.store.query(lambda connection: end_batch(connection, self._identity, record.id, status))
        self._open.pop(record.id, None)
        self._seen.pop(record.id, None)
        self._taken.difference_update(record.keys)
        self.gateway.budget.settle(record.most, 0.0)
        self._tell()

    def _again(self, keys: Collection[str], error: ProviderError) -> None:
        """Send these in another job, or give up after `max_tries`."""
        self._endpoint.counts.retries += len(keys)
        self._tries.update(keys)
        for key in keys:
            if self._tries[key] >= self._endpoint.max_tries:
                self._fail(key, f"gave up after {self._tries[key]} failed tries: {error}")
            else:
                self._later([key])

    def _put_off(self, keys: Collection[str], error: ProviderError) -> None:
        """The vendor has too much to do: no try is counted while other jobs of ours are what it is busy with."""
        self._endpoint.counts.rate_limited += 1
        if self._open:
            self._later(keys)
        else:
            self._again(keys, error)

    def _later(self, keys: Collection[str]) -> None:
        self._unsent = (self._unsent or set()) if self._unsent is None else self._unsent
        self._unsent.update(keys)

    def _fail(self, key: str, why: str) -> None:
        self._failures[key] = why
        self._settled.add(key)
        self._endpoint.counts.failed += 1

    def _hold(self, error: RateLimited) -> None:
        self._held_until = time.monotonic() + (error.retry_after or HOLD * self._poll)

    def _bear(self, error: ProviderError) -> None:
        """A look that failed is repeated at the next one, for `max_wait_s`; the jobs themselves go on meanwhile."""
        self._failing_since = self._failing_since or time.monotonic()
        if time.monotonic() - self._failing_since > self._endpoint.max_wait:
            self._endpoint.stopped = Misconfigured(
                f"the vendor cannot be asked for the batch jobs: {error}; the next run collects them"
            )

    async def _give_up(self, why: str) -> None:
        outstanding = self._taken | (self._unsent or set()) | self._settled
        for key in outstanding - self._settled:
            self._fail(key, why)
        await self._hand_on(outstanding)

    async def _hand_on(self, keys: Collection[str] | None) -> None:
        """Pass on the jobs of `keys`, or the first time all that wait for nothing."""
        waiting = self._taken | (self._unsent or set())
        for chunk in self.chunks():
            chosen = []
            for job in await self.jobs_of(chunk):
                key = key_of(self._identity, job.request)
                if key in keys if keys is not None else key not in waiting or job.error is not None:
                    job.error = job.error or self._failures.get(key)
                    job.called = key in self._collected
                    chosen.append(job)
            if chosen:
                await self.pass_on(chosen)
            if self.gateway.draining:
                raise Draining
        if keys is None:
            self._settled.clear()
        else:
            self._settled.difference_update(keys)

    def _tell(self) -> None:
        self.lane.jobs_open = len(self._open)
        self.lane.requests_open = len(self._taken)
        self.lane.requests_done = sum(status.done for status in self._seen.values())
