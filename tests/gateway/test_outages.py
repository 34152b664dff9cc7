"""An endpoint that fails for everybody is held and probed; a request that fails alone is given up."""

from __future__ import annotations

import itertools
import random

import anyio
import pytest
from models import Told, all_of, chat, endpoint_of, gateway_of
from unisafe_cache import Store
from unisafe_providers import Malformed, Misconfigured, ProviderError, RateLimited, Request, Response, Timeout, Transient
from virtual_time import VirtualTime

HI = Response(text="hi")
REQUESTS = [chat(number) for number in range(110)]


def down(time: VirtualTime, begin: float, end: float, error: ProviderError, then: Response = HI) -> Told:
    """A model that answers, except between two times."""
    return Told(lambda _: error if begin <= time.passed < end else then)


@pytest.mark.parametrize("kind", [Transient, Timeout])
@pytest.mark.parametrize("most", [2, 16, 64])
async def test_a_minute_of_503_loses_no_item(store: Store, most: int, kind: type[Transient]) -> None:
    time = VirtualTime()
    gateway, model = gateway_of(store, time=time), down(time, 0, 60, kind("503"))
    endpoint = endpoint_of(gateway, model, most=most)
    assert set(await all_of(gateway, endpoint, REQUESTS)) == {"hi"}
    assert time.passed <= 60 + 30
    assert len(model.calls) <= len(REQUESTS) + 3 + 12
    assert endpoint.counts.failed == 0


async def test_an_outage_in_the_middle_of_a_run_loses_no_item(store: Store) -> None:
    time, asked = VirtualTime(), 0

    def says(_: Request) -> Response | ProviderError:
        nonlocal asked
        asked += 1
        if asked == 40:
            outage.append(time.now())
        return Transient("502") if outage and time.now() - outage[0] < 300 else HI

    outage: list[float] = []
    gateway = gateway_of(store, time=time)
    assert set(await all_of(gateway, endpoint_of(gateway, Told(says), most=16), REQUESTS)) == {"hi"}
    assert 300 <= time.passed <= 300 + 31


async def test_one_probe_at_a_time_goes_out_with_growing_pauses(store: Store) -> None:
    time, sent = VirtualTime(), []

    def says(_: Request) -> Response | ProviderError:
        sent.append(time.passed)
        return Transient("503") if time.passed < 240 else HI

    gateway, model = gateway_of(store, time=time), Told(says)
    assert set(await all_of(gateway, endpoint_of(gateway, model), REQUESTS)) == {"hi"}
    probes = [at for at in sent if 0 < at < 240]
    pauses = [after - before for before, after in itertools.pairwise(probes)]
    assert model.most_at_once == 32
    assert all(pause > 0 for pause in pauses)
    assert max(pauses) <= 30.1
    assert len(probes) < 20


async def test_an_outage_longer_than_patience_stops_the_model(store: Store) -> None:
    time = VirtualTime()
    gateway, model = gateway_of(store, time=time), Told(lambda _: Transient("503 upstream"))
    endpoint = endpoint_of(gateway, model)
    assert set(await all_of(gateway, endpoint, REQUESTS)) == {"Misconfigured: has failed for 900 s: 503 upstream"}
    assert time.passed == pytest.approx(900, abs=31)
    assert isinstance(endpoint.stopped, Misconfigured)
    assert len(model.calls) < 60


@pytest.mark.parametrize("poisoned", [1, 5])
async def test_requests_that_break_the_server_are_given_up_while_others_are_answered(store: Store, poisoned: int) -> None:
    """Also when they are the last that are left."""
    random.seed(7)
    time = VirtualTime()
    gateway = gateway_of(store, time=time)
    model = Told(lambda request: Transient("500") if int(request.text) % 22 == 3 and int(request.text) < 22 * poisoned else HI)
    endpoint = endpoint_of(gateway, model, most=4)
    results = await all_of(gateway, endpoint, REQUESTS)
    assert results.count("Transient: gave up after 8 failed tries: 500") == poisoned
    assert results.count("hi") == 110 - poisoned
    assert endpoint.stopped is None
    assert time.passed < 300


async def test_a_server_that_fails_every_other_call_loses_no_item(store: Store) -> None:
    random.seed(3)
    gateway, model = gateway_of(store), Told(lambda _: Transient("503") if random.random() < 0.5 else HI)
    assert set(await all_of(gateway, endpoint_of(gateway, model, most=8), REQUESTS)) == {"hi"}


async def test_a_caller_alone_keeps_its_tries(store: Store) -> None:
    gateway, model = gateway_of(store), Told(lambda _: Transient("503"))
    endpoint = endpoint_of(gateway, model)
    for _ in range(2):
        assert await all_of(gateway, endpoint, [chat("a")]) == ["Transient: gave up after 8 failed tries: 503"]
    assert len(model.calls) == 16
    assert endpoint.stopped is None


async def test_a_server_that_was_never_reached_stops_its_model_after_its_tries(store: Store) -> None:
    time = VirtualTime()
    gateway, model = gateway_of(store, time=time), Told(lambda _: Transient("cannot connect", unreachable=True))
    endpoint = endpoint_of(gateway, model, max_tries=4)
    results = await all_of(gateway, endpoint, REQUESTS)
    assert set(results) == {"Misconfigured: cannot connect; check base_url and that the server runs"}
    assert (len(model.calls), time.passed < 60) == (3 + 3, True)


async def test_a_server_that_is_started_again_loses_no_item(store: Store) -> None:
    time = VirtualTime()
    gateway = gateway_of(store, time=time)
    endpoint = endpoint_of(gateway, down(time, 10, 130, Transient("cannot connect", unreachable=True)), max_tries=2)
    await gateway.ask(endpoint, chat("first"))
    await gateway.sleep(11)
    assert set(await all_of(gateway, endpoint, REQUESTS)) == {"hi"}


async def test_limits_between_the_failures_of_an_outage_do_not_end_it(store: Store) -> None:
    time, count = VirtualTime(), iter(range(10**6))

    def says(_: Request) -> Response | ProviderError:
        if time.passed >= 120:
            return HI
        return RateLimited("429", 5.0) if next(count) % 2 else Transient("503")

    gateway = gateway_of(store, time=time)
    assert set(await all_of(gateway, endpoint_of(gateway, Told(says)), REQUESTS)) == {"hi"}


async def test_an_outage_ends_for_all_when_the_run_is_asked_to_stop(store: Store) -> None:
    time, model = VirtualTime(), Told(lambda _: Transient("503"))
    gateway, results = gateway_of(store, time=time), []
    endpoint = endpoint_of(gateway, model)

    async def ask() -> None:
        results.extend(await all_of(gateway, endpoint, REQUESTS))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        while time.passed < 20:
            await anyio.lowlevel.checkpoint()
        gateway.drain()
    assert set(results) == {"Draining: the run was asked to stop"}
    assert endpoint.concurrency.in_use == 0


async def test_callers_that_are_cancelled_in_an_outage_leave_it_to_the_others(store: Store) -> None:
    time = VirtualTime()
    gateway, model = gateway_of(store, time=time), down(time, 0, 60, Transient("503"))
    endpoint, scope, results = endpoint_of(gateway, model), anyio.CancelScope(), []

    async def give_up() -> None:
        with scope:
            await all_of(gateway, endpoint, REQUESTS[:50])

    async def stay() -> None:
        results.extend(await all_of(gateway, endpoint, REQUESTS[50:]))

    async with anyio.create_task_group() as group:
        group.start_soon(give_up)
        group.start_soon(stay)
        while time.passed < 20:
            await anyio.lowlevel.checkpoint()
        scope.cancel()
    assert scope.cancelled_caught
    assert results == ["hi"] * 60
    assert endpoint.concurrency.in_use == 0


# ---------------------------------------------------------------- complete answers


@pytest.mark.parametrize(("tries", "sent"), [(1, 1), (2, 2), (8, 2)])
async def test_an_answer_of_a_wrong_shape_is_asked_for_twice_at_most(store: Store, tries: int, sent: int) -> None:
    gateway, model = gateway_of(store), Told(lambda _: Malformed("a picture that is none"))
    endpoint = endpoint_of(gateway, model, max_tries=tries)
    words = f"Malformed: gave up after {sent} failed tries: a picture that is none"
    assert await all_of(gateway, endpoint, REQUESTS[:9]) == [words] * 9
    assert len(model.calls) == 9 * sent
    assert endpoint.stopped is None


async def test_an_answer_of_a_wrong_shape_and_then_a_right_one(store: Store) -> None:
    said = iter([Malformed("no picture"), HI])
    gateway, model = gateway_of(store), Told(lambda _: next(said))
    assert await all_of(gateway, endpoint_of(gateway, model), [chat("a")]) == ["hi"]


async def test_an_outage_that_goes_on_in_refusals_is_over_after_the_longest_wait(store: Store) -> None:
    time, asked = VirtualTime(), itertools.count()

    def says(_: Request) -> Response | ProviderError:
        number = next(asked)
        return HI if not number else Transient("503") if number < 6 else RateLimited("429")

    gateway = gateway_of(store, time=time)
    endpoint = endpoint_of(gateway, Told(says), most=8, max_wait=60)
    await gateway.ask(endpoint, chat("first"))
    await all_of(gateway, endpoint, REQUESTS[:4])
    assert endpoint.stopped is not None
    assert time.passed <= 60 + 31
