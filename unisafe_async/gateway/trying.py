"""The tries of one request: which errors get another try, after which pause, and when the request is given up."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable

import tenacity
from unisafe_providers.base import Malformed, Misconfigured, ProviderError, RateLimited, Response, Timeout, Transient
from unisafe_providers.jobs import JobLost

from unisafe_async.gateway.budget import NotRun
from unisafe_async.gateway.clock import Pauses
from unisafe_async.gateway.endpoint import Endpoint

log = logging.getLogger(__name__)
FIRST_WAIT = 0.5
SHORT_WAIT = 0.01
LONGEST_WAIT = 30.0
MOST_DOUBLINGS = 16
"""After this many doublings a pause has reached its longest."""
MALFORMED_TRIES = 2
"""The most tries for complete answers of a wrong shape: each is paid for, and the next is seldom better. As many for a lost job."""


class Tries:
    """One request at one endpoint.

    Attributes:
        empty: an empty answer after which the request was sent once more; None if there was none.
    """

    def __init__(self, endpoint: Endpoint, pauses: Pauses) -> None:
        self.empty: Response | None = None
        self._endpoint = endpoint
        self._pauses = pauses
        self._failures = self._malformed = self._refusals = 0
        self._since: tuple[float, int] | None = None
        self._last: int | None = None
        self._suspect = False

    async def of(self, once: Callable[[Tries], Awaitable[Response]]) -> Response:
        """The result of `once`, which is called again, after pauses with full jitter, while it raises passing errors."""
        try:
            response = await once(self)
            if not response.asks_again:
                return response
        except (RateLimited, Transient) as error:
            return await self._retry(once, error)
        return await self._retry(once, response)

    async def _retry(self, once: Callable[[Tries], Awaitable[Response]], first: Response | ProviderError) -> Response:
        """All further tries. tenacity gets the first result replayed: most calls need no second try and none of its machinery."""
        played: list[Response | ProviderError] = [first]

        async def again() -> Response:
            outcome = played.pop() if played else await once(self)
            if isinstance(outcome, ProviderError):
                raise outcome
            return outcome

        retrying = tenacity.AsyncRetrying(
            retry=self._is_worth_another,
            stop=self._is_spent,
            wait=self._pause,
            sleep=self._pauses.sleep,
            before_sleep=self._count,
            reraise=True,
        )
        try:
            return await retrying(again)
        except (ProviderError, NotRun) as error:
            if isinstance(error, NotRun):
                self._endpoint.retries.stop(self)
            if self.empty is not None:  # it was paid for
                return self.empty
            if isinstance(error, RateLimited | Transient):
                raise self._explain_giving_up(error) from error
            raise
        finally:
            self._endpoint.outage.leave(self)
            self._endpoint.retries.leave(self)

    # -------------------------------------------------------- what is learnt from a try

    def note_failure(self, error: RateLimited | Transient) -> None:
        """Count a failed try; raises Misconfigured if the endpoint has failed for all requests for too long."""
        self._endpoint.retries.note_failure(self, str(error))
        name, kind = self._endpoint.name, type(error).__name__
        log.info("%s: %s: %s", name, kind, error, extra={"event": "failed try", "model": name, "kind": kind})
        outage, now = self._endpoint.outage, self._pauses.now()
        self._suspect |= self._last is not None and outage.answers > self._last
        if isinstance(error, RateLimited):
            self._refusals += 1
            if outage.down:
                self._stop_if_dead(error, now)
        elif error.answered or isinstance(error, Malformed | JobLost):
            outage.note_answer()
            self._malformed += isinstance(error, Malformed | JobLost)
            self._failures += 1
        elif outage.note_failure(self, now, str(error), suspect=self._suspect):
            self._since = None
            self._stop_if_dead(error, now)
            return
        else:
            self._failures += 1
            self._last = outage.answers
        self._since = self._since or (now, outage.answers)

    def _stop_if_dead(self, error: RateLimited | Transient, now: float) -> None:
        endpoint, outage = self._endpoint, self._endpoint.outage
        if (
            isinstance(error, Transient)
            and error.unreachable
            and not endpoint.counts.calls
            and outage.probes + 1 >= endpoint.max_tries
        ):
            raise endpoint.stop(_explain_unreachable(error)) from error
        if now - outage.since >= endpoint.max_wait:
            raise endpoint.stop(Misconfigured(f"has failed for {endpoint.max_wait:,.0f} s: {error}")) from error

    # -------------------------------------------------------- what tenacity asks

    def _is_worth_another(self, state: tenacity.RetryCallState) -> bool:
        assert state.outcome is not None
        if state.outcome.failed:
            return isinstance(state.outcome.exception(), RateLimited | Transient)
        response: Response = state.outcome.result()
        if not response.asks_again or self.empty is not None:
            return False
        self.empty = response
        return True

    def _is_spent(self, state: tenacity.RetryCallState) -> bool:
        assert state.outcome is not None
        if not state.outcome.failed or self._endpoint.outage.down:
            return False
        return self._failures >= self._endpoint.max_tries or self._malformed >= MALFORMED_TRIES or self._waited_too_long

    @property
    def _waited_too_long(self) -> bool:
        if self._since is None:
            return False
        return self._pauses.now() - self._since[0] + self._endpoint.rates.blocked_for > self._endpoint.max_wait

    def _pause(self, state: tenacity.RetryCallState) -> float:
        assert state.outcome is not None
        if not state.outcome.failed or self._endpoint.outage.down:  # callers that wait for the end of an outage do so in turn
            return 0.0
        if isinstance(state.outcome.exception(), RateLimited):
            most = SHORT_WAIT * 2.0 ** min(self._refusals, MOST_DOUBLINGS)
        else:
            most = FIRST_WAIT * 2.0 ** min(self._failures - 1, MOST_DOUBLINGS)
        return random.uniform(0, min(LONGEST_WAIT, most))

    def _count(self, _: tenacity.RetryCallState) -> None:
        self._endpoint.counts.retries += 1

    def _explain_giving_up(self, error: RateLimited | Transient) -> ProviderError:
        endpoint = self._endpoint
        if isinstance(error, Transient) and error.unreachable and not endpoint.counts.calls:
            return endpoint.stop(_explain_unreachable(error))
        unanswered = self._since is not None and endpoint.outage.answers == self._since[1]
        if unanswered and self._waited_too_long and self._failures < endpoint.max_tries:
            return endpoint.stop(Misconfigured(f"has answered nothing for {endpoint.max_wait:,.0f} s: {error}"))
        words = f"gave up after {self._failures} failed tries: {error}" if self._failures else f"gave up waiting: {error}"
        kind = next(kind for kind in (Malformed, Timeout, Transient, RateLimited) if isinstance(error, kind))
        return replace_error(error, kind(words))


def replace_error(error: ProviderError, other: ProviderError) -> ProviderError:
    """`other` instead of `error`, with the attributes that `error` has about the call."""
    other.usage, other.partial, other.kept = error.usage, error.partial, error.kept
    return other


def _explain_unreachable(error: Transient) -> Misconfigured:
    return Misconfigured(f"{error}; check base_url and that the server runs")
