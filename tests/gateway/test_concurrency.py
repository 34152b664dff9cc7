"""How many calls an endpoint gets at once."""

from __future__ import annotations

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from unisafe_async.gateway import AdaptiveConcurrency


async def taken(places: AdaptiveConcurrency, count: int) -> list[float]:
    return [await places.acquire() for _ in range(count)]


async def test_the_ceiling_falls_once_for_all_the_calls_of_a_round() -> None:
    places = AdaptiveConcurrency(10)
    for since in await taken(places, 10):
        places.note_overload(since)
    assert places.ceiling == pytest.approx(7)
    for _ in range(10):
        places.release()
    for since in await taken(places, 7):
        places.note_overload(since)
    assert places.ceiling == pytest.approx(4.9)


async def test_one_call_is_always_let_through() -> None:
    places = AdaptiveConcurrency(4)
    for _ in range(20):
        places.note_overload(await places.acquire())
        places.release()
    assert places.ceiling == 1
    await places.acquire()
    assert places.in_use == 1


async def test_the_ceiling_rises_by_one_a_round_and_no_further_than_allowed() -> None:
    places = AdaptiveConcurrency(10)
    places.note_overload(await places.acquire())
    for _ in range(7):
        places.note_success()
    assert places.ceiling == pytest.approx(8, abs=0.1)
    for _ in range(100):
        places.note_success()
    assert places.ceiling == 10


async def test_no_more_than_the_ceiling_are_in_and_they_come_in_turn() -> None:
    places, order, most = AdaptiveConcurrency(3), [], 0

    async def work(number: int) -> None:
        nonlocal most
        await places.acquire()
        order.append(number)
        most = max(most, places.in_use)
        await checkpoint()
        places.release()

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(work, number)
    assert (most, places.in_use, order) == (3, 0, list(range(20)))


async def test_after_a_fall_places_are_given_only_below_the_new_ceiling() -> None:
    places = AdaptiveConcurrency(10)
    places.note_overload((await taken(places, 10))[-1])
    entered = anyio.Event()

    async def wait() -> None:
        await places.acquire()
        entered.set()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await wait_all_tasks_blocked()
        for _ in range(3):
            places.release()
        await wait_all_tasks_blocked()
        assert not entered.is_set()
        places.release()
        await entered.wait()
    assert places.in_use == 7


@pytest.mark.parametrize("given", [False, True], ids=["while waiting", "just when its turn came"])
async def test_a_caller_that_gives_up_leaves_its_place_to_the_next(given: bool) -> None:
    places, scope, entered = AdaptiveConcurrency(1), anyio.CancelScope(), []
    await places.acquire()

    async def give_up() -> None:
        with scope:
            await places.acquire()
            entered.append("gave up")

    async def stay() -> None:
        await places.acquire()
        entered.append("stayed")

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(give_up)
            await wait_all_tasks_blocked()
            group.start_soon(stay)
            await wait_all_tasks_blocked()
            scope.cancel()
            if not given:
                await wait_all_tasks_blocked()
            places.release()
    assert entered == ["stayed"]
    assert places.in_use == 1
    places.release()
    assert places.in_use == 0
