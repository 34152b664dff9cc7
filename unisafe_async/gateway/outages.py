"""Whether an endpoint fails for everybody: then it is held and probed, and nobody's tries are used up."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from unisafe_async.gateway.clock import Pauses

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


class Outage:
    """An endpoint is down once two callers failed, with different requests, and nobody was answered in between.

    While it is down all wait and one at a time probes it, in turn; with the first answer all go on. It is not down for one caller
    alone, nor for those that failed before while others were answered: their own requests may be what breaks it.

    Attributes:
        answers: how often the endpoint answered anybody so far.
        since: when the first of the failures came that no answer followed.
        probes: probes sent since it is down.
        words: what the last failure said.
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

    def failed(self, caller: object, now: float, words: str, *, suspect: bool) -> bool:
        """Note a failure and return whether the endpoint is down. A `suspect` is a caller that is the cause itself, perhaps."""
        self.words = words
        if not suspect:
            self.since = self.since if self._failed else now
            self._failed.add(caller)
        return self.down

    def answered(self) -> None:
        """The endpoint works: it answered somebody, if only with a refusal to take the request."""
        self.answers += 1
        if self._failed:
            self._failed.clear()
            self._resume()

    def leave(self, caller: object) -> None:
        """A caller that waits no longer."""
        if self._failed:
            self._failed.discard(caller)
            if not self.down:
                self._resume()

    def _resume(self) -> None:
        self.probes = 0
        self._over.set()
        self._over = anyio.Event()

    @asynccontextmanager
    async def turn(self, pauses: Pauses, patience: float) -> AsyncIterator[bool]:
        """Inside the block it is this caller's turn to probe (True), or the outage is over (False).

        `patience` is how many seconds the outage may take in all: the last probe is sent then.
        """
        async with self._probing:
            if self.down:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self.probes) * random.uniform(0.5, 1)
                await pauses.sleep(max(0.0, min(pause, self.since + patience - pauses.now())), self._over)
            if self.down:
                self.probes += 1
                yield True
                return
        yield False
