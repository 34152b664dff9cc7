"""Several servers of one model as one provider: the least busy one is asked, and one that fails is left out and probed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import anyio

from unisafe_providers.base import (
    Limits,
    Listing,
    Malformed,
    Misconfigured,
    Noting,
    Provider,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Response,
    Timeout,
    Transient,
)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds until a replica that was left out is asked again; they double with each failure."""
REST = 1.0
"""Seconds that a replica is left alone after a 429 that names no time."""
TIMEOUTS = 2
"""Calls in a row without an answer in time, after which a replica is left out: it may hang."""


class Replica:
    """One of the servers.

    Attributes:
        busy: calls under way.
        failures: failures since its last answer; while there are any, it is left out until `due`.
        probing: whether one call is under way to see whether it works again.
        gone: why it is not asked any more in this run.
    """

    def __init__(self, provider: Provider, address: str) -> None:
        self.provider = provider
        self.address = address
        self.busy = 0
        self.asked = 0
        self.failures = 0
        self.due = 0.0
        self.probing = False
        self.gone: Misconfigured | None = None
        self.left_out = 0
        self.words = ""
        self._timeouts = 0

    @property
    def down(self) -> bool:
        return self.failures > 0

    def note_answer(self) -> None:
        self.failures = self._timeouts = 0
        self.probing = False

    def leave_out(self, error: ProviderError) -> None:
        """It failed where another one answered, or cannot be reached: it gets no calls for a while, and longer after each probe."""
        if self.down and not self.probing:  # calls that were under way when it failed
            return
        self.probing = False
        self.left_out += not self.down
        self.failures += 1
        self.words = str(error)
        self.due = time.monotonic() + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self.failures - 1))

    def note_timeout(self, error: Timeout) -> None:
        self._timeouts += 1
        if self._timeouts >= TIMEOUTS:
            self.leave_out(error)

    def rest(self, seconds: float) -> None:
        """It asked to slow down."""
        self.due = max(self.due, time.monotonic() + seconds)

    def hold_spent_limit(self) -> None:
        """Rest while the limits that it reported are spent."""
        limits = self.provider.reported
        for left, reset in (
            (limits.remaining_requests, limits.reset_requests),
            (limits.remaining_tokens, limits.reset_tokens),
        ):
            if left == 0 and reset:
                self.rest(min(LONGEST_PAUSE, reset))

    def describe(self) -> list[str]:
        """What the user should know of it at the end of a run."""
        own = self.provider.notes if isinstance(self.provider, Noting) else []
        if self.gone is not None:
            return [*own, f"{self.address} was left out: {self.gone}"]
        times = "once" if self.left_out == 1 else f"{self.left_out} times"
        return [*own, f"{self.address} failed and was left out {times}, the last time since {self.words}"] if self.left_out else own


class Replicas:
    """One model behind several servers that give the same answers.

    Its identity is that of the first address, whichever of them are alive: answers stay in the cache where more are added.

    Args:
        providers: one of each server, in the order of bench.toml.
        addresses: theirs, for messages.
        at_once: calls under way at one server, at most.
    """

    def __init__(self, providers: Sequence[Provider], addresses: Sequence[str], at_once: int) -> None:
        self.identity = providers[0].identity
        self.capabilities = providers[0].capabilities
        self.reported = Limits()  # each replica keeps to its own
        self._replicas = [Replica(provider, address) for provider, address in zip(providers, addresses, strict=True)]
        self._at_once = at_once
        self._freed = anyio.Event()
        self._stack = AsyncExitStack()

    @property
    def notes(self) -> list[str]:
        return list(dict.fromkeys(note for replica in self._replicas for note in replica.describe()))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for replica in self._replicas:
                await stack.enter_async_context(replica.provider)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def models(self) -> list[str]:
        """The models that every server has. Raises what `call` raises, with the address, and Rejected if one lists none."""
        listed: list[list[str]] = []
        for replica in self._replicas:
            if not isinstance(replica.provider, Listing):
                raise Rejected(f"{replica.address} lists no models")
            listed.append(await replica.provider.models())
        return [name for name in listed[0] if all(name in names for names in listed[1:])]

    async def call(self, request: Request) -> Response:
        """The answer of the least busy server; of another one where that fails. Raises what a single server's provider raises."""
        self.capabilities.check(request)
        failed: dict[Replica, ProviderError] = {}
        while True:
            replica = await self._take(failed)
            if replica is None:
                raise _sum_up(list(failed.values()))
            try:
                response = await replica.provider.call(request)
            except ProviderError as error:
                if not self._may_ask_another(replica, error):
                    raise
                failed[replica] = error
            else:
                self._note_answer(replica, failed)
                return response
            finally:
                replica.busy -= 1
                self._freed.set()
                self._freed = anyio.Event()

    # -------------------------------------------------------- which one

    async def _take(self, failed: dict[Replica, ProviderError]) -> Replica | None:
        """The least busy replica that may be asked, counted as busy; None where no other one is left for this request."""
        while True:
            now = time.monotonic()
            alive = [replica for replica in self._replicas if replica.gone is None]
            due = [replica for replica in alive if replica.due <= now]
            left = [replica for replica in due or alive if replica not in failed]
            if not due and not failed:
                self._check_rest(alive, now)
            if not left:
                return None
            free = [replica for replica in left if replica.busy < self._at_once]
            if free:
                return self._begin(min(free, key=lambda replica: (replica.busy, replica.asked)))
            await self._freed.wait()

    def _begin(self, replica: Replica) -> Replica:
        replica.busy += 1
        replica.asked += 1
        if replica.down:  # this call is the probe, and no other one goes there before it is answered
            replica.probing, replica.due = True, time.monotonic() + LONGEST_PAUSE
        return replica

    @staticmethod
    def _check_rest(alive: Sequence[Replica], now: float) -> None:
        """Raises RateLimited where every replica that works asked to slow down; if none works, all are tried."""
        resting = [replica for replica in alive if not replica.down]
        if resting:
            seconds = min(replica.due for replica in resting) - now
            raise RateLimited("all servers of this model asked to slow down", retry_after=max(0.0, seconds))

    # -------------------------------------------------------- what a call shows

    def _note_answer(self, replica: Replica, failed: dict[Replica, ProviderError]) -> None:
        """The request is sound, as it was answered: whoever failed to answer it is left out."""
        replica.note_answer()
        replica.due = 0.0
        replica.hold_spent_limit()
        for other, error in failed.items():
            if isinstance(error, Transient) and not (error.unreachable or error.retry_after is not None):
                other.leave_out(error)

    def _may_ask_another(self, replica: Replica, error: ProviderError) -> bool:
        """Note a failure; whether another server may answer where this one failed. What was paid for goes to the gateway first."""
        if isinstance(error, Misconfigured):
            return self._let_go(replica, error)
        if isinstance(error, Timeout):
            replica.note_timeout(error)
            return False
        if isinstance(error, RateLimited):
            replica.rest(REST if error.retry_after is None else error.retry_after)
            return True
        if not isinstance(error, Transient) or isinstance(error, Malformed):
            replica.note_answer()
            replica.due = 0.0
            return False
        if error.retry_after is not None:
            replica.rest(error.retry_after)
        elif error.unreachable or replica.down:
            replica.leave_out(error)
        return error.usage is None and error.partial is None

    def _let_go(self, replica: Replica, error: Misconfigured) -> bool:
        """A server that will never work is asked no more, as long as another one is left."""
        others = [other for other in self._replicas if other is not replica and other.gone is None]
        if error.needs is not None or error.doubtful or not others:
            return False
        replica.gone = error
        return True


def _sum_up(errors: Sequence[ProviderError]) -> ProviderError:
    """What to raise where every server failed: a limit if each has one, else the last failure; unreachable if all are."""
    limits = [error for error in errors if isinstance(error, RateLimited)]
    if len(limits) == len(errors):
        waits = [REST if error.retry_after is None else error.retry_after for error in limits]
        return RateLimited(str(limits[-1]), retry_after=min(waits))
    failures = [error for error in errors if isinstance(error, Transient)]
    if not failures:
        return errors[-1]
    last = failures[-1]
    waits = [error.retry_after for error in failures if error.retry_after is not None]
    retry_after = min(waits) if waits and len(waits) == len(errors) else None
    return Transient(str(last), retry_after, unreachable=all(error.unreachable for error in failures) and not limits)
