"""Money: never more than was allowed."""

from __future__ import annotations

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from unisafe_async.gateway import Budget, BudgetSpent, NotRun

CALLS = st.lists(st.tuples(st.floats(0.001, 0.6), st.floats(0, 1), st.integers(0, 3)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(CALLS)
def test_calls_at_the_same_time_never_cost_more_than_the_budget(calls: list[tuple[float, float, int]]) -> None:
    budget, ended = Budget(1.0), []

    async def call(most: float, share: float, steps: int) -> None:
        try:
            await budget.reserve(most)
        except BudgetSpent:
            assert budget.spent + most > 1.0
            ended.append("not sent")
            return
        for _ in range(steps):
            await checkpoint()
        budget.settle(most, most * share)
        ended.append("sent")

    async def run() -> None:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for one in calls:
                    group.start_soon(call, *one)

    anyio.run(run)
    assert len(ended) == len(calls)
    assert budget.spent <= 1.0 + 1e-9
    assert budget.exhausted == ("not sent" in ended)


@pytest.mark.parametrize(("cost", "fits"), [(0.1, True), (0.0, True), (0.8, False)])
async def test_a_call_that_may_not_fit_waits_for_what_the_others_really_cost(cost: float, fits: bool) -> None:
    budget, outcome = Budget(1.0), []

    async def second() -> None:
        try:
            await budget.reserve(0.8)
            outcome.append(True)
        except BudgetSpent:
            outcome.append(False)

    await budget.reserve(0.8)
    async with anyio.create_task_group() as group:
        group.start_soon(second)
        await wait_all_tasks_blocked()
        assert outcome == []
        budget.settle(0.8, cost)
    assert outcome == [fits]


async def test_a_call_that_can_never_fit_is_not_run_and_a_cheaper_one_is() -> None:
    budget = Budget(1.0)
    with pytest.raises(BudgetSpent, match=r"\$1\.00 would be exceeded") as caught:
        await budget.reserve(1.01)
    assert isinstance(caught.value, NotRun)
    assert budget.exhausted
    await budget.reserve(1.0)
    budget.settle(1.0, 1.0)
    with pytest.raises(BudgetSpent):
        await budget.reserve(0.01)


async def test_without_a_limit_everything_is_counted_and_nothing_is_held_up() -> None:
    budget = Budget(None)
    for _ in range(3):
        await budget.reserve(1e9)
    budget.settle(1e9, 2.5)
    assert (budget.spent, budget.exhausted) == (2.5, False)
