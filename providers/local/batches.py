"""Which waiting requests go into the next batch, and how large it may be; pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request in line.

    Args:
        identifier: whom to answer.
        group: requests of one group can share a batch: same kind, same parameters.
        length: tokens of the prompt.
        room: tokens of the answer at most.
        payload: what the engine made of the request.
        alone: to be run by itself, after its batch had ended the process.
    """

    identifier: int
    group: Hashable
    length: int
    room: int
    payload: Any
    alone: bool = False


class Pool:
    """Requests in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: Waiting) -> None:
        self._waiting[waiting.identifier] = waiting

    def clear(self) -> None:
        """Forget all of them."""
        self._waiting.clear()

    @property
    def next_group(self) -> Hashable:
        """The group of the one that has waited longest."""
        return next(iter(self._waiting.values())).group

    def count(self, group: Hashable) -> int:
        return sum(waiting.group == group for waiting in self._waiting.values())

    def take(self, most: int, tokens: int | None = None) -> list[Waiting]:
        """The batch that holds the longest-waiting request, among those of its group that are most like it in length.

        The group is sorted by length and cut into runs of at most `most` requests and `tokens` tokens, padding and room
        included; the run with the oldest request is taken, longest first. Nobody waits for ever, and little is padding.
        """
        oldest = next(iter(self._waiting.values()))
        alike = [waiting for waiting in self._waiting.values() if waiting.group == oldest.group and not waiting.alone]
        if oldest.alone:
            alike = [oldest]
        batch: list[Waiting] = []
        for waiting in sorted(alike, key=lambda one: -one.length):
            longest = batch[0] if batch else waiting
            wide = (longest.length + longest.room) * (len(batch) + 1)
            if batch and (len(batch) >= most or (tokens is not None and wide > tokens)):
                if oldest in batch:
                    break
                batch = []
            batch.append(waiting)
        for waiting in batch:
            del self._waiting[waiting.identifier]
        return batch


class BatchSizes:
    """How many requests of a group fit: fixed, or found by doubling while there is room and halving when memory runs out.

    Args:
        fixed: the user's own; None to find out. Memory that runs out halves it all the same.
        first, most: where finding out begins and ends.
    """

    def __init__(self, fixed: int | None, first: int, most: int) -> None:
        self._fixed = fixed
        self._first = fixed or first
        self._most = fixed or most
        self._size: dict[Hashable, int] = {}
        self._ceiling: dict[Hashable, int] = {}

    def size(self, group: Hashable) -> int:
        return min(self._size.get(group, self._first), self._ceiling.get(group, self._most))

    def fitted(self, group: Hashable, count: int, headroom: bool) -> None:
        """A batch of `count` went through; `headroom` says that one of twice its size should too."""
        if self._fixed is None and headroom and count >= self.size(group):
            self._size[group] = min(2 * count, self._most)

    def too_large(self, group: Hashable, count: int) -> None:
        """Memory ran out with `count` requests."""
        self._ceiling[group] = max(1, count // 2)
        self._size[group] = self._ceiling[group]
