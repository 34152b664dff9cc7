"""Several servers of one model: all are busy, one that fails is left out and asked again, and nothing is lost or paid twice."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from machines import Machine
from unisafe_providers.base import (
    Capabilities,
    Misconfigured,
    Provider,
    ProviderError,
    RateLimited,
    Request,
    Response,
    Text,
    Timeout,
)
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.replicas import Replicas

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(*machines: Machine, at_once: int = 4, timeout: float = 5.0) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        for machine in machines:
            await machine.start()
            stack.push_async_callback(machine.stop)
        providers: list[Provider] = [
            OpenAICompatible("m", machine.url, "none", Capabilities(), timeout=timeout) for machine in machines
        ]
        yield await stack.enter_async_context(Replicas(providers, [machine.url for machine in machines], at_once))


async def ask(provider: Provider, number: int, width: int = 8) -> list[Response | ProviderError]:
    """What came of so many requests, `width` at once."""
    found: list[Response | ProviderError] = []
    left = iter(range(number))

    async def work() -> None:
        for place in left:
            try:
                found.append(await provider.call(Request(kind="chat", parts=(Text(f"question {place}"),))))
            except ProviderError as error:
                found.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(width):
            group.start_soon(work)
    return found


def failures(found: list[Response | ProviderError]) -> list[ProviderError]:
    return [one for one in found if isinstance(one, ProviderError)]


async def test_a_fast_server_answers_more_and_neither_idles_or_gets_too_many() -> None:
    fast, slow = Machine(0.01), Machine(0.04)
    async with running(fast, slow, at_once=3) as provider:
        assert not failures(await ask(provider, 60, width=6))
    assert (fast.most, slow.most) == (3, 3)
    assert fast.answered.total() > slow.answered.total() > 5


async def test_one_that_breaks_in_the_middle_loses_nothing_and_nothing_is_answered_twice() -> None:
    whole, broken = Machine(0.005), Machine(0.005)
    broken.breaks_after = 10
    async with running(whole, broken) as provider:
        assert not failures(await ask(provider, 80))
        assert any("left out" in note for note in provider.notes)
    assert set((whole.answered + broken.answered).values()) == {1}
    assert broken.answered.total() == 10
    assert broken.asked < 20


async def test_one_that_stops_is_left_out_and_asked_again_when_it_is_back() -> None:
    whole, stopped = Machine(0.002), Machine(0.002)
    async with running(whole, stopped) as provider:
        await stopped.stop()
        assert not failures(await ask(provider, 40))
        assert whole.answered.total() == 40
        await stopped.start()
        until = time.monotonic() + 10
        while not stopped.answered and time.monotonic() < until:
            assert not failures(await ask(provider, 20))
        assert stopped.answered


async def test_all_down_is_the_outage_of_any_endpoint() -> None:
    one, other = Machine(), Machine()
    async with running(one, other) as provider:
        await one.stop()
        await other.stop()
        (error,) = failures(await ask(provider, 1))
        assert getattr(error, "unreachable", False)
        await other.start()
        assert not failures(await ask(provider, 1))


async def test_a_limit_of_one_server_is_not_the_limit_of_the_others() -> None:
    whole, limited = Machine(0.001), Machine()
    limited.status, limited.headers = 429, {"retry-after": "30"}
    async with running(whole, limited) as provider:
        assert not failures(await ask(provider, 30))
        assert limited.asked <= 8
        whole.status, whole.headers = 429, {"retry-after": "7"}
        (error,) = failures(await ask(provider, 1))
        assert isinstance(error, RateLimited)
        assert error.retry_after is not None
        assert 5 < error.retry_after <= 7


async def test_one_that_lacks_the_model_is_left_out_and_two_that_lack_it_stop_it() -> None:
    whole, other = Machine(), Machine()
    other.status, other.message = 401, "invalid api key"
    async with running(whole, other) as provider:
        assert not failures(await ask(provider, 20))
        assert other.asked <= 4
        assert any(other.url in note and "left out" in note for note in provider.notes)
        whole.status, whole.message = 401, "invalid api key"
        assert all(isinstance(error, Misconfigured) for error in failures(await ask(provider, 2)))


async def test_one_that_hangs_is_left_out() -> None:
    whole, hanging = Machine(0.001), Machine(60)
    async with running(whole, hanging, timeout=2.0) as provider:
        found = failures(await ask(provider, 40))
        assert all(isinstance(error, Timeout) for error in found)
        assert len(found) <= 4
        assert hanging.asked <= 4
        assert not failures(await ask(provider, 20))


async def test_a_request_that_no_server_can_answer_leaves_none_of_them_out() -> None:
    one, other = Machine(), Machine()
    one.status = other.status = 500
    async with running(one, other) as provider:
        assert len(failures(await ask(provider, 1))) == 1
        one.status = other.status = 200
        assert not failures(await ask(provider, 8))
        assert one.answered
        assert other.answered
