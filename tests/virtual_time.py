"""Time that passes only while everybody waits, so that an hour of pauses takes no time."""

from __future__ import annotations

import heapq
import itertools

import anyio

from unisafe_async.gateway import Clock


class VirtualTime(Clock):
    """Give it to a Gateway, or to `evaluate(clock=...)`.

    Once nobody has had anything to do for some turns of the event loop, the time jumps to when the next wait is over.

    Args:
        grace: seconds of real time in each of those turns, where answers come over a socket meanwhile.
    """

    TURNS = 20

    def __init__(self, grace: float = 0.0) -> None:
        self.start = self._now = 1_000.0
        self._grace = grace
        self._due: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self._changes = 0

    def now(self) -> float:
        return self._now

    @property
    def passed(self) -> float:
        """Seconds since it was made."""
        return self._now - self.start

    async def wait(self, event: anyio.Event, seconds: float) -> None:
        mine = (self._now + seconds, next(self._numbers))
        heapq.heappush(self._due, mine)
        self._changes += 1
        try:
            while True:
                before = self._changes
                for _ in range(self.TURNS):
                    await anyio.sleep(self._grace)
                    if event.is_set():
                        return
                if self._due[0] == mine and self._changes == before:  # nobody came or went in all those turns
                    self._now = max(self._now, mine[0])
                    return
        finally:
            self._changes += 1
            self._due.remove(mine)
            heapq.heapify(self._due)
