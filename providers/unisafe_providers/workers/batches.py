"""Which waiting requests go into the next batch, and how large it may be; pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A waiting request.

    Args:
        identifier: the call that waits for the answer.
        group: requests of one group can share a batch: same kind, same parameters.
        length: tokens of the prompt, and of the answer as far as it is written.
        room: the most tokens that are still to come.
        payload: the request as the engine prepared it.
        alone: whether it must run by itself, because the process ended with its last batch.
        first: the first size of a batch of its group; None for the model's.
    """

    identifier: int
    group: Hashable
    length: int
    room: int
    payload: Any
    alone: bool = False
    first: int | None = None


def measure_tokens(batch: Sequence[Waiting]) -> int:
    """The most tokens that a batch can hold: prompts padded to the longest, and room for the longest answer in each row."""
    return len(batch) * (max(one.length for one in batch) + max(one.room for one in batch))


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
    def oldest(self) -> Waiting:
        """The request that has waited longest."""
        return next(iter(self._waiting.values()))

    @property
    def next_group(self) -> Hashable:
        """The group of the request that has waited longest."""
        return self.oldest.group

    def count(self, group: Hashable) -> int:
        return sum(waiting.group == group for waiting in self._waiting.values())

    def take(self, max_count: int, tokens: int | None = None) -> list[Waiting]:
        """A batch with the longest-waiting request and the requests of its group with the most similar length.

        The group is sorted by length and split into runs of at most `max_count` requests and `tokens` tokens, with padding and
        room. The batch is the run with the oldest request, longest first. So no request waits for ever, and there is little
        padding.
        """
        oldest = self.oldest
        alike = [waiting for waiting in self._waiting.values() if waiting.group == oldest.group and not waiting.alone]
        if oldest.alone:
            alike = [oldest]
        batch: list[Waiting] = []
        room = 0
        for waiting in sorted(alike, key=lambda one: -one.length):
            if batch:
                wide = (batch[0].length + max(room, waiting.room)) * (len(batch) + 1)
                if len(batch) >= max_count or (tokens is not None and wide > tokens):
                    if oldest in batch:
                        break
                    batch, room = [], 0
            batch.append(waiting)
            room = max(room, waiting.room)
        for waiting in batch:
            del self._waiting[waiting.identifier]
        return batch


@dataclass(slots=True)
class _Found:
    """What fits of one group as far as it was tried: the numbers for the next batch, and those that they may grow to."""

    size: int
    most: int
    tokens: int | None
    most_tokens: int | None


class BatchSizes:
    """How many requests of a group fit, and how many tokens: fixed numbers, or such that double while there is room.

    If memory runs out, the numbers of that group are halved, also the user's. Where tokens are counted, only they are halved:
    a few long requests say nothing about many short ones.

    Args:
        fixed: the user's number of requests, which is tried at once; None to find it.
        first, max_batch: the smallest and the largest number of requests to try.
        first_tokens: the smallest number of tokens to try; None if tokens say little about memory.
        max_tokens: the most tokens of a batch; None for no such limit.
    """

    def __init__(
        self, fixed: int | None, first: int, max_batch: int, first_tokens: int | None = None, max_tokens: int | None = None
    ) -> None:
        self._fixed = fixed is not None
        self._first = fixed or first
        self._most = fixed or max_batch
        self._counts_tokens = first_tokens is not None or max_tokens is not None
        self._first_tokens = max_tokens if self._fixed else min(filter(None, (first_tokens, max_tokens)), default=None)
        self._max_tokens = max_tokens
        self._found: dict[Hashable, _Found] = {}

    def size(self, group: Hashable, first: int | None = None) -> int:
        """The most requests in the next batch of `group`, which may begin with `first`."""
        found = self._find(group, first)
        return min(found.size, found.most)

    def tokens(self, group: Hashable) -> int | None:
        """The most tokens in the next batch of `group`; None for no limit."""
        return self._find(group).tokens

    def note_success(self, group: Hashable, count: int, headroom: bool, tokens: int = 0) -> None:
        """A batch of `count` requests and `tokens` tokens succeeded; `headroom` says that one of twice the size should too."""
        found = self._find(group)
        if self._fixed or not headroom:
            return
        if count >= found.size:
            found.size = min(2 * count, self._most)
        if found.tokens is not None and tokens + tokens // count > found.tokens:  # another request like these had no place
            found.tokens = min(filter(None, (2 * found.tokens, found.most_tokens)))

    def note_failure(self, group: Hashable, count: int, tokens: int = 0) -> None:
        """Memory ran out with `count` requests and `tokens` tokens."""
        found = self._find(group)
        if self._counts_tokens:
            found.tokens = found.most_tokens = max(1, min(tokens, found.tokens or tokens) // 2)
        else:
            found.size = found.most = max(1, count // 2)

    def _find(self, group: Hashable, first: int | None = None) -> _Found:
        size = self._first if first is None or self._fixed else min(first, self._first)
        return self._found.setdefault(group, _Found(size, self._most, self._first_tokens, self._max_tokens))
