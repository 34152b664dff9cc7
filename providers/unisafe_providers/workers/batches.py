"""Which waiting requests go into the next batch, and how large it may be; pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A waiting request.

    Args:
        identifier: the call that waits for the answer.
        group: requests of one group can share a batch: same kind, same parameters.
        length: tokens of the prompt.
        room: the most tokens of the answer.
        payload: the request as the engine prepared it.
        alone: whether it must run by itself, because the process ended with its last batch.
    """

    identifier: int
    group: Hashable
    length: int
    room: int
    payload: Any
    alone: bool = False


class Pool:
    """Waiting requests, in the order of their arrival."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: Waiting) -> None:
        self._waiting[waiting.identifier] = waiting

    def discard(self, identifier: int) -> None:
        """Forget one request, if it still waits."""
        self._waiting.pop(identifier, None)

    def clear(self) -> None:
        """Forget all requests."""
        self._waiting.clear()

    @property
    def next_group(self) -> Hashable:
        """The group of the request that has waited longest."""
        return next(iter(self._waiting.values())).group

    def count(self, group: Hashable) -> int:
        return sum(waiting.group == group for waiting in self._waiting.values())

    def take(self, max_count: int, tokens: int | None = None) -> list[Waiting]:
        """A batch with the longest-waiting request and the requests of its group with the most similar length.

        The group is sorted by length and split into runs of at most `max_count` requests and `tokens` tokens, with padding and
        room. The batch is the run with the oldest request, longest first. So no request waits for ever, and there is little
        padding.
        """
        oldest = next(iter(self._waiting.values()))
        alike = [waiting for waiting in self._waiting.values() if waiting.group == oldest.group and not waiting.alone]
        if oldest.alone:
            alike = [oldest]
        batch: list[Waiting] = []
        for waiting in sorted(alike, key=lambda one: -one.length):
            longest = batch[0] if batch else waiting
            wide = (longest.length + longest.room) * (len(batch) + 1)
            if batch and (len(batch) >= max_count or (tokens is not None and wide > tokens)):
                if oldest in batch:
                    break
                batch = []
            batch.append(waiting)
        for waiting in batch:
            del self._waiting[waiting.identifier]
        return batch


class BatchSizes:
    """How many requests of a group fit: a fixed number, or one that doubles while there is room and halves if memory runs out.

    Args:
        fixed: the user's number; None to find it. If memory runs out, it is halved too.
        first, max_batch: the smallest and the largest number to try.
    """

    def __init__(self, fixed: int | None, first: int, max_batch: int) -> None:
        self._fixed = fixed
        self._first = fixed or first
        self._most = fixed or max_batch
        self._size: dict[Hashable, int] = {}
        self._ceiling: dict[Hashable, int] = {}

    def size(self, group: Hashable) -> int:
        return min(self._size.get(group, self._first), self._ceiling.get(group, self._most))

    def note_success(self, group: Hashable, count: int, headroom: bool) -> None:
        """A batch of `count` succeeded; `headroom` says that a batch of twice the size should succeed too."""
        if self._fixed is None and headroom and count >= self.size(group):
            self._size[group] = min(2 * count, self._most)

    def note_failure(self, group: Hashable, count: int) -> None:
        """Memory ran out with `count` requests."""
        self._ceiling[group] = max(1, count // 2)
        self._size[group] = self._ceiling[group]
