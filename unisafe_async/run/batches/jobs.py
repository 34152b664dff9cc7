"""One model's batch jobs at its vendor: it submits them, polls them, collects their answers or gives them up.

A job is in table `batches`, with its requests' keys, before the vendor is asked to take it. So the next run finds it, whatever
ended this one.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

import anyio
from unisafe_cache import Store
from unisafe_cache.batches import (
    OPEN_JOBS,
    BatchRecord,
    Overtaken,
    accept_batch,
    begin_batch,
    drop_batch,
    end_batch,
    find_answered,
    list_known_jobs,
    open_batches,
    read_statuses,
)
from unisafe_cache.records import now
from unisafe_providers.base import Misconfigured, ProviderError, RateLimited, Rejected, Transient
from unisafe_providers.batching import Batching, Cancelled, JobStatus, NoSuchJob

from unisafe_async.gateway import Gateway
from unisafe_async.run.batches.answers import collect
from unisafe_async.run.batches.next_batch import NextBatch, request_names_of
from unisafe_async.run.batches.reconciliation import Reconciliation
from unisafe_async.run.batches.requests import Requests
from unisafe_async.run.lanes import Lane

HOLD = 10
"""After a vendor reported a full queue, no job is submitted for so many looks, unless a job ends."""
KEPT_BY_VENDORS = timedelta(days=29)
OVERDUE = timedelta(days=1)
"""So long after the end that a vendor announced is a job waited for, whatever it says of the job's state."""


@dataclass(kw_only=True)
class JobsUnderWay:
    """The batch jobs of one model, from this run and from earlier ones.

    Args:
        requests: keeps track of what becomes of each request.
        run: the run's name.
        poll: seconds between looks.
        most_requests: the most requests in one job; it shrinks after the vendor reported a full queue.
    """

    lane: Lane
    gateway: Gateway
    store: Store
    requests: Requests
    run: str
    poll: float
    most_requests: int
    _open: dict[str, BatchRecord] = field(default_factory=dict)
    _seen: dict[str, JobStatus] = field(default_factory=dict)
    _unsure: set[str] = field(default_factory=set)
    _held_until: float = 0.0
    _failing_since: float | None = None

    def __post_init__(self) -> None:
        self._endpoint = self.lane.endpoint
        assert isinstance(self._endpoint.provider, Batching)
        self._provider: Batching = self._endpoint.provider
        self._identity = self._endpoint.provider.identity
        self._search = Reconciliation(self.run, self.poll)

    @property
    def under_way(self) -> bool:
        return bool(self._open)

    @property
    def held(self) -> bool:
        """Whether the vendor's queue is full, so that no job should be submitted now."""
        return time.monotonic() < self._held_until

    async def recall(self) -> None:
        """Take over the jobs that earlier runs left under way, and reserve what they can cost."""
        for record in await self.store.query(lambda connection: open_batches(connection, self._identity)):
            self._take_over(record)

    def _take_over(self, record: BatchRecord) -> None:
        self._begin(record)
        self.gateway.budget.commit(record.max_cost)

    def let_go(self) -> None:
        """The run ends: free the budget that jobs under way reserved; the jobs go on at the vendor."""
        for record in self._open.values():
            self.gateway.budget.settle(record.max_cost, 0.0)

    async def hand_over(self, next_batch: NextBatch) -> None:
        """Submit a job. The job is in the cache file before the vendor hears of it."""
        if not next_batch.keys:
            return
        record = BatchRecord(
            id=next_batch.tag,
            identity=self._identity,
            keys=tuple(next_batch.keys),
            status="submitting",
            max_cost=next_batch.max_cost,
            run=self.run,
            created=now(),
        )
        since = self.gateway.since
        try:
            overtaken = await self.store.begin_job(lambda connection: begin_batch(connection, record, next_batch.requests, since))
        finally:
            self.gateway.claiming.release_all(next_batch.keys)
        if overtaken is not None:
            self._give_way(next_batch, overtaken)
            return
        self._begin(record)
        try:
            job = await self._provider.submit(next_batch.entries, record.id)
        except ProviderError as error:
            if not isinstance(error, Transient) or error.unreachable:  # otherwise the next look shows whether the vendor took it
                await self._drop(record)
                self._handle_refusal(record, error)
        else:
            await self._note_accepted(record, job)

    def _handle_refusal(self, record: BatchRecord, error: ProviderError) -> None:
        """Decide about the requests of a job that the vendor refused, or that never reached it."""
        match error:
            case RateLimited():
                self._hold(error)
                self._put_off(record.keys, error)
            case Transient():
                if not self._endpoint.counts.calls and not self._open:
                    self._endpoint.stopped = Misconfigured(f"{error}; check base_url and that the server runs")
                self.requests.send_again(record.keys, error)
            case Misconfigured():
                self._endpoint.stopped = error
                self.requests.send_later(record.keys)
            case _:
                self.requests.fail(record.keys, str(error))

    def _give_way(self, next_batch: NextBatch, overtaken: Overtaken) -> None:
        """Another run on this cache was quicker: watch its jobs as our own, and put the remaining requests into another job."""
        self.gateway.budget.settle(next_batch.max_cost, 0.0)
        self.requests.taken.difference_update(next_batch.keys)
        for record in overtaken.jobs:
            if record.id not in self._open:
                self._take_over(record)
        self.requests.settled.update(overtaken.answered)
        self.requests.send_later(
            [key for key in next_batch.keys if key not in overtaken.answered and key not in self.requests.taken]
        )

    async def _note_accepted(self, record: BatchRecord, job: str) -> None:
        self._note_name(record, job)
        with anyio.CancelScope(shield=True):
            await self.store.query(lambda connection: accept_batch(connection, record.id, job))
        self._tell()

    def _note_name(self, record: BatchRecord, job: str) -> None:
        del self._open[record.id]
        self._unsure.discard(record.id)
        self._open[job] = replace(record, id=job, status="submitted")

    # -------------------------------------------------------- back

    async def look(self) -> None:
        """Ask the vendor about every job; collect the jobs that ended."""
        await self._catch_up()
        for record in list(self._open.values()):
            try:
                if not record.handed_over:
                    await self._resolve(record)
                else:
                    await self._look_at(record)
                self._failing_since = None
            except (RateLimited, Transient) as error:
                self._tolerate(error)
            except NoSuchJob as error:
                if now() - record.created < KEPT_BY_VENDORS:
                    frees = f"if it is really gone, `unisafe batches --cancel {record.id}` frees its requests"
                    self._endpoint.stopped = Misconfigured(f"{error}; {frees}")
                    return
                await self._end(record, "failed")
                self.requests.send_again(record.keys, Transient("its job's results are no longer kept by the vendor"))
            except ProviderError as error:
                self._endpoint.stopped = error if isinstance(error, Misconfigured) else Misconfigured(str(error))
                return
        self._tell()

    async def _catch_up(self) -> None:
        """Note what other runs on this cache, or `unisafe batches`, did with our jobs since the last look."""
        if not self._open:
            return
        oldest = min(record.created for record in self._open.values())
        stored = await self.store.query(lambda connection: read_statuses(connection, self._identity, oldest))
        for record in list(self._open.values()):
            job, status = stored.get((record.run, record.created), ("", ""))
            if status in OPEN_JOBS:
                if status != "submitting" and not record.handed_over:
                    self._note_name(record, job)
                continue
            self._forget(record)
            since = max(record.first_id, self.gateway.since)
            answered = await self.store.query(partial(find_answered, keys=record.keys, since=since))
            self.requests.settled.update(answered)
            left = [key for key in record.keys if key not in answered]
            if status == "cancelled":
                self.requests.fail(left, f"its job {job} was cancelled")
            else:
                self.requests.send_later(left)

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
                self.most_requests = max(1, len(record.keys) // 2)
                self._hold(error)
                self._put_off(record.keys, error)
            else:
                self._settle_errors(dict.fromkeys(record.keys, error))
        elif now() > (status.expires or record.created + KEPT_BY_VENDORS) + OVERDUE:
            self._leave(record, f"its job {record.id} should have ended long ago, and the vendor says that it is still under way")

    async def _resolve(self, record: BatchRecord) -> None:
        """Reconcile: find out whether the vendor took a job whose submission was interrupted."""
        self._unsure.add(record.id)
        known = await self.store.query(list_known_jobs)
        reconciled = await self._provider.find(record.id, request_names_of(record), record.created, known)
        match reconciled.state:
            case "found":
                await self._note_accepted(record, reconciled.job)
            case "perhaps":
                self._search.note_seen(record)
            case "absent" if self._search.note_missing(record):
                await self._end(record, "failed")
                self.requests.send_again(record.keys, Transient("the vendor did not take the job"))
            case "unread" if self._search.note_missing(record):
                self._leave(
                    record,
                    f"it is not known whether the vendor took the job {record.id} with this request: more jobs were submitted "
                    "since then than the vendor's list shows",
                )

    def _leave(self, record: BatchRecord, why: str) -> None:
        """Wait for a job no longer in this run. Submitting it again could mean paying twice: let the user decide."""
        self._forget(record)
        decide = f"look for the job at the vendor, or let `unisafe batches --cancel {record.id}` free its requests to be sent again"
        self.requests.fail(record.keys, f"{why}; {decide}")

    async def _collect(self, record: BatchRecord, status: JobStatus) -> None:
        """Take the answers of an ended job into the cache; its other requests fail or go into another job."""
        errors = await collect(self.gateway, self._endpoint, self.store, record, status, self.requests.collected)
        await self._end(record, "cancelled" if status.cancelled else "collected")
        self._held_until = 0.0
        self.requests.settled.update(key for key in record.keys if key not in errors)
        if record.status == "cancelling":  # cancelled before this run, so that its requests are sent again
            self.requests.send_later([key for key, error in errors.items() if isinstance(error, Cancelled)])
            errors = {key: error for key, error in errors.items() if not isinstance(error, Cancelled)}
        self._settle_errors(errors)

    def _settle_errors(self, errors: Mapping[str, ProviderError]) -> None:
        self.requests.settle(errors)
        wrong = next((error for error in errors.values() if isinstance(error, Misconfigured)), None)
        self._endpoint.stopped = self._endpoint.stopped or wrong

    # -------------------------------------------------------- ends

    def _begin(self, record: BatchRecord) -> None:
        self._open[record.id] = record
        self.requests.taken.update(record.keys)
        self._tell()

    async def _end(self, record: BatchRecord, status: str) -> None:
        """Note that the job will bring nothing more."""
        with anyio.CancelScope(shield=True):
            await self.store.query(lambda connection: end_batch(connection, self._identity, record.id, status))
        self._forget(record)

    async def _drop(self, record: BatchRecord) -> None:
        """Forget a job that the vendor did not take, as the vendor said."""
        with anyio.CancelScope(shield=True):
            await self.store.query(partial(drop_batch, record=record))
        self._forget(record)

    def _forget(self, record: BatchRecord) -> None:
        """Stop looking at the job in this run, and free its money and its keys."""
        self._open.pop(record.id, None)
        self._seen.pop(record.id, None)
        self._unsure.discard(record.id)
        self.requests.taken.difference_update(record.keys)
        self.gateway.budget.settle(record.max_cost, 0.0)
        self._tell()

    def _put_off(self, keys: Collection[str], error: ProviderError) -> None:
        """The vendor's queue is full: send the requests later, and count no try while our own other jobs fill the queue."""
        self._endpoint.counts.rate_limited += 1
        if self._open:
            self.requests.send_later(keys)
        else:
            self.requests.send_again(keys, error)

    def _hold(self, error: RateLimited) -> None:
        self._held_until = time.monotonic() + (error.retry_after or HOLD * self.poll)

    def _tolerate(self, error: ProviderError) -> None:
        """A failed look is repeated the next time, for at most `max_wait_s`; the jobs themselves go on meanwhile."""
        self._failing_since = self._failing_since or time.monotonic()
        if time.monotonic() - self._failing_since > self._endpoint.max_wait:
            self._endpoint.stopped = Misconfigured(
                f"the vendor cannot be asked for the batch jobs: {error}; the next run collects them"
            )

    def _tell(self) -> None:
        self.lane.jobs_open = len(self._open)
        self.lane.jobs_sought = len(self._unsure)
        self.lane.requests_open = len(self.requests.taken)
        self.lane.requests_done = sum(status.done for status in self._seen.values())
