"""Asking through the gateway: who pays, who waits, what is kept, and what it cost. A real store on disk."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from models import PICTURE, PNG
from unisafe_cache import Store
from unisafe_providers import (
    Capabilities,
    Kind,
    Limits,
    Misconfigured,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Response,
    Text,
    Timeout,
    Transient,
    Usage,
)
from unisafe_providers.prices import Price
from virtual_time import VirtualTime

from unisafe_async.gateway import (
    AdaptiveConcurrency,
    Asked,
    Budget,
    BudgetSpent,
    Draining,
    Endpoint,
    Gateway,
    RateLimits,
    key_of,
)
from unisafe_async.simulate.simulated import Profile, Simulated

HELLO = Request(kind="chat", parts=(Text("hello"),), max_tokens=100)
OTHER = Request(kind="chat", parts=(Text("something else"),), max_tokens=100)
HI = Response(text="Hi.", usage=Usage(tokens_in=1_000, tokens_out=500))


class Model:
    """A provider that gives `outcomes` in turn, the last one over and over, each once its door is open."""

    identity = "scripted|model"
    capabilities = Capabilities(image_in=True, image_out=True, edit=True)

    def __init__(self, *outcomes: Response | ProviderError, held: bool = False, reported: Limits | None = None) -> None:
        self.reported = reported or Limits()
        self.calls: list[Request] = []
        self.arrived = anyio.Event()
        self.door = anyio.Event()
        self._outcomes = list(outcomes)
        if not held:
            self.door.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def call(self, request: Request) -> Response:
        self.calls.append(request)
        self.arrived.set()
        await self.door.wait()
        await anyio.lowlevel.checkpoint()
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, ProviderError):
            raise outcome
        return outcome


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "cache.duckdb") as store:
        yield store


def gateway_of(store: Store, *, budget: float | None = None, since: int = 0) -> Gateway:
    return Gateway(store, Budget(budget), "run", since, VirtualTime())


def endpoint_of(gateway: Gateway, provider: Any, *, most: int = 8, **options: Any) -> Endpoint:
    return Endpoint(
        name="model",
        provider=provider,
        concurrency=AdaptiveConcurrency(most),
        rates=RateLimits(None, None, None, gateway.sleep, gateway.now),
        **options,
    )


@asynccontextmanager
async def asking(gateway: Gateway, endpoint: Endpoint, *requests: Request) -> AsyncIterator[list[Asked | Exception]]:
    """Ask for all of `requests` at once in the background; when the block is left, the list holds what each of them got."""
    results: list[Any] = [None] * len(requests)

    async def ask(number: int, request: Request) -> None:
        try:
            results[number] = await gateway.ask(endpoint, request)
        except Exception as error:
            results[number] = error

    async with anyio.create_task_group() as group:
        for number, request in enumerate(requests):
            group.start_soon(ask, number, request)
        yield results


# ---------------------------------------------------------------- paid for once


async def test_the_same_request_at_the_same_time_is_sent_once(store: Store) -> None:
    gateway, model = gateway_of(store), Model(HI)
    endpoint = endpoint_of(gateway, model)
    async with asking(gateway, endpoint, *[HELLO] * 20, *[OTHER] * 3) as results:
        pass
    assert sorted(request.text for request in model.calls) == ["hello", "something else"]
    answers = [one for one in results if isinstance(one, Asked)]
    assert [one.cached for one in answers].count(False) == 2
    assert [one.answer for one in answers] == [answers[0].answer] * 20 + [answers[-1].answer] * 3
    assert (endpoint.counts.calls, endpoint.counts.cached) == (2, 21)


async def test_repeats_of_an_item_and_other_models_are_asked_apart(store: Store) -> None:
    gateway = gateway_of(store)
    repeats = [Request(kind="chat", parts=HELLO.parts, sample=sample) for sample in range(3)]
    for name in ("a", "b"):
        endpoint = endpoint_of(gateway, Simulated(name, Profile(refusal=0.0, blocked=0.0, empty=0.0), Capabilities()))
        async with asking(gateway, endpoint, *repeats * 2):
            pass
        assert endpoint.counts.calls == 3


@pytest.mark.parametrize(
    "response",
    [HI, Response(text="x" * 30_000), Response(images=(PICTURE,)), Response(finish="blocked", reason="filter")],
    ids=["short", "long", "image", "blocked"],
)
async def test_an_answer_in_the_cache_is_given_again_and_nothing_is_sent(tmp_path: Path, response: Response) -> None:
    for run in range(2):
        model = Model(response)
        async with Store(tmp_path / "cache.duckdb") as store:
            gateway = gateway_of(store)
            endpoint = endpoint_of(gateway, model)
            first, second = await gateway.ask(endpoint, HELLO), await gateway.ask(endpoint, HELLO)
            assert [await image.read() for image in second.response.images] == [PNG] * len(response.images)
        assert (first.cached, second.cached, len(model.calls)) == (run > 0, True, 1 - run)
        for one in (first.response, second.response):
            assert (one.text, one.images, one.finish, one.reason) == (
                response.text,
                response.images,
                response.finish,
                response.reason,
            )


async def test_looking_up_sends_nothing(store: Store) -> None:
    gateway, model = gateway_of(store), Model(HI)
    keys = [key_of(model.identity, request) for request in (HELLO, OTHER)]
    assert await gateway.look_up(keys) == {}
    asked = await gateway.ask(endpoint_of(gateway, model), HELLO)
    assert await gateway.look_up(keys) == {keys[0]: asked.answer}
    assert len(model.calls) == 1


async def test_a_fresh_run_ignores_older_answers_and_later_runs_see_its_own(store: Store) -> None:
    old, new = Model(HI), Model(Response(text="Hello again."))
    gateway = gateway_of(store)
    await gateway.ask(endpoint_of(gateway, old), HELLO)
    fresh = gateway_of(store, since=store.ids.next())
    for cached in (False, True):
        asked = await fresh.ask(endpoint_of(fresh, new), HELLO)
        assert (asked.response.text, asked.cached) == ("Hello again.", cached)
    later = gateway_of(store)
    assert (await later.ask(endpoint_of(later, old), HELLO)).response.text == "Hello again."
    assert (len(old.calls), len(new.calls)) == (1, 1)


READ = """
import json, sys
from pathlib import Path
from unisafe_cache import read_file
rows = read_file(Path(sys.argv[1]), lambda file: file.execute(
    "SELECT text, finish, run, cost, (SELECT count(*) FROM images WHERE list_contains(responses.images, digest)) "
    "FROM responses ORDER BY id").fetchall())
print(json.dumps(rows))
"""


async def test_another_process_reads_an_answer_as_soon_as_it_is_given(store: Store) -> None:
    gateway = gateway_of(store)
    endpoint = endpoint_of(gateway, Model(HI, Response(images=(PICTURE,))), prices=Price(1.0, 2.0))
    for request in (HELLO, OTHER):
        await gateway.ask(endpoint, request)
    done = await anyio.run_process([sys.executable, "-c", READ, str(store.path)])
    assert json.loads(done.stdout) == [["Hi.", "stop", "run", 0.002, 0], ["", "stop", "run", 0.0, 1]]


async def test_an_answer_that_was_paid_for_is_kept_though_nobody_waits_for_it_any_more(store: Store) -> None:
    gateway, scope = gateway_of(store), anyio.CancelScope()

    class Cancelling(Model):
        async def call(self, request: Request) -> Response:
            response = await super().call(request)
            scope.cancel()
            return response

    model = Cancelling(HI)
    with scope:
        await gateway.ask(endpoint_of(gateway, model), HELLO)
    assert scope.cancel_called
    another = gateway_of(store)
    asked = await another.ask(endpoint_of(another, model), HELLO)
    assert (asked.cached, len(model.calls)) == (True, 1)


async def test_who_waits_for_a_call_that_is_cancelled_makes_it_once_more(store: Store) -> None:
    gateway, model = gateway_of(store), Model(HI, held=True)
    endpoint, leader = endpoint_of(gateway, model), anyio.CancelScope()

    async def lead() -> None:
        with leader:
            await gateway.ask(endpoint, HELLO)

    async with anyio.create_task_group() as group:
        group.start_soon(lead)
        await model.arrived.wait()
        async with asking(gateway, endpoint, *[HELLO] * 3) as followers:
            await wait_all_tasks_blocked()
            leader.cancel()
            model.door.set()
    assert leader.cancelled_caught
    assert [one.response.text for one in followers if isinstance(one, Asked)] == ["Hi."] * 3
    assert (len(model.calls), endpoint.concurrency.in_use) == (2, 0)


@pytest.mark.parametrize("error", [Rejected("too long"), Misconfigured("wrong key")], ids=["rejected", "misconfigured"])
async def test_a_failure_is_everybody_s_who_asked_for_the_same(store: Store, error: ProviderError) -> None:
    gateway, model = gateway_of(store), Model(error, held=True)
    endpoint = endpoint_of(gateway, model)
    async with asking(gateway, endpoint, *[HELLO] * 4) as results:
        await model.arrived.wait()
        await wait_all_tasks_blocked()
        model.door.set()
    assert results == [error] * 4
    assert (len(model.calls), endpoint.counts.failed) == (1, 1)


# ---------------------------------------------------------------- tried again


@pytest.mark.parametrize("kind", [Transient, Timeout])
@pytest.mark.parametrize("tries", [1, 3])
async def test_after_as_many_tries_as_allowed_it_is_given_up_and_not_kept(store: Store, kind: type[Transient], tries: int) -> None:
    gateway, model = gateway_of(store), Model(*[kind("no luck")] * tries, HI)
    endpoint = endpoint_of(gateway, model, max_tries=tries)
    with pytest.raises(kind, match=f"gave up after {tries} failed tries: no luck") as caught:
        await gateway.ask(endpoint, HELLO)
    assert type(caught.value) is kind
    assert (len(model.calls), endpoint.counts.failed) == (tries, 1)
    assert not (await gateway.ask(endpoint, HELLO)).cached


async def test_a_wait_for_a_rate_limit_is_no_failed_try(store: Store) -> None:
    slow = RateLimited("429", 0.001)
    gateway, model = gateway_of(store), Model(slow, slow, Transient("503"), slow, slow, slow, HI)
    endpoint = endpoint_of(gateway, model, max_tries=2)
    assert (await gateway.ask(endpoint, HELLO)).response.text == "Hi."
    assert (len(model.calls), endpoint.counts.rate_limited) == (7, 5)


@pytest.mark.parametrize(
    "error", [RateLimited("429", 0.001), Transient("503", 0.001), Timeout("no answer")], ids=["429", "503", "timeout"]
)
async def test_an_endpoint_with_too_much_to_do_gets_fewer_calls_at_once(store: Store, error: ProviderError) -> None:
    gateway = gateway_of(store)
    endpoint = endpoint_of(gateway, Model(error, HI), most=10)
    await gateway.ask(endpoint, HELLO)
    assert 7 <= endpoint.concurrency.ceiling < 8


@pytest.mark.parametrize("error", [RateLimited("429", 600.0), Transient("503", 600.0)], ids=["429", "503"])
async def test_a_wait_that_an_endpoint_asks_for_holds_up_its_callers_and_no_other_model(store: Store, error: ProviderError) -> None:
    gateway, model = Gateway(store, Budget(None), "run"), Model(error, HI)
    endpoint, another = endpoint_of(gateway, model), endpoint_of(gateway, Simulated("b", Profile(), Capabilities()))
    async with asking(gateway, endpoint, HELLO) as first:
        await model.arrived.wait()
        await wait_all_tasks_blocked()
        async with asking(gateway, endpoint, OTHER) as second:
            await gateway.ask(another, HELLO)
            assert endpoint.rates.blocked_for == pytest.approx(600, abs=60)
            gateway.drain()
    assert [type(one) for one in first + second] == [Draining] * 2
    assert len(model.calls) == 1


@pytest.mark.parametrize(
    ("limits", "blocked"),
    [
        (Limits(remaining_requests=0, reset_requests=3_600.0), True),
        (Limits(remaining_tokens=0, reset_tokens=3_600.0), True),
        (Limits(remaining_requests=1, reset_requests=3_600.0), False),
        (Limits(remaining_requests=0), False),
    ],
)
async def test_an_endpoint_whose_limit_is_spent_is_left_alone_for_a_minute_at_most(
    store: Store, limits: Limits, blocked: bool
) -> None:
    gateway = gateway_of(store)
    endpoint = endpoint_of(gateway, Model(HI, reported=limits))
    await gateway.ask(endpoint, HELLO)
    assert endpoint.rates.blocked_for == (pytest.approx(60) if blocked else 0)


async def test_a_model_that_will_never_work_is_asked_once_the_others_go_on_and_the_cache_still_answers(store: Store) -> None:
    gateway, model = gateway_of(store), Model(HI, Misconfigured("key revoked"))
    endpoint, another = endpoint_of(gateway, model, most=1), endpoint_of(gateway, Simulated("b", Profile(), Capabilities()))
    await gateway.ask(endpoint, HELLO)
    async with asking(gateway, endpoint, *(Request(kind="chat", parts=(Text(str(number)),)) for number in range(6))) as results:
        pass
    assert {str(one) for one in results} == {"key revoked"}
    assert len(model.calls) == 2
    assert (await gateway.ask(endpoint, HELLO)).cached
    assert not (await gateway.ask(another, HELLO)).cached


async def test_a_server_that_never_answered_stops_its_model_and_one_that_did_gets_another_chance(store: Store) -> None:
    gone = Transient("cannot connect to http://127.0.0.1:9/v1", unreachable=True)
    gateway = gateway_of(store)
    never = endpoint_of(gateway, Model(gone), max_tries=2)
    with pytest.raises(Misconfigured, match="check base_url and that the server runs"):
        await gateway.ask(never, HELLO)
    assert never.stopped is not None
    once = endpoint_of(gateway, Model(HI, gone, gone, HI), max_tries=2)
    await gateway.ask(once, HELLO)
    with pytest.raises(Transient, match="gave up after 2 failed tries"):
        await gateway.ask(once, OTHER)
    assert (await gateway.ask(once, OTHER)).response.text == "Hi."


@pytest.mark.parametrize("error", [RateLimited("429", 1_030.0), Transient("503", 1_030.0)], ids=["429", "503"])
async def test_a_limit_that_is_spent_for_longer_than_patience_stops_the_model_at_once(store: Store, error: ProviderError) -> None:
    gateway, model = gateway_of(store), Model(error)
    endpoint = endpoint_of(gateway, model)
    for _ in range(2):
        with pytest.raises(
            Misconfigured, match=r"asks to wait 1,030 s, more than max_wait_s \(900\): the limit is spent; go on later"
        ):
            await gateway.ask(endpoint, HELLO)
    assert len(model.calls) == 1


async def test_a_limit_within_patience_is_waited_for(store: Store) -> None:
    gateway, model = gateway_of(store), Model(RateLimited("429", 899.0), HI)
    start = gateway.now()
    assert (await gateway.ask(endpoint_of(gateway, model), HELLO)).response.text == "Hi."
    assert gateway.now() - start == pytest.approx(899, abs=1)


async def test_a_model_that_does_nothing_but_refuse_is_stopped_after_its_patience(store: Store) -> None:
    gateway, model = gateway_of(store), Model(RateLimited("slow down"))
    endpoint, start = endpoint_of(gateway, model), gateway.now()
    with pytest.raises(Misconfigured, match="has answered nothing for 900 s: slow down"):
        await gateway.ask(endpoint, HELLO)
    assert gateway.now() - start == pytest.approx(900, abs=60)


# ---------------------------------------------------------------- money


@pytest.mark.parametrize(
    ("prices", "usage", "cost"),
    [
        (Price(3.0, 15.0), Usage(tokens_in=1_000, tokens_out=500), 0.0105),
        (Price(3.0, 15.0, 0.04), Usage(tokens_in=1_000, tokens_out=0, images=2), 0.083),
        (Price(image=0.04), Usage(tokens_in=1_000, tokens_out=500, images=1), 0.04),
        (Price(3.0, 15.0), Usage(tokens_in=1_000, tokens_out=500, cost=0.5), 0.5),
        (Price(0.0, 0.0, 0.0), Usage(tokens_in=1_000, tokens_out=500), 0.0),
        (Price(), Usage(tokens_in=1_000, tokens_out=500, cost=0.5), 0.5),
        (Price(), Usage(tokens_in=1_000, tokens_out=500), None),
    ],
)
async def test_a_call_costs_what_the_provider_says_or_else_what_the_prices_say(
    store: Store, prices: Price, usage: Usage, cost: float | None
) -> None:
    gateway = gateway_of(store)
    endpoint = endpoint_of(gateway, Model(Response(text="Hi.", usage=usage)), prices=prices)
    for _ in range(2):
        asked = await gateway.ask(endpoint, HELLO)
        assert asked.response.usage.cost == (None if cost is None else pytest.approx(cost))
    assert gateway.budget.spent == endpoint.counts.cost == pytest.approx(cost or 0)
    assert endpoint.counts.unpriced == (cost is None)
    counts = endpoint.counts
    assert (counts.tokens_in, counts.tokens_out, counts.images) == (usage.tokens_in, usage.tokens_out, usage.images)


@pytest.mark.parametrize(
    ("kind", "prices", "usage", "sent"),
    [
        ("image", Price(image=1.0), Usage(images=1), 3),
        ("chat", Price(tokens_out=10_000.0), Usage(tokens_in=0, tokens_out=100), 3),
        ("chat", Price(tokens_out=10_000.0), Usage(tokens_in=0, tokens_out=10), 26),
    ],
    ids=["images", "texts as long as allowed", "texts that turn out short"],
)
async def test_calls_at_the_same_time_stay_within_the_budget_and_use_it(
    store: Store, kind: Kind, prices: Price, usage: Usage, sent: int
) -> None:
    gateway, model = gateway_of(store, budget=3.55), Model(Response(text="x", usage=usage))
    endpoint = endpoint_of(gateway, model, most=30, prices=prices)
    async with asking(
        gateway, endpoint, *(Request(kind=kind, parts=(Text(str(n)),), max_tokens=100) for n in range(40))
    ) as results:
        pass
    assert len(model.calls) == sent
    assert [type(one) for one in results].count(BudgetSpent) == 40 - sent
    assert gateway.budget.spent <= 3.55
    assert endpoint.counts.failed == 0


async def test_a_call_that_failed_costs_nothing_and_leaves_its_money_to_the_next(store: Store) -> None:
    gateway = gateway_of(store, budget=1.0)
    endpoint = endpoint_of(
        gateway, Model(Rejected("no"), Response(images=(PICTURE,), usage=Usage(images=1))), prices=Price(image=1.0)
    )
    with pytest.raises(Rejected):
        await gateway.ask(endpoint, Request(kind="image", parts=(Text("a"),)))
    assert gateway.budget.spent == 0
    await gateway.ask(endpoint, Request(kind="image", parts=(Text("b"),)))
    assert gateway.budget.spent == 1.0


async def test_an_empty_answer_is_kept_where_the_budget_allows_no_second_try(store: Store) -> None:
    gateway, model = gateway_of(store, budget=0.025), Model(Response(usage=Usage(tokens_in=10, tokens_out=0, cost=0.02)))
    asked = await gateway.ask(endpoint_of(gateway, model, prices=Price(0.0, 200.0)), HELLO)
    assert asked.response.missing == "empty answer"
    assert gateway.budget.spent == pytest.approx(0.02)
