"""Which judges wait for which: from the devices of all endpoints."""

from __future__ import annotations

import itertools
import random

import pytest

from unisafe_async.run.passes import list_later, plan_passes

HOSTED = frozenset[str]()
FIRST, SECOND, BOTH = frozenset({"cuda:0"}), frozenset({"cuda:1"}), frozenset({"cuda:0", "cuda:1"})


@pytest.mark.parametrize(
    ("models", "judges", "chained", "judged"),
    [
        ([HOSTED], [HOSTED], True, [{0}]),
        ([FIRST, SECOND], [HOSTED], True, [{0}]),
        ([FIRST], [SECOND], True, [{0}]),
        ([FIRST], [FIRST], True, [set(), {0}]),
        ([HOSTED], [FIRST], False, [{0}]),
        ([FIRST], [FIRST, FIRST], False, [set(), {0}, {1}]),
        ([FIRST], [FIRST, FIRST], True, [set(), {0}, {1}]),
        ([FIRST], [HOSTED, FIRST], False, [{0}, {0, 1}]),
        ([FIRST], [FIRST, HOSTED, FIRST], False, [{1}, {0, 1}, {1, 2}]),
        ([FIRST], [SECOND, FIRST], False, [{0}, {0, 1}]),
        ([FIRST], [SECOND, SECOND], False, [{0}, {1}]),
        ([FIRST], [BOTH, SECOND], False, [{1}, {0}, {1}]),
        ([BOTH], [FIRST, FIRST, SECOND, SECOND], False, [set(), {0, 2}, {1, 3}]),
        ([BOTH], [FIRST, FIRST, SECOND, SECOND], True, [set(), {0, 2}, {1, 2}, {0, 3}]),
        ([HOSTED], [FIRST, FIRST], True, [{0}, {1}]),
    ],
)
def test_who_is_judged_when(
    models: list[frozenset[str]], judges: list[frozenset[str]], chained: bool, judged: list[set[int]]
) -> None:
    passes = plan_passes(models, judges, chained=chained)
    assert [one.judges for one in passes] == judged
    assert [one.generates for one in passes] == [True] + [False] * (len(judged) - 1)


def test_nobody_shares_a_device_and_everybody_has_a_turn() -> None:
    choice = random.Random(5)
    sets = [HOSTED, FIRST, SECOND, BOTH, frozenset({"cuda:2"}), frozenset({"cuda:1", "cuda:2"})]
    for chained in (False, True):
        for _ in range(300):
            models, judges = choice.choices(sets, k=3), choice.choices(sets, k=choice.randint(1, 5))
            passes = plan_passes(models, judges, chained=chained)
            for one in passes:
                held = [judges[position] for position in one.judges] + ([frozenset().union(*models)] if one.generates else [])
                assert all(not left & right for left, right in itertools.combinations(held, 2))
                assert {position for position, devices in enumerate(judges) if not devices} <= one.judges
            assert frozenset().union(*(one.judges for one in passes)) == set(range(len(judges)))


def test_a_chain_asks_in_its_order() -> None:
    """Each judge of a chain can be asked after the one before it, within one pass or in a later one."""
    choice = random.Random(6)
    sets = [HOSTED, FIRST, SECOND, BOTH]
    for _ in range(300):
        judges = choice.choices(sets, k=4)
        asked, number = [], 0
        passes = plan_passes(choice.choices(sets, k=2), judges, chained=True)
        for position in range(len(judges)):
            while position not in passes[number].judges:
                number += 1
            asked.append(position)
        assert asked == [0, 1, 2, 3]


def test_the_judges_that_wait_are_named_in_the_order_of_their_turns() -> None:
    assert list_later(plan_passes([FIRST], [FIRST, HOSTED, FIRST], chained=False)) == [(0,), (2,)]
    assert list_later(plan_passes([FIRST], [SECOND, HOSTED], chained=False)) == []
