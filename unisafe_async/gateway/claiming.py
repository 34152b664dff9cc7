"""One call a question and cache: who claims it asks, and whoever wants the same waits for what comes of it."""

from __future__ import annotations

import random
from collections.abc import Iterable

from cache import Store
from providers.base import digest_of
from unisafe_async.gateway.clock import Pauses

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.25
GROWTH = 1.5


class Claiming:
    """The claims of one run.

    Args:
        since: answers older than this id are ignored: what such a run asks is a question of its own (`--fresh`).
    """

    def __init__(self, store: Store, since: int, pauses: Pauses) -> None:
        self._store = store
        self._since = since
        self._pauses = pauses
        self._held: set[str] = set()

    @property
    def unsupported(self) -> str:
        """Why nothing can be claimed on this cache; empty where it can."""
        return self._store.unclaimable

    def question(self, key: str) -> str:
        """What is claimed for a cache key."""
        return digest_of(f"{key} {self._since}".encode()) if self._since else key

    def take(self, key: str) -> bool:
        """Claim it now, or not."""
        taken = self._store.claim(self.question(key))
        if taken:
            self._held.add(key)
        return taken

    def release(self, key: str) -> None:
        """Give up what was claimed, if it was: its answer is in the cache by now, or there is none."""
        if key in self._held:
            self._held.discard(key)
            self._store.release(self.question(key))

    def release_all(self, keys: Iterable[str]) -> None:
        """Give up several: those of a batch job, once the cache knows of it."""
        for key in keys:
            self.release(key)

    async def wait(self, key: str, until: float) -> bool:
        """Return True once nobody has the claim any more, who had it having answered, failed or ended; False at the time `until`.

        Raises Draining when the run is asked to stop meanwhile.
        """
        pause = FIRST_PAUSE
        while (left := until - self._pauses.now()) > 0:
            await self._pauses.sleep(min(left, pause * random.uniform(0.5, 1.0)))
            if self.take(key):
                self.release(key)
                return True
            pause = min(LONGEST_PAUSE, pause * GROWTH)
        return False
