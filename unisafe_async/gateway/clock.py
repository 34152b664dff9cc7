"""The gateway's only source of time, and waits that end when the run is asked to stop."""

from __future__ import annotations

import time

import anyio

from unisafe_async.gateway.budget import Draining


class Clock:
    """Monotonic seconds and waits; a test gives a clock of its own, which takes no time."""

    def now(self) -> float:
        return time.monotonic()

    async def wait(self, event: anyio.Event, seconds: float) -> None:
        """Return when `event` is set, or after a number of seconds."""
        with anyio.move_on_after(seconds):
            await event.wait()


class Pauses:
    """The waits of a run."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.now
        self._clock = clock
        self._draining = anyio.Event()

    @property
    def draining(self) -> bool:
        return self._draining.is_set()

    def drain(self) -> None:
        """End all waits, and let no new wait begin."""
        self._draining.set()

    def check(self) -> None:
        """Raises Draining if the run was asked to stop."""
        if self._draining.is_set():
            raise Draining("the run was asked to stop")

    async def sleep(self, seconds: float, until: anyio.Event | None = None) -> None:
        """Wait for a number of seconds, or `until` an event is set. Raises Draining if the run is asked to stop."""
        if until is None:
            await self._clock.wait(self._draining, seconds)
        else:
            await self._sleep_until(seconds, until)
        self.check()

    async def _sleep_until(self, seconds: float, until: anyio.Event) -> None:
        either = anyio.Event()

        async def ends(event: anyio.Event) -> None:
            await event.wait()
            either.set()

        async with anyio.create_task_group() as group:
            group.start_soon(ends, until)
            group.start_soon(ends, self._draining)
            await self._clock.wait(either, seconds)
            group.cancel_scope.cancel()
