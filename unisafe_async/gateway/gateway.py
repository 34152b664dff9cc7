"""The only door to a model: cached, deduplicated, within budget and limits, retried, and durable before anyone sees the answer."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio
import tenacity

from cache import Answer, Paid, Store
from providers.base import (
    Limits,
    Misconfigured,
    ProviderError,
    RateLimited,
    Request,
    Response,
    Timeout,
    Transient,
    Withdrawn,
    digest_of,
)
from unisafe_async.gateway.budget import Budget, Draining
from unisafe_async.gateway.calling import called
from unisafe_async.gateway.endpoint import Endpoint
from unisafe_async.gateway.rereading import Rereading

FIRST_WAIT = 0.5
SHORT_WAIT = 0.01
LONGEST_WAIT = 30.0
REMEMBERED = 4_096


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer and whether it was there already."""

    answer: Answer
    cached: bool

    @property
    def response(self) -> Response:
        return self.answer.response


class _Flight:
    """A call under way, for those who want the same."""

    __slots__ = ("answer", "done", "error")

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.answer: Answer | None = None
        self.error: ProviderError | None = None


def key_of(identity: str, request: Request) -> str:
    """The cache key: a digest of who is asked and of what, 128 bits in hexadecimal."""
    return digest_of(identity.encode() + b"\0" + request.canonical)


def _priced(endpoint: Endpoint, response: Response) -> Response:
    """The answer with its cost, counted; the provider's own word on the cost goes first."""
    usage = response.usage
    cost = usage.cost if usage.cost is not None else endpoint.prices.cost(usage.tokens_in, usage.tokens_out, usage.images)
    endpoint.count(response, cost)
    return response if cost is None else replace(response, usage=replace(usage, cost=cost))


class Gateway:
    """`ask` any endpoint.

    Args:
        store: where answers are kept.
        budget: dollars for this run.
        run: the run's name, stored with each answer.
        since: answers older than this id are ignored (`--fresh`).

    `rereading` says what became of answers that an older version stored.
    """

    def __init__(self, store: Store, budget: Budget, run: str, since: int = 0) -> None:
        self.budget = budget
        self.rereading = Rereading(store)
        self._store = store
        self._run = run
        self.since = since
        self._flights: dict[str, _Flight] = {}
        self._recent: OrderedDict[str, Answer] = OrderedDict()
        self._made: set[int] = set()
        self._draining = anyio.Event()

    @property
    def draining(self) -> bool:
        return self._draining.is_set()

    def drain(self) -> None:
        """Send nothing new; calls under way are finished and kept."""
        self._draining.set()

    async def sleep(self, seconds: float) -> None:
        """Wait, unless the run is asked to stop meanwhile. Raises Draining."""
        with anyio.move_on_after(seconds):
            await self._draining.wait()
        if self._draining.is_set():
            raise Draining("the run was asked to stop")

    async def look_up(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The stored answers for `keys`; nothing is sent."""
        found = {key: self._recent[key] for key in keys if key in self._recent}
        missing = [key for key in keys if key not in found]
        return found | (await self._stored(missing) if missing else {})

    async def _stored(self, keys: Sequence[str]) -> dict[str, Answer]:
        return await self.rereading.read(await self._store.look_up(keys, self.since, self._run))

    async def ask(self, endpoint: Endpoint, request: Request, *, looked_up: bool = False) -> Asked:
        """The answer of `endpoint` to `request`. With `looked_up` the cache was asked in vain, some time ago in this run.

        Raises ProviderError when there is none to be had, NotRun when nothing may be sent.
        """
        key = key_of(endpoint.provider.identity, request)
        while True:
            known = self._recent.get(key)
            if known is not None:
                endpoint.counts.cached += 1
                return Asked(known, True)
            flight = self._flights.get(key)
            if flight is None:
                break
            await flight.done.wait()
            if flight.error is not None:
                raise flight.error
            if flight.answer is not None:
                endpoint.counts.cached += 1
                return Asked(flight.answer, True)
        flight = self._flights[key] = _Flight()
        try:
            if not looked_up or int(key[:16], 16) in self._made:
                found = await self._stored([key])
                if key in found:
                    flight.answer = found[key]
                    endpoint.counts.cached += 1
                    self._remember(key, found[key])
                    return Asked(found[key], True)
            flight.answer = await self._paid(endpoint, request, key)
            self._remember(key, flight.answer)
            if looked_up:
                self._made.add(int(key[:16], 16))
            return Asked(flight.answer, False)
        except ProviderError as error:
            flight.error = error
            endpoint.counts.failed += 1
            raise
        finally:
            del self._flights[key]
            flight.done.set()

    def _remember(self, key: str, answer: Answer) -> None:
        if not answer.response.images and len(answer.response.text) < 20_000:
            self._recent[key] = answer
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)

    async def _paid(self, endpoint: Endpoint, request: Request, key: str) -> Answer:
        most = endpoint.most(request) if self.budget.limit is not None else 0.0
        cost = 0.0
        await self.budget.reserve(most)
        try:
            response = _priced(endpoint, await self._retried(endpoint, request))
            cost = response.usage.cost or 0.0
        finally:
            self.budget.settle(most, cost)
        return await self._kept(endpoint, key, request.canonical.decode(), response)

    async def keep(self, endpoint: Endpoint, key: str, request: str, response: Response) -> None:
        """Commit an answer that came in a batch job; `request` is canonical JSON. What was set aside for the job is not touched."""
        response = _priced(endpoint, response)
        self.budget.settle(0.0, response.usage.cost or 0.0)
        await self._kept(endpoint, key, request, response)

    async def _kept(self, endpoint: Endpoint, key: str, request: str, response: Response) -> Answer:
        answer = Answer(self._store.ids.next(), response)
        with anyio.CancelScope(shield=True):
            await self._store.commit(Paid(key, endpoint.provider.identity, request, answer, self._run))
        return answer

    async def _retried(self, endpoint: Endpoint, request: Request) -> Response:
        """One call, tried again with full jitter while the error is one that passes."""
        try:
            return await self._once(endpoint, request)
        except (RateLimited, Transient) as first:
            error = first
        failures = 0 if isinstance(error, RateLimited) else 1
        refusals = 0

        async def again() -> Response:
            nonlocal failures, refusals
            endpoint.counts.retries += 1
            try:
                return await self._once(endpoint, request)
            except Transient:
                failures += 1
                raise
            except RateLimited:
                refusals += 1
                raise

        def spent(state: tenacity.RetryCallState) -> bool:
            waited = (state.seconds_since_start or 0.0) + endpoint.rates.blocked_for
            return failures >= endpoint.max_tries or waited > endpoint.max_wait

        def pause(state: tenacity.RetryCallState) -> float:
            outcome = state.outcome.exception() if state.outcome else None
            most = SHORT_WAIT * 2**refusals if isinstance(outcome, RateLimited) else FIRST_WAIT * 2**failures
            return random.uniform(0, min(LONGEST_WAIT, most))

        if failures < endpoint.max_tries:
            if failures:
                await self.sleep(random.uniform(0, FIRST_WAIT))
            try:
                return await tenacity.AsyncRetrying(
                    retry=tenacity.retry_if_exception_type((RateLimited, Transient)),
                    stop=spent,
                    wait=pause,
                    sleep=self.sleep,
                    reraise=True,
                )(again)
            except (RateLimited, Transient) as last:
                error = last
        if isinstance(error, Transient) and error.unreachable and not endpoint.counts.calls:
            endpoint.stopped = Misconfigured(f"{error}; check base_url and that the server runs")
            raise endpoint.stopped
        raise type(error)(f"gave up after {failures} failed tries: {error}" if failures else f"gave up waiting: {error}")

    async def _once(self, endpoint: Endpoint, request: Request) -> Response:
        """Wait for a place and for the limits, call, and learn from the outcome."""
        images = 0 if request.kind == "chat" else 1
        tokens = endpoint.tokens_in(request) + endpoint.tokens_out(request) if endpoint.rates.counts_tokens else 0.0
        since = await endpoint.concurrency.acquire()
        try:
            if endpoint.stopped is not None:
                raise endpoint.stopped
            if self._draining.is_set():
                raise Draining("the run was asked to stop")
            await endpoint.rates.wait(tokens, images, endpoint.max_wait)
            response = await self._called(endpoint, request)
        except RateLimited as error:
            endpoint.counts.rate_limited += 1
            endpoint.concurrency.overloaded(since)
            if error.retry_after is not None:
                endpoint.rates.block(error.retry_after)
            elif not endpoint.rates.blocked_for:
                endpoint.rates.block(random.uniform(FIRST_WAIT, 2 * FIRST_WAIT))
            raise
        except Transient as error:
            if isinstance(error, Timeout) or error.retry_after is not None:
                endpoint.concurrency.overloaded(since)
            if error.retry_after is not None:
                endpoint.rates.block(error.retry_after)
            raise
        except Misconfigured as error:
            endpoint.stopped = error
            raise
        finally:
            endpoint.concurrency.release()
        endpoint.concurrency.succeeded()
        endpoint.rates.used(tokens, response.usage.tokens_in + response.usage.tokens_out)
        self._obey(endpoint, endpoint.provider.reported)
        return response

    @staticmethod
    async def _called(endpoint: Endpoint, request: Request) -> Response:
        try:
            return await called(endpoint.provider, request)
        except Withdrawn as error:
            raise Draining(str(error)) from None

    @staticmethod
    def _obey(endpoint: Endpoint, limits: Limits) -> None:
        """Hold the endpoint when it says that nothing remains of a limit."""
        if not isinstance(limits, Limits):
            return
        if limits.remaining_requests == 0 and limits.reset_requests:
            endpoint.rates.block(limits.reset_requests)
        if limits.remaining_tokens == 0 and limits.reset_tokens:
            endpoint.rates.block(limits.reset_tokens)
