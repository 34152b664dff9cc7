"""The passes of a run: whoever shares a device with others is asked in turn, and everybody else at once; pure.

A device holds one model at a time. The models under test take turns within the first pass (devices.py). A judge that needs a device
of theirs comes in a later pass, and so does a judge that needs a device of an earlier judge. (The scheduler lets the judges of the
second pass begin before it, while models on other devices still generate.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A part of a run, in which no judge needs a device of a model that is asked or of another judge.

    Args:
        generates: whether the models under test are asked.
        judges: the positions of the judges that can be asked.
    """

    generates: bool
    judges: frozenset[int]


def plan_passes(models: Sequence[frozenset[str]], judges: Sequence[frozenset[str]], *, chained: bool) -> tuple[Pass, ...]:
    """The fewest passes in which each judge has its turn; a single pass if nobody has to wait.

    A judge is asked in every pass in which its devices are free, so a hosted judge is asked in all of them.

    Args:
        models, judges: the devices of each; none for a hosted one.
        chained: whether a judge is asked only after the judges before it, so that its turn cannot come earlier than theirs.
    """
    taken = frozenset[str]().union(*models)
    turns: list[int] = []
    for position, devices in enumerate(judges):
        after = [int(bool(devices & taken))]
        for earlier in range(position):
            shared = bool(devices & judges[earlier])
            if chained or shared:
                after.append(turns[earlier] + shared)
        turns.append(max(after))
    return tuple(
        Pass(generates=not number, judges=_fill(number, turns, judges, frozenset() if number else taken))
        for number in range(max([0, *turns]) + 1)
    )


def _fill(number: int, turns: Sequence[int], judges: Sequence[frozenset[str]], taken: frozenset[str]) -> frozenset[int]:
    """The judges whose turn pass `number` is, and all others that find their devices free then."""
    found: list[int] = []
    for position in sorted(range(len(judges)), key=lambda position: (turns[position] != number, position)):
        if not judges[position] & taken:
            found.append(position)
            taken |= judges[position]
    return frozenset(found)


def list_later(passes: Sequence[Pass]) -> list[tuple[int, ...]]:
    """The judges that begin in each pass after the first one, in order of the passes."""
    begun, found = passes[0].judges, list[tuple[int, ...]]()
    for one in passes[1:]:
        found.append(tuple(sorted(one.judges - begun)))
        begun |= one.judges
    return [positions for positions in found if positions]
