"""One call for each question on a cache: the run with the claim asks, and others with the same question wait for its answer."""

from __future__ import annotations

import random
from collections.abc import Iterable

from unisafe_cache import Store
from unisafe_providers.base import digest_of

from unisafe_async.gateway.clock import Pauses

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.25
GROWTH = 1.5


class Claiming:
    """The claims of one run.

    Args:
        since: answers with an id below this are ignored (`--fresh`): the questions of such a run have claims of their own.
    """

    def __init__(self, store: Store, since: int, pauses: Pauses) -> None:
        self._store = store
        self._since = since
        self._pauses = pauses
        self._held: set[str] = set()

    @property
    def unsupported(self) -> str:
        """Why nothing can be claimed on this cache; empty if claims work."""
        return self._store.unclaimable

    def claim_name_of(self, key: str) -> str:
        """The question that is claimed for a cache key."""
        return digest_of(f"{key} {self._since}".encode()) if self._since else key

    def take(self, key: str) -> bool:
        """Claim the question if it is free; returns whether this run has the claim."""
        taken = self._store.claim(self.claim_name_of(key))
        if taken:
            self._held.add(key)
        return taken

    def release(self, key: str) -> None:
        """Give the claim up, if this run has it: the answer is in the cache, or there is none."""
        if key in self._held:
            self._held.discard(key)
            self._store.release(self.claim_name_of(key))

    def release_all(self, keys: Iterable[str]) -> None:
        """Give several claims up: those of a batch job, once the job is in the cache."""
        for key in keys:
            self.release(key)

    async def wait(self, key: str, until: float) -> bool:
        """Return True once the claim is free, because its owner answered, failed or ended; False at the time `until`.

        Raises Draining if the run is asked to stop meanwhile.
        """
        pause = FIRST_PAUSE
        while (left := until - self._pauses.now()) > 0:
            await self._pauses.sleep(min(left, pause * random.uniform(0.5, 1.0)))
            if self.take(key):
                self.release(key)
                return True
            pause = min(LONGEST_PAUSE, pause * GROWTH)
        return False
