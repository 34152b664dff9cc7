"""The only door to a model: cached, deduplicated, within budget and limits, retried, and durable before anyone sees the answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import anyio
from unisafe_cache import Answer, Paid, Store, Unstorable
from unisafe_cache.batches import find_under_way
from unisafe_providers.base import ProviderError, Rejected, Request, Response, Usage

from unisafe_async.gateway.budget import Budget
from unisafe_async.gateway.calling import check_response, key_of, request_of
from unisafe_async.gateway.claiming import Claiming
from unisafe_async.gateway.clock import Clock, Pauses
from unisafe_async.gateway.endpoint import Endpoint
from unisafe_async.gateway.job_calls import pay_by_job
from unisafe_async.gateway.rereading import Rereading
from unisafe_async.gateway.sending import send
from unisafe_async.gateway.trying import Tries

REMEMBERED = 4_096
JOB_WAIT = 3_600.0
"""Seconds beyond `max_wait` that another run has for an answer that is made by a job: no provider lets a job take longer."""
NO_KEY = ""
"""The key of a paid answer that no lookup may find."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer, and whether it was in the cache."""

    answer: Answer
    cached: bool

    @property
    def response(self) -> Response:
        return self.answer.response


class _Flight:
    """A call under way; other callers with the same request wait for it."""

    __slots__ = ("answer", "done", "error")

    def __init__(self) -> None:
        self.done: anyio.Event | None = None  # most calls have no other caller
        self.answer: Answer | None = None
        self.error: ProviderError | None = None

    async def wait(self) -> None:
        """Return when the call is over."""
        self.done = self.done or anyio.Event()
        await self.done.wait()

    def end(self) -> None:
        if self.done is not None:
            self.done.set()


def explain_in_batch(job: str) -> str:
    """Why a request is not sent online: a batch job has paid for it."""
    return (
        f'is in the batch job {job}, which is under way and paid for: run with `mode = "batch"` to collect it, or give it up with '
        f"`unisafe batches --cancel {job}`"
    )


class Gateway:
    """`ask` any endpoint.

    Args:
        store: where answers are kept.
        budget: dollars for this run.
        run: the run's name, stored with each answer.
        since: answers older than this id are ignored (`--fresh`).
        clock: the clock for all waits.

    Attributes:
        sleep: waits for a number of seconds; raises Draining if the run is asked to stop meanwhile.
        now: monotonic seconds.
        rereading: what became of answers that an older version stored.
        claiming: the claims of this run among all runs on this cache.
    """

    def __init__(self, store: Store, budget: Budget, run: str, since: int = 0, clock: Clock | None = None) -> None:
        self.budget = budget
        self.rereading = Rereading(store)
        self._store = store
        self._run = run
        self.since = since
        self._began = store.ids.next()
        self._jobs_at_start = store.others[1]
        self._in_jobs: dict[str, tuple[int, dict[str, str]]] = {}
        self._flights: dict[str, _Flight] = {}
        self._recent: OrderedDict[str, Answer] = OrderedDict()
        self._made: set[int] = set()
        self._pauses = Pauses(clock or Clock())
        self.claiming = Claiming(store, since, self._pauses)
        self.sleep, self.now = self._pauses.sleep, self._pauses.now

    @property
    def draining(self) -> bool:
        return self._pauses.draining

    def drain(self) -> None:
        """Send nothing new; calls under way are finished and kept."""
        self._pauses.drain()

    async def look_up(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The stored answers for `keys`; nothing is sent."""
        found = {key: self._recent[key] for key in keys if key in self._recent}
        missing = [key for key in keys if key not in found]
        return found | (await self._read_stored(missing) if missing else {})

    async def _read_stored(self, keys: Sequence[str]) -> dict[str, Answer]:
        return await self.rereading.read(await self._store.look_up(keys, self.since, self._run))

    def is_earlier(self, answer: Answer) -> bool:
        """Whether an answer is older than this run; answers from its other pass, or from a batch job that it collected, are not."""
        return answer.id < self._began

    @property
    def moment(self) -> int:
        """A number that changes when others add to the cache: a lookup from before the change may be out of date."""
        return self._store.others[0]

    async def ask(
        self,
        endpoint: Endpoint,
        request: Request,
        *,
        looked_up: int | None = None,
        usable: Callable[[Response], bool] | None = None,
    ) -> Asked:
        """The answer of `endpoint` to `request`; the caller's own lookup at the moment `looked_up` found nothing.

        If a stored answer of an earlier run is not `usable`, such as a judge's unreadable reply, the gateway asks again. Raises
        ProviderError if there is no answer, NotRun if nothing may be sent.
        """
        key = key_of(endpoint.provider.identity, request)
        while True:
            known = self._recent.get(key)
            if known is not None and self._is_usable(known, usable):
                endpoint.counts.cached += 1
                return Asked(known, True)
            flight = self._flights.get(key)
            if flight is None:
                break
            await flight.wait()
            if flight.error is not None:
                raise flight.error
            if flight.answer is not None and self._is_usable(flight.answer, usable):
                endpoint.counts.cached += 1
                return Asked(flight.answer, True)
        flight = self._flights[key] = _Flight()
        try:
            asked = await self._ask(endpoint, request, key, looked_up, usable)
            flight.answer = asked.answer
            self._remember(key, asked.answer)
            if looked_up is not None:
                self._made.add(int(key[:16], 16))
            return asked
        except ProviderError as error:
            flight.error = error
            endpoint.counts.failed += 1
            raise
        finally:
            del self._flights[key]
            flight.end()

    async def _ask(
        self,
        endpoint: Endpoint,
        request: Request,
        key: str,
        looked_up: int | None,
        usable: Callable[[Response], bool] | None,
    ) -> Asked:
        """The answer from the cache, or from a call with the claim; answers that another run committed meanwhile go first."""
        moment = looked_up
        if moment is None or int(key[:16], 16) in self._made:
            moment = self.moment
            found = await self._look_up(endpoint, key, usable)
            if found is not None:
                return found
        until = self.now() + endpoint.max_wait + (JOB_WAIT if endpoint.jobs is not None else 0.0)
        while not self.claiming.take(key):
            if not await self.claiming.wait(key, until):
                break  # do not wait for ever for a call that hangs in another run
            moment = self.moment
            found = await self._look_up(endpoint, key, usable)
            if found is not None:
                endpoint.shared += 1
                return found
        try:
            commits, jobs = self._store.others
            if commits != moment:
                found = await self._look_up(endpoint, key, usable)
                if found is not None:
                    return found
            if jobs != self._jobs_at_start:
                await self._check_batches(endpoint, key, jobs)
            return Asked(await self._pay(endpoint, request, key), False)
        finally:
            self.claiming.release(key)

    async def _look_up(self, endpoint: Endpoint, key: str, usable: Callable[[Response], bool] | None) -> Asked | None:
        answer = (await self._read_stored([key])).get(key)
        if answer is None or not self._is_usable(answer, usable):
            return None
        endpoint.counts.cached += 1
        return Asked(answer, True)

    async def _check_batches(self, endpoint: Endpoint, key: str, jobs: int) -> None:
        """Raises Rejected if another run has put the request into a batch job; `jobs` counts the jobs that others began so far."""
        identity = endpoint.provider.identity
        if identity not in self._in_jobs or self._in_jobs[identity][0] != jobs:
            self._in_jobs[identity] = jobs, await self._store.query(lambda connection: find_under_way(connection, identity))
        job = self._in_jobs[identity][1].get(key)
        if job is not None:
            raise Rejected(explain_in_batch(job))

    def _is_usable(self, answer: Answer, usable: Callable[[Response], bool] | None) -> bool:
        return usable is None or not self.is_earlier(answer) or usable(answer.response)

    def _remember(self, key: str, answer: Answer) -> None:
        if not answer.response.images and len(answer.response.text) < 20_000:
            self._recent[key] = answer
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)

    async def _pay(self, endpoint: Endpoint, request: Request, key: str) -> Answer:
        """The answer on disk, after as many tries as it needs."""
        sent_as = request.canonical.decode()

        async def once(tries: Tries) -> Response:
            return await self._try_once(endpoint, request, tries)

        async def once_reserved(tries: Tries) -> Response:
            return await self._try_once(endpoint, request, tries, reserved=True)

        tries, job = Tries(endpoint, self._pauses), ""
        if endpoint.jobs is None:
            response = await tries.of(once)
        else:
            response, job = await pay_by_job(endpoint, endpoint.jobs, request, self.budget, tries, once_reserved)
        if tries.empty is not None and tries.empty is not response:
            await self._set_aside(endpoint, sent_as, tries.empty, f"{tries.empty.missing or 'empty'}; asked again")
        return await self._keep(endpoint, key, sent_as, response, job)

    async def _try_once(self, endpoint: Endpoint, request: Request, tries: Tries, *, reserved: bool = False) -> Response:
        """One try, within the budget unless its money is `reserved`; the partial answer of a failed try is stored."""
        max_cost = endpoint.max_cost(request) if self.budget.limit is not None and not reserved else 0.0
        cost = 0.0
        if not reserved:
            await self.budget.reserve(max_cost)
        try:
            response = await send(endpoint, request, tries, self._pauses)
            cost = response.usage.cost or 0.0
            return response
        except ProviderError as error:
            cost = _cost_of(error)
            await self._keep_partial(endpoint, request.canonical.decode(), error)
            raise
        finally:
            self.budget.settle(max_cost, cost)

    async def keep(self, endpoint: Endpoint, key: str, request: str, response: Response) -> None:
        """Commit an answer from a batch job; `request` is canonical JSON. The money reserved for the job stays reserved.

        Raises ProviderError if the answer cannot be stored.
        """
        asked = request_of(request)
        response = endpoint.bill(asked, await check_response(response, asked, endpoint.notes))
        self.budget.settle(0.0, response.usage.cost or 0.0)
        await self._keep(endpoint, key, request, response)

    async def keep_failure(self, endpoint: Endpoint, request: str, error: ProviderError) -> None:
        """Bill a request that failed in a batch job, and store its partial answer."""
        self.budget.settle(0.0, endpoint.bill_failure(request_of(request), error))
        await self._keep_partial(endpoint, request, error)

    async def _keep_partial(self, endpoint: Endpoint, request: str, error: ProviderError) -> None:
        """Store the answer that came before a failure, for people to look at, and put its id on the error."""
        if error.kept is None and (error.partial is not None or error.usage is not None):
            kept = await self._set_aside(endpoint, request, error.partial or Response(usage=error.usage or Usage()), str(error))
            error.kept = kept if error.partial is not None else None

    async def _set_aside(self, endpoint: Endpoint, request: str, response: Response, why: str) -> int | None:
        """Store a response that answers no request, and return its id; None if it cannot be stored."""
        try:
            answer = await self._keep(endpoint, NO_KEY, request, replace(response, missing=f"failed: {why}"))
        except Rejected:
            return None
        return answer.id

    async def _keep(self, endpoint: Endpoint, key: str, request: str, response: Response, job: str = "") -> Answer:
        answer = Answer(self._store.ids.next(), response)
        try:
            await self._store.commit(
                Paid(key=key, identity=endpoint.provider.identity, request=request, answer=answer, run=self._run, job=job)
            )
        except Unstorable as error:
            raise Rejected(f"the answer cannot be stored: {error}") from error
        return answer


def _cost_of(error: ProviderError) -> float:
    return (error.usage.cost or 0.0) if error.usage is not None else 0.0
