"""A model whose requests go as batch jobs: cut, handed over, watched, collected into the cache, and passed on to be judged.

    items -> what the cache lacks -> jobs at the vendor -> answers in the cache -> the same replay as ever -> the judge

A job is in table `batches` before the vendor is asked to take it, with its requests' keys, so that it is found again whatever ends
the run. In memory there are keys with their items' places, and the requests of one job at a time. The dataset is read through when
the run begins; after that only the items whose answers came, or that are sent again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio

from cache import Store
from cache.batches import BatchRecord, accept_batch, add_batch, end_batch, known_jobs, open_batches
from cache.records import now
from providers.base import Misconfigured, ProviderError, RateLimited, Rejected, Transient
from providers.batching import Batching, Cancelled, JobStatus, NoSuchJob
from unisafe_async.batches.answers import collect
from unisafe_async.batches.cut import Cut, name_in, names_of, tag_of
from unisafe_async.batches.requests import Requests
from unisafe_async.batches.search import Search
from unisafe_async.dataset import Item, ItemError
from unisafe_async.gateway import BudgetSpent, Draining, Gateway, key_of
from unisafe_async.jobs import Job

if TYPE_CHECKING:
    from unisafe_async.scheduler import Lane

Placed = tuple[int, Item]
JOB_BYTES = 64 * 1024 * 1024
"""What the requests of one job may take of our memory; a vendor may allow less."""
JITTER = 0.2
HOLD = 10
"""After a vendor said that too much is enqueued: looks at jobs before anything more is handed over, unless one of them ends."""
KEPT_BY_VENDORS = timedelta(days=29)


@dataclass
class BatchLane:
    """One model's items by batch jobs.

    Args:
        run: the run's name.
        chunks: the items at some places of the dataset, or all of them, each with its place.
        jobs_of: the jobs of such items, each with its item's place.
        verify: raises ItemError for a job whose image cannot be used.
        pass_on: replays jobs from the cache and has those judged that are answered; it asks the model nothing.
    """

    lane: Lane
    gateway: Gateway
    store: Store
    run: str
    chunks: Callable[[Sequence[int] | None], Iterator[list[Placed]]]
    jobs_of: Callable[[list[Placed]], Awaitable[list[tuple[int, Job]]]]
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
        self._unsure: set[str] = set()
        self._requests = Requests(self._endpoint.counts, self._endpoint.max_tries)
        self._search = Search(self.run, self._poll)
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
                await self._hand_on(self._requests.give_up(str(self._endpoint.stopped)))
        except (BudgetSpent, Draining):
            return
        finally:
            for record in self._open.values():
                self.gateway.budget.settle(record.most, 0.0)

    async def _watch(self) -> None:
        while (self._open or self._requests.unsent) and self._endpoint.stopped is None:
            if not self._open and self._short is not None:
                await self._afford(self._short)
            await self.gateway.sleep(self._poll * random.uniform(1 - JITTER, 1 + JITTER))
            await self._look()
            if self.gateway.draining:
                raise Draining
            if self._requests.settled:  # before new jobs, so that the budget judges what is paid for first
                await self._hand_on(frozenset(self._requests.settled))
            if self._requests.unsent and time.monotonic() >= self._held_until:
                await self._send()
        if self._requests.settled and self._endpoint.stopped is None:
            await self._hand_on(frozenset(self._requests.settled))

    async def _afford(self, most: float) -> None:
        """Wait for calls under way to settle. Raises BudgetSpent when not even one request more can be paid for."""
        await self.gateway.budget.reserve(most)
        self.gateway.budget.settle(most, 0.0)

    # -------------------------------------------------------- out

    async def _send(self) -> None:
        """Hand over what the cache lacks: the first time of all items, later of those that are to be sent (again)."""
        requests, wanted, left, cut = self._requests, self._requests.unsent, set[str](), self._new_cut()
        requests.unsent, self._short = left, None
        try:
            for chunk in self.chunks(requests.places_of(wanted)):
                placed = [(self._key(job), place, job) for place, job in await self.jobs_of(chunk) if job.error is None]
                jobs = {key: job for key, _, job in placed}
                asked = [key for key in jobs if key not in requests.taken and (wanted is None or key in wanted)]
                found = await self.gateway.look_up(asked)
                requests.settled.update(found)
                for key, place, _ in placed if wanted is None else ():
                    if key not in found:
                        requests.stands_at(key, place)
                for key in asked:
                    if self.gateway.draining:
                        raise Draining
                    if key in found or key in requests.taken or key in requests.failures:
                        continue
                    if self._short is not None or self._endpoint.stopped is not None or time.monotonic() < self._held_until:
                        left.add(key)
                        continue
                    entry = await self._entry(cut, key, jobs[key])
                    if entry is None:
                        continue
                    if len(cut.entries) >= self._most_requests or cut.size + len(entry) + 1 > self._most_bytes:
                        cut = await self._hand_over(cut)
                    most = self._endpoint.most(jobs[key].request)
                    if not self.gateway.budget.try_reserve(most):
                        self._short = most
                        left.add(key)
                        continue
                    requests.taken.add(key)
                    cut.add(key, jobs[key].request.canonical.decode(), entry, most)
            cut = await self._hand_over(cut)
        finally:
            self.gateway.budget.settle(cut.most, 0.0)
            requests.taken.difference_update(cut.keys)

    def _new_cut(self) -> Cut:
        return Cut(tag_of(self.store.ids.next()))

    def _key(self, job: Job) -> str:
        return key_of(self._identity, job.request)

    async def _entry(self, cut: Cut, key: str, job: Job) -> bytes | None:
        """The request as the vendor takes it; None where it cannot be sent."""
        try:
            await self.verify(job)
            entry = await self._provider.entry(name_in(cut.tag, key), job.request)
        except (ProviderError, ItemError, OSError) as error:
            self._requests.fail([key], str(error))
            return None
        if len(entry) + 1 > self._most_bytes:
            self._requests.fail([key], f"the request takes {len(entry):,} bytes, more than a batch job may hold")
            return None
        return entry

    async def _hand_over(self, cut: Cut) -> Cut:
        """Give a job to the vendor; returns an empty cut. The job is in the file before the vendor hears of it."""
        if not cut.keys:
            return cut
        record = BatchRecord(cut.tag, self._identity, tuple(cut.keys), "submitting", cut.most, self.run, now())
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
                return self._new_cut()  # whether the vendor took it shows at the next look
            await self._end(record, "failed")
            if not self._endpoint.counts.calls and not self._open:
                self._endpoint.stopped = Misconfigured(f"{error}; check base_url and that the server runs")
            self._requests.again(record.keys, error)
        except Misconfigured as error:
            await self._end(record, "failed")
            self._endpoint.stopped = error
            self._requests.later(record.keys)
        except ProviderError as error:
            await self._end(record, "failed")
            self._requests.fail(record.keys, str(error))
        else:
            await self._accepted(record, job)
        return self._new_cut()

    async def _accepted(self, record: BatchRecord, job: str) -> None:
        del self._open[record.id]
        self._unsure.discard(record.id)
        self._open[job] = replace(record, id=job, status="submitted")
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
                self._requests.again(record.keys, Transient("its job's results are no longer kept by the vendor"))
            except ProviderError as error:
                self._endpoint.stopped = error if isinstance(error, Misconfigured) else Misconfigured(str(error))
                return
        self._tell()

    async def _look_at(self, record: BatchRecord) -> None:
        status = await self._provider.status(record.id)
        self._seen[record.id] = status
        self._tell()
        if status.state == "ended":
            await self._collect(record, status)
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
        self._unsure.add(record.id)
        known = await self.store.query(known_jobs)
        sought = await self._provider.find(record.id, names_of(record), record.created, known)
        match sought.state:
            case "found":
                await self._accepted(record, sought.job)
            case "perhaps":
                self._search.seen(record)
            case "absent" if self._search.missed(record):
                await self._end(record, "failed")
                self._requests.again(record.keys, Transient("the vendor did not take the job"))
            case "unread" if self._search.missed(record):
                self._leave(record)

    def _leave(self, record: BatchRecord) -> None:
        """Nobody knows whether the vendor took the job, and to hand it over again may be to pay twice: the user decides."""
        self._forget(record)
        self._requests.fail(
            record.keys,
            f"it is not known whether the vendor took the job {record.id} with this request: more jobs were handed over since "
            "than its list shows; look for it at the vendor, or let "
            f"`unisafe batches --cancel {record.id}` free its requests to be sent again",
        )

    async def _collect(self, record: BatchRecord, status: JobStatus) -> None:
        """Have the answers of an ended job in the cache; what is left of it fails or goes into another job."""
        errors = await collect(self.gateway, self._endpoint, self.store, record, status, self._requests.collected)
        await self._end(record, "cancelled" if status.cancelled else "collected")
        self._held_until = 0.0
        self._requests.settled.update(key for key in record.keys if key not in errors)
        if record.status == "cancelling":  # before this run: what was cancelled was cancelled to be sent anew
            self._requests.later([key for key, error in errors.items() if isinstance(error, Cancelled)])
            errors = {key: error for key, error in errors.items() if not isinstance(error, Cancelled)}
        self._settle_errors(errors)

    def _settle_errors(self, errors: Mapping[str, ProviderError]) -> None:
        self._requests.settle(errors)
        wrong = next((error for error in errors.values() if isinstance(error, Misconfigured)), None)
        self._endpoint.stopped = self._endpoint.stopped or wrong

    # -------------------------------------------------------- what becomes of requests

    def _begin(self, record: BatchRecord) -> None:
        self._open[record.id] = record
        self._requests.taken.update(record.keys)
        self._tell()

    async def _end(self, record: BatchRecord, status: str) -> None:
        """Nothing more comes of the job."""
        with anyio.CancelScope(shield=True):
            await self.store.query(lambda connection: end_batch(connection, self._identity, record.id, status))
        self._forget(record)

    def _forget(self, record: BatchRecord) -> None:
        """Look at the job no more in this run: its money and its keys are free."""
        self._open.pop(record.id, None)
        self._seen.pop(record.id, None)
        self._unsure.discard(record.id)
        self._requests.taken.difference_update(record.keys)
        self.gateway.budget.settle(record.most, 0.0)
        self._tell()

    def _put_off(self, keys: Collection[str], error: ProviderError) -> None:
        """The vendor has too much to do: no try is counted while other jobs of ours are what it is busy with."""
        self._endpoint.counts.rate_limited += 1
        if self._open:
            self._requests.later(keys)
        else:
            self._requests.again(keys, error)

    def _hold(self, error: RateLimited) -> None:
        self._held_until = time.monotonic() + (error.retry_after or HOLD * self._poll)

    def _bear(self, error: ProviderError) -> None:
        """A look that failed is repeated at the next one, for `max_wait_s`; the jobs themselves go on meanwhile."""
        self._failing_since = self._failing_since or time.monotonic()
        if time.monotonic() - self._failing_since > self._endpoint.max_wait:
            self._endpoint.stopped = Misconfigured(
                f"the vendor cannot be asked for the batch jobs: {error}; the next run collects them"
            )

    async def _hand_on(self, keys: Collection[str] | None) -> None:
        """Pass on the jobs of `keys`, or the first time all that wait for nothing."""
        requests, waiting = self._requests, self._requests.waiting
        for chunk in self.chunks(requests.places_of(keys)):
            chosen = []
            for _, job in await self.jobs_of(chunk):
                key = self._key(job)
                if key in keys if keys is not None else key not in waiting or job.error is not None:
                    job.error = job.error or requests.failures.get(key)
                    job.called = key in requests.collected
                    chosen.append(job)
            if chosen:
                await self.pass_on(chosen)
            if self.gateway.draining:
                raise Draining
        requests.passed_on(keys)

    def _tell(self) -> None:
        self.lane.jobs_open = len(self._open)
        self.lane.jobs_sought = len(self._unsure)
        self.lane.requests_open = len(self._requests.taken)
        self.lane.requests_done = sum(status.done for status in self._seen.values())
