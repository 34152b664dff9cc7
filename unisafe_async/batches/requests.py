"""What becomes of one model's requests, by key: in a job, to be sent (again), answered, failed. Bookkeeping; awaits nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from providers.base import Malformed, ProviderError, RateLimited, Transient
from unisafe_async.gateway import Counts
from unisafe_async.gateway.trying import MALFORMED_TRIES


@dataclass
class Requests:
    """The requests of a lane.

    Args:
        counts: the endpoint's, in which failures and tries are counted.
        max_tries: jobs that a request goes into before it is given up.

    Attributes:
        taken: in a job under way, or in the one that is being put together.
        unsent: to be sent (again); None before anything was looked at.
        settled: answered or failed, and not passed on yet.
        collected: answered by a job in this run.
        failures: why a request failed.
    """

    counts: Counts
    max_tries: int
    taken: set[str] = field(default_factory=set)
    unsent: set[str] | None = None
    settled: set[str] = field(default_factory=set)
    collected: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    _tries: Counter[str] = field(default_factory=Counter)
    _places: dict[str, list[int]] = field(default_factory=dict)

    @property
    def waiting(self) -> set[str]:
        """Those that nothing is known of yet."""
        return self.taken | (self.unsent or set())

    @property
    def needed(self) -> bool:
        """Whether an item of this run waits; a job under way may also be of items that this run does not ask for."""
        return bool(self.unsent) or not self._places.keys().isdisjoint(self.taken)

    def again(self, keys: Collection[str], error: ProviderError) -> None:
        """Send these in another job, or give up after `max_tries`."""
        self.counts.retries += len(keys)
        self._tries.update(keys)
        most = min(self.max_tries, MALFORMED_TRIES) if isinstance(error, Malformed) else self.max_tries
        for key in keys:
            if self._tries[key] >= most:
                self.fail([key], f"gave up after {self._tries[key]} failed tries: {error}")
            else:
                self.later([key])

    def later(self, keys: Collection[str]) -> None:
        """Send these in another job."""
        self.unsent = set() if self.unsent is None else self.unsent
        self.unsent.update(keys)

    def fail(self, keys: Collection[str], why: str) -> None:
        self.failures.update(dict.fromkeys(keys, why))
        self.settled.update(keys)
        self.counts.failed += len(keys)

    def settle(self, errors: Mapping[str, ProviderError]) -> None:
        """Send again what met an error that passes; the rest fails."""
        for key, error in errors.items():
            if isinstance(error, RateLimited | Transient):
                self.again([key], error)
            else:
                self.fail([key], str(error))

    def give_up(self, why: str) -> set[str]:
        """All that are open fail; returns the keys of what is to be passed on."""
        self.fail(self.waiting - self.settled, why)
        return self.settled.copy()

    # -------------------------------------------------------- where their items stand

    def stands_at(self, key: str, place: int) -> None:
        """One more item of the dataset, at `place`, asks this."""
        self._places.setdefault(key, []).append(place)

    def places_of(self, keys: Collection[str] | None) -> Sequence[int] | None:
        """Where the items of `keys` stand, in order; None for all items."""
        return None if keys is None else sorted({place for key in keys for place in self._places.get(key, ())})

    def passed_on(self, keys: Collection[str] | None) -> None:
        """Nothing more is to be done for the items of `keys`; None means for those of all that do not wait."""
        if keys is None:
            self.settled.clear()
            waiting = self.waiting
            self._places = {key: places for key, places in self._places.items() if key in waiting}
            return
        self.settled.difference_update(keys)
        for key in keys:
            self._places.pop(key, None)
