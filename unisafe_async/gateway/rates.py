"""Spaces requests, tokens and images a minute evenly, and keeps the waits that an endpoint asks for, which hold all its callers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

MARGIN = 1.015
"""An endpoint is called this much slower than its limit, so that jitter does not push calls into a full window."""


class Pace:
    """At most a number of units a minute, without bursts (the generic cell rate algorithm with tolerance 0)."""

    def __init__(self, per_minute: float | None) -> None:
        self._seconds = 60.0 / per_minute * MARGIN if per_minute else 0.0
        self._next = 0.0

    def reserve(self, units: float, now: float) -> float:
        """Take `units` and return when they may be used, in monotonic seconds."""
        if not self._seconds or not units:
            return now
        at = max(now, self._next)
        self._next = at + units * self._seconds
        return at

    def least_seconds(self, units: float) -> float:
        """The least time that `units` take."""
        return units * self._seconds

    def correct(self, units: float) -> None:
        """Take `units` more, or give some back (negative), once the true number is known."""
        if self._seconds:
            self._next += units * self._seconds


class RateLimits:
    """One endpoint's limits.

    Args:
        rpm, tpm, images_per_minute: requests, tokens and images a minute; None for no limit.
        sleep: waits for a number of seconds; raises an error if nothing may be sent any more.
        now: the clock of `sleep`, in seconds.
    """

    def __init__(
        self,
        rpm: float | None,
        tpm: float | None,
        images_per_minute: float | None,
        sleep: Callable[[float], Awaitable[None]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = Pace(rpm)
        self._tokens = Pace(tpm)
        self._images = Pace(images_per_minute)
        self._sleep = sleep
        self._now = now
        self._blocked_until = 0.0
        self.counts_tokens = tpm is not None

    async def wait(self, tokens: float, images: int) -> None:
        """Return when one more request may be sent."""
        while True:
            now = self._now()
            if self._blocked_until > now:
                await self._sleep(self._blocked_until - now)
                continue
            at = max(self._requests.reserve(1, now), self._tokens.reserve(tokens, now), self._images.reserve(images, now))
            if at > now:
                await self._sleep(at - now)
            if self._blocked_until <= self._now():
                return

    def least_seconds(self, calls: float, tokens: float, images: float) -> float:
        """The least time that a number of calls takes by these limits."""
        return max(self._requests.least_seconds(calls), self._tokens.least_seconds(tokens), self._images.least_seconds(images))

    def correct(self, estimated: float, actual: float) -> None:
        """Replace the estimated tokens of a call by those that it used."""
        self._tokens.correct(actual - estimated)

    def block(self, seconds: float) -> None:
        """Send nothing for a number of seconds; a longer wait under way stays."""
        self._blocked_until = max(self._blocked_until, self._now() + seconds)

    @property
    def blocked_for(self) -> float:
        """Seconds until the endpoint may be called again; 0 if it may be called now."""
        return max(0.0, self._blocked_until - self._now())
