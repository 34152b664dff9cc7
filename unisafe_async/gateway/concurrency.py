"""How many calls an endpoint gets at once: additive increase, multiplicative decrease."""

from __future__ import annotations

import time
from collections import deque

import anyio


class AdaptiveConcurrency:
    """A ceiling that starts at `max_calls`, falls when the endpoint is overloaded and rises by one after each round of successes.

    It may be narrowed to a few slots until the endpoint has answered once. Calls that were under way when the ceiling fell do not
    make it fall again.
    """

    DECREASE = 0.7

    def __init__(self, max_calls: int) -> None:
        self.max_calls = max_calls
        self.ceiling = float(max_calls)
        self.in_use = 0
        self._waiting: deque[anyio.Event] = deque()
        self._fell = 0.0
        self._narrowed: int | None = None

    @property
    def _slots(self) -> int:
        return int(self.ceiling) if self._narrowed is None else min(int(self.ceiling), self._narrowed)

    def narrow(self, max_calls: int) -> None:
        """Let in no more than `max_calls` calls before `widen`."""
        self._narrowed = max_calls

    def widen(self) -> None:
        """Let in as many calls as the ceiling allows."""
        if self._narrowed is not None:
            self._narrowed = None
            self._wake()

    async def acquire(self) -> float:
        """Wait for a slot; returns the time when it was taken (monotonic seconds), which is passed when the slot is given back."""
        if self.in_use < self._slots and not self._waiting:
            self.in_use += 1
            return time.monotonic()
        slot = anyio.Event()
        self._waiting.append(slot)
        try:
            await slot.wait()
        except BaseException:
            if slot.is_set():
                self.in_use -= 1
                self._wake()
            else:
                self._waiting.remove(slot)
            raise
        return time.monotonic()

    def release(self) -> None:
        self.in_use -= 1
        self._wake()

    def note_success(self) -> None:
        if self.ceiling < self.max_calls:
            self.ceiling = min(float(self.max_calls), self.ceiling + 1 / self.ceiling)
            self._wake()

    def note_overload(self, since: float) -> None:
        """A call that took its slot at `since` was told to slow down, or got no answer in time."""
        if since >= self._fell:
            self.ceiling = max(1.0, self.ceiling * self.DECREASE)
            self._fell = time.monotonic()

    def _wake(self) -> None:
        while self._waiting and self.in_use < self._slots:
            self.in_use += 1
            self._waiting.popleft().set()
