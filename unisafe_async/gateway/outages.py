"""Outages: if an endpoint fails for all requests, it is held and probed, and no request uses up its tries."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from unisafe_async.gateway.clock import Pauses

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


class Outage:
    """An endpoint is down once two callers with different requests have failed and no caller got an answer in between.

    While it is down, all callers wait and one at a time probes it, in turn; after the first answer all go on. One failing caller
    does not count as an outage. Callers that failed before while others got answers do not count either: their own requests may
    cause the failure.

    Attributes:
        answers: how often the endpoint answered any caller so far.
        since: the time of the first failure since the last answer.
        probes: probes in this outage.
        words: the message of the last failure.
    """

    def __init__(self) -> None:
        self.answers = 0
        self.since = 0.0
        self.probes = 0
        self.words = ""
        self._failed: set[object] = set()
        self._over = anyio.Event()
        self._probing = anyio.Lock()

    @property
    def down(self) -> bool:
        return len(self._failed) > 1

    def note_failure(self, caller: object, now: float, words: str, *, suspect: bool) -> bool:
        """Note a failure and return whether the endpoint is down. A `suspect` is a caller that may be the cause itself."""
        self.words = words
        if not suspect:
            self.since = self.since if self._failed else now
            self._failed.add(caller)
        return self.down

    def note_answer(self) -> None:
        """Note that the endpoint works: it answered a caller, even if only by rejecting the request."""
        self.answers += 1
        if self._failed:
            self._failed.clear()
            self._resume()

    def leave(self, caller: object) -> None:
        """Forget a caller that no longer waits."""
        if self._failed:
            self._failed.discard(caller)
            if not self.down:
                self._resume()

    def _resume(self) -> None:
        self.probes = 0
        self._over.set()
        self._over = anyio.Event()

    @asynccontextmanager
    async def turn(self, pauses: Pauses, timeout: float) -> AsyncIterator[bool]:
        """Inside the block it is this caller's turn to probe (True), or the outage is over (False).

        `timeout` is the number of seconds that the outage may last: the last probe is sent then.
        """
        async with self._probing:
            if self.down:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self.probes) * random.uniform(0.5, 1)
                await pauses.sleep(max(0.0, min(pause, self.since + timeout - pauses.now())), self._over)
            if self.down:
                self.probes += 1
                yield True
                return
        yield False
