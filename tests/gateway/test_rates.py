"""How fast an endpoint is called."""

from __future__ import annotations

import itertools

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisafe_async.gateway import Pace, RateLimits
from unisafe_async.gateway.rates import MARGIN


class Stopped(Exception):
    """Stands for the run being asked to stop while somebody waits."""


class Waits:
    """The `sleep` of limits: notes how long is to be waited, then returns at once, or raises from wait number `stop` on."""

    def __init__(self, stop: int | None = None) -> None:
        self.seconds: list[float] = []
        self._stop = stop

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if self._stop is not None and len(self.seconds) >= self._stop:
            raise Stopped


@given(
    st.integers(1, 600),
    st.lists(st.floats(0, 5), min_size=1, max_size=40),
)
def test_in_no_minute_is_more_sent_than_allowed(per_minute: int, gaps: list[float]) -> None:
    pace, now, sent = Pace(per_minute), 100.0, []
    for gap in gaps:
        now += gap
        sent.append(pace.reserve(1, now))
    assert sent == sorted(sent)
    for start in sent:
        assert sum(start <= at < start + 60 for at in sent) <= per_minute
    assert all(after - before >= 60 / per_minute - 1e-6 for before, after in itertools.pairwise(sent))


def test_an_idle_hour_saves_up_no_burst_and_a_free_place_is_used_at_once() -> None:
    pace = Pace(60)
    assert pace.reserve(1, 1_000.0) == 1_000.0
    first, second = pace.reserve(1, 4_600.0), pace.reserve(1, 4_600.0)
    assert first == 4_600.0
    assert second == pytest.approx(4_600.0 + MARGIN)


def test_without_a_limit_nobody_waits() -> None:
    pace = Pace(None)
    assert [pace.reserve(1_000, 5.0) for _ in range(3)] == [5.0] * 3
    assert pace.least_seconds(1e9) == 0


def test_tokens_that_were_not_used_are_given_back_and_more_are_taken() -> None:
    pace = Pace(60)
    pace.reserve(100, 1_000.0)
    pace.correct(-90)
    assert pace.reserve(10, 1_000.0) == pytest.approx(1_000 + 10 * MARGIN)
    pace.correct(30)
    assert pace.reserve(1, 1_000.0) == pytest.approx(1_000 + 50 * MARGIN)


@pytest.mark.parametrize(
    ("limits", "tokens", "images", "seconds"),
    [
        ((60, None, None), 10**6, 9, 1),
        ((None, 600, None), 200, 0, 20),
        ((None, None, 2), 10**6, 1, 30),
        ((60, 600, 2), 20, 1, 30),
        ((60, 600, 2), 20, 0, 2),
        ((60, 60_000, 2), 20, 0, 1),
    ],
    ids=["requests", "tokens", "images", "images, the slowest", "tokens, where no image is made", "requests, the slowest"],
)
async def test_a_second_call_waits_for_the_slowest_of_the_limits(
    limits: tuple[float | None, ...], tokens: float, images: int, seconds: float
) -> None:
    waits = Waits()
    rates = RateLimits(*limits, waits)
    await rates.wait(tokens, images)
    assert waits.seconds == []
    await rates.wait(tokens, images)
    assert waits.seconds == [pytest.approx(seconds * MARGIN, abs=0.5)]
    assert rates.least_seconds(10, 10 * tokens, 10 * images) == pytest.approx(10 * seconds * MARGIN)


async def test_tokens_are_corrected_by_what_a_call_used() -> None:
    waits = Waits()
    rates = RateLimits(None, 600, None, waits)
    await rates.wait(300, 0)
    rates.correct(300, 100)
    await rates.wait(300, 0)
    assert waits.seconds == [pytest.approx(10 * MARGIN, abs=0.5)]


async def test_a_block_holds_up_every_caller_and_a_shorter_one_does_not_end_it() -> None:
    waits = Waits(stop=1)
    rates = RateLimits(None, None, None, waits)
    rates.block(3_600)
    rates.block(1)
    for _ in range(3):
        with pytest.raises(Stopped):
            await rates.wait(1, 0)
    assert waits.seconds == [pytest.approx(3_600, abs=5)] * 3
    assert rates.blocked_for == pytest.approx(3_600, abs=5)


async def test_who_waits_for_a_place_is_held_up_by_a_block_that_comes_meanwhile() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 1:
            raise Stopped
        rates.block(3_600)

    rates = RateLimits(1, None, None, sleep)
    await rates.wait(0, 0)
    with pytest.raises(Stopped):
        await rates.wait(0, 0)
    assert waits == [pytest.approx(60 * MARGIN, abs=1), pytest.approx(3_600, abs=5)]


async def test_nobody_goes_on_before_a_block_is_over_and_everybody_after() -> None:
    rates = RateLimits(None, None, None, anyio.sleep)
    rates.block(0.02)
    left: list[float] = []

    async def wait() -> None:
        await rates.wait(1, 0)
        left.append(rates.blocked_for)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(wait)
    assert left == [0.0] * 5
