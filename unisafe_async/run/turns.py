"""Which model has its devices next, so that all devices are done soon; pure.

Whenever devices become free, the model begins first on which most of the waiting work depends: its own, and that of all models
that need a device of its devices. Where models have one device each, all that share it wait for the same work, and the end is the
same in every order: there the cheapest to load goes first, so that the first answers come early. A model on several devices begins
once all of them are free, and holds none of them before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PICTURE = 8.0
"""A picture takes about as long as so many answers in words, which are written in batches."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A model that waits for its turn.

    Args:
        name: the model's.
        devices: what it needs to itself.
        work: how long it will take, in any unit that all turns share.
        size: bytes of weights, which is the cost of loading; 0 if it is not known.
    """

    name: str
    devices: frozenset[str]
    work: float
    size: int = 0


def estimate_work(answers: int, pictures: int, size: int, sizes: Iterable[int]) -> float:
    """How long a model will take for a number of answers in words and of pictures, if time grows with its weights.

    A model of unknown size (0) is taken for the middle one of the known `sizes`.
    """
    known = sorted(filter(None, sizes))
    return (answers + PICTURE * pictures) * (size or (known[len(known) // 2] if known else 1))


def choose_next(waiting: Sequence[Turn], free: Iterable[str]) -> list[Turn]:
    """The turns that begin now on the `free` devices, in order."""

    def rank(turn: Turn) -> tuple[float, int, str]:
        return -sum(other.work for other in waiting if turn.devices & other.devices), turn.size, turn.name

    left, chosen = set(free), list[Turn]()
    for turn in sorted(waiting, key=rank):
        if turn.devices <= left:
            left -= turn.devices
            chosen.append(turn)
    return chosen
