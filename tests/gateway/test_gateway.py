"""The only door to a model: what it sends, what it does not, and what it does when the model says no. A real store on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from unisafe_cache import Store, read_file
from unisafe_providers.base import (
    Capabilities,
    Limits,
    Misconfigured,
    RateLimited,
    Rejected,
    Request,
    Response,
    Text,
    Transient,
    Usage,
)
from unisafe_providers.prices import Price
from virtual_time import VirtualTime

from unisafe_async.gateway import AdaptiveConcurrency, Budget, BudgetSpent, Clock, Draining, Endpoint, Gateway, RateLimits

ASK = Request(kind="chat", parts=(Text("a question"),), max_tokens=100)


class Scripted:
    """A model that does what the script says, call by call; then it answers."""

    identity = "scripted"
    capabilities = Capabilities()
    reported = Limits()

    def __init__(self, *script: Exception | Response, gate: anyio.Event | None = None) -> None:
        self.script = list(script)
        self.calls = 0
        self.most_at_once = 0
        self.at_once = 0
        self.gate = gate

    async def __aenter__(self) -> Scripted:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def call(self, request: Request) -> Response:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await (self.gate.wait() if self.gate else anyio.lowlevel.checkpoint())
            answer = self.script.pop(0) if self.script else Response(text="an answer", usage=Usage(tokens_in=1000, tokens_out=1000))
        finally:
            self.at_once -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def door(
    path: Path,
    provider: Scripted,
    *,
    budget: float | None = None,
    fresh: bool = False,
    clock: Clock | None = None,
    **options: object,
) -> AsyncIterator[tuple[Gateway, Endpoint]]:
    async with Store(path / "c.duckdb") as store:
        gateway = Gateway(store, Budget(budget), "run", store.ids.next() if fresh else 0, clock or VirtualTime())
        most = int(options.pop("most", 8))  # type: ignore[call-overload]
        yield (
            gateway,
            Endpoint(
                name="m",
                provider=provider,
                concurrency=AdaptiveConcurrency(most),
                rates=RateLimits(None, None, None, gateway.sleep, gateway.now),
                **options,
            ),
        )


async def test_an_answer_is_on_disk_once_it_is_seen_and_is_not_paid_for_again(tmp_path: Path) -> None:
    provider = Scripted()
    async with door(tmp_path, provider, prices=Price(1.0, 2.0)) as (gateway, endpoint):
        asked = await gateway.ask(endpoint, ASK)
        sql = "SELECT text, cost FROM responses"
        stored = await anyio.to_thread.run_sync(lambda: read_file(tmp_path / "c.duckdb", lambda c: c.execute(sql).fetchall()))
    assert stored == [("an answer", pytest.approx(0.003))]
    assert not asked.cached
    async with door(tmp_path, provider) as (gateway, endpoint):
        again = await gateway.ask(endpoint, ASK)
    assert again.cached
    assert again.response.text == "an answer"
    assert provider.calls == 1
    async with door(tmp_path, provider, fresh=True) as (gateway, endpoint):
        assert not (await gateway.ask(endpoint, ASK)).cached


async def test_the_same_call_at_the_same_time_is_made_once(tmp_path: Path) -> None:
    provider = Scripted()
    async with door(tmp_path, provider) as (gateway, endpoint), anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(gateway.ask, endpoint, ASK)
    assert provider.calls == 1


async def test_followers_go_on_when_the_one_who_asked_is_cancelled(tmp_path: Path) -> None:
    provider = Scripted(gate=anyio.Event())
    got: list[str] = []

    async def leader(scope: anyio.CancelScope) -> None:
        with scope:
            await gateway.ask(endpoint, ASK)

    async def follower() -> None:
        got.append((await gateway.ask(endpoint, ASK)).response.text)

    async with door(tmp_path, provider) as (gateway, endpoint), anyio.create_task_group() as group:
        scope = anyio.CancelScope()
        group.start_soon(leader, scope)
        while not provider.calls:
            await anyio.lowlevel.checkpoint()
        group.start_soon(follower)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        assert provider.gate is not None
        provider.gate.set()
    assert got == ["an answer"]


@pytest.mark.parametrize(
    ("script", "calls"),
    [
        ([Transient("dropped")] * 2, 3),
        ([RateLimited("slow down", 0.0)] * 6, 7),
        ([RateLimited("slow down", 0.0), Transient("503")] * 2, 5),
    ],
)
async def test_what_passes_is_tried_again(tmp_path: Path, script: list[Exception], calls: int) -> None:
    """Three tries may fail; waiting for a rate limit is no failure."""
    provider = Scripted(*script)
    async with door(tmp_path, provider, max_tries=3) as (gateway, endpoint):
        assert (await gateway.ask(endpoint, ASK)).response.text == "an answer"
    assert provider.calls == calls


async def test_tries_are_bounded(tmp_path: Path) -> None:
    provider = Scripted(*[Transient("503")] * 9)
    async with door(tmp_path, provider, max_tries=3) as (gateway, endpoint):
        with pytest.raises(Transient, match="gave up after 3 failed tries: 503"):
            await gateway.ask(endpoint, ASK)
    assert provider.calls == 3


async def test_a_request_that_never_works_is_asked_once_and_a_model_that_never_works_is_left_alone(tmp_path: Path) -> None:
    provider = Scripted(Rejected("too long"), Misconfigured("wrong key"))
    async with door(tmp_path, provider) as (gateway, endpoint):
        with pytest.raises(Rejected):
            await gateway.ask(endpoint, ASK)
        for _ in range(3):
            with pytest.raises(Misconfigured, match="wrong key"):
                await gateway.ask(endpoint, ASK)
    assert provider.calls == 2


async def test_nothing_new_is_sent_while_draining_and_what_is_under_way_is_kept(tmp_path: Path) -> None:
    provider = Scripted(gate=anyio.Event())
    got: list[str] = []

    async def one() -> None:
        got.append((await gateway.ask(endpoint, ASK)).response.text)

    async with door(tmp_path, provider) as (gateway, endpoint):
        async with anyio.create_task_group() as group:
            group.start_soon(one)
            while not provider.calls:
                await anyio.lowlevel.checkpoint()
            gateway.drain()
            with pytest.raises(Draining):
                await gateway.ask(endpoint, Request(kind="chat", parts=(Text("another"),)))
            assert provider.gate is not None
            provider.gate.set()
        assert got == ["an answer"]
        assert (await gateway.ask(endpoint, ASK)).cached
    assert provider.calls == 1


async def test_a_long_wait_ends_when_the_run_is_asked_to_stop(tmp_path: Path) -> None:
    provider = Scripted(RateLimited("come back in ten minutes", 600.0))
    caught: list[Exception] = []

    async def one() -> None:
        try:
            await gateway.ask(endpoint, ASK)
        except Draining as error:
            caught.append(error)

    async with door(tmp_path, provider, clock=Clock()) as (gateway, endpoint), anyio.create_task_group() as group:
        group.start_soon(one)
        while not endpoint.rates.blocked_for:
            await anyio.lowlevel.checkpoint()
        gateway.drain()
    assert len(caught) == 1


async def test_the_budget_holds_with_many_calls_at_once(tmp_path: Path) -> None:
    provider = Scripted()
    spent: list[Exception] = []

    async def one(number: int) -> None:
        try:
            await gateway.ask(endpoint, Request(kind="chat", parts=(Text(f"question {number}"),), max_tokens=1000))
        except BudgetSpent as error:
            spent.append(error)

    async with door(tmp_path, provider, budget=0.0105, prices=Price(0.0, 1.0)) as (gateway, endpoint):
        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(one, number)
        assert gateway.budget.spent <= 0.0105
    assert provider.calls == 10
    assert len(spent) == 20


async def test_no_more_calls_at_once_than_the_ceiling(tmp_path: Path) -> None:
    provider = Scripted()
    async with door(tmp_path, provider, most=3) as (gateway, endpoint), anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(gateway.ask, endpoint, Request(kind="chat", parts=(Text(f"question {number}"),)))
    assert provider.most_at_once == 3
