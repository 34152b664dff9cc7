"""Keeps track of one model's requests by key: in a job, still to send, answered or failed. Awaits nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from unisafe_providers.base import Malformed, ProviderError, RateLimited, Transient

from unisafe_async.gateway import Counts
from unisafe_async.gateway.trying import MALFORMED_TRIES


@dataclass(kw_only=True)
class Requests:
    """The requests of one model.

    Args:
        counts: the endpoint's counts of failures and tries.
        max_tries: a request is given up after it was in so many jobs.

    Attributes:
        taken: requests in a job under way, or in the job that is being built.
        unsent: requests still to send, or to send again; None before the first look at the items.
        settled: answered or failed requests whose items are not passed on yet.
        collected: requests that a job answered in this run.
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
    _positions: dict[str, list[int]] = field(default_factory=dict)

    @property
    def waiting(self) -> set[str]:
        """The requests without an outcome."""
        return self.taken | (self.unsent or set())

    @property
    def needed(self) -> bool:
        """Whether an item of this run waits; a job under way may also hold only items that this run does not need."""
        return bool(self.unsent) or not self._positions.keys().isdisjoint(self.taken)

    def send_again(self, keys: Collection[str], error: ProviderError) -> None:
        """Send these in another job, or give up after `max_tries`."""
        self.counts.retries += len(keys)
        self._tries.update(keys)
        max_tries = min(self.max_tries, MALFORMED_TRIES) if isinstance(error, Malformed) else self.max_tries
        for key in keys:
            if self._tries[key] >= max_tries:
                self.fail([key], f"gave up after {self._tries[key]} failed tries: {error}")
            else:
                self.send_later([key])

    def send_later(self, keys: Collection[str]) -> None:
        """Send these in another job."""
        self.unsent = set() if self.unsent is None else self.unsent
        self.unsent.update(keys)

    def fail(self, keys: Collection[str], why: str) -> None:
        self.failures.update(dict.fromkeys(keys, why))
        self.settled.update(keys)
        self.counts.failed += len(keys)

    def settle(self, errors: Mapping[str, ProviderError]) -> None:
        """Send requests with a passing error again; the others fail."""
        for key, error in errors.items():
            if isinstance(error, RateLimited | Transient):
                self.send_again([key], error)
            else:
                self.fail([key], str(error))

    def give_up(self, why: str) -> set[str]:
        """Fail all open requests; returns the keys whose items are to be passed on."""
        self.fail(self.waiting - self.settled, why)
        return self.settled.copy()

    # -------------------------------------------------------- where their items stand

    def add_position(self, key: str, position: int) -> None:
        """Note that the item at `position` of the dataset needs this request."""
        self._positions.setdefault(key, []).append(position)

    def positions_of(self, keys: Collection[str] | None) -> Sequence[int] | None:
        """The places of the items that need `keys`, in order; None for all items."""
        return None if keys is None else sorted({place for key in keys for place in self._positions.get(key, ())})

    def forget_passed_on(self, keys: Collection[str] | None) -> None:
        """Forget the items of `keys`, which were passed on; None means the items of all requests with an outcome."""
        if keys is None:
            self.settled.clear()
            waiting = self.waiting
            self._positions = {key: places for key, places in self._positions.items() if key in waiting}
            return
        self.settled.difference_update(keys)
        for key in keys:
            self._positions.pop(key, None)
