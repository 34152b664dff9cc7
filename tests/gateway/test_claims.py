"""One call a question and cache, whoever runs beside: the claim ends with the answer, a failure, or the one who has it."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Thread

import anyio
import pytest
from anyio import to_thread
from unisafe_cache import Store, read_file
from unisafe_cache.batches import BatchRecord, begin_batch
from unisafe_cache.claims import Claims
from unisafe_providers import ProviderError, Rejected, Request, Response, Text
from virtual_time import VirtualTime

from tests.gateway.models import PICTURE, Told, endpoint_of
from unisafe_async.gateway import Budget, Clock, Draining, Gateway, key_of

ASK = Request(kind="chat", parts=(Text("a question"),), max_tokens=100)
ANSWER = Response(text="an answer")
OTHER = """
import sys
from pathlib import Path
from unisafe_cache.claims import Claims

claims = Claims.of(Path(sys.argv[1]))
print(all(claims.take(int(place)) for place in sys.argv[2:]), flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def run_on(path: Path, name: str = "run", *, fresh: bool = False, clock: Clock | None = None) -> AsyncIterator[Gateway]:
    """A run with a store of its own, as every process and every `evaluate` has one."""
    async with Store(path / "c.duckdb") as store:
        yield Gateway(store, Budget(None), name, store.ids.next() if fresh else 0, clock or Clock())


@asynccontextmanager
async def another_process(path: Path, *keys: str) -> AsyncIterator[subprocess.Popen[str]]:
    """One that has the claims on `keys` while it lives."""
    places = [str(int(key[:15], 16)) for key in keys]
    command = [sys.executable, "-c", OTHER, str(path / "c.duckdb"), *places]
    process = await to_thread.run_sync(lambda: subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    with process:
        assert process.stdout is not None
        assert await to_thread.run_sync(process.stdout.readline) == "True\n"
        yield process
        process.kill()


class Waiting(Told):
    """A model that answers when it is let."""

    def __init__(self, says: Response | ProviderError = ANSWER) -> None:
        super().__init__(lambda _: says)
        self.asked, self.may = anyio.Event(), anyio.Event()

    async def call(self, request: Request) -> Response:
        self.asked.set()
        await self.may.wait()
        return await super().call(request)


async def test_two_runs_that_want_the_same_at_once_pay_for_it_once(tmp_path: Path) -> None:
    model, got = Waiting(), list[tuple[bool, str]]()

    async def ask(gateway: Gateway, endpoint: object) -> None:
        asked = await gateway.ask(endpoint, ASK, looked_up=gateway.moment)  # type: ignore[arg-type]
        got.append((asked.cached, asked.response.text))

    async with run_on(tmp_path, "one") as one, run_on(tmp_path, "two") as two, anyio.create_task_group() as group:
        first, second = endpoint_of(one, model), endpoint_of(two, model)
        group.start_soon(ask, one, first)
        await model.asked.wait()
        group.start_soon(ask, two, second)
        await anyio.wait_all_tasks_blocked()
        model.may.set()
    assert len(model.calls) == 1
    assert got == [(False, "an answer"), (True, "an answer")]
    assert (first.shared, second.shared) == (0, 1)


async def test_what_another_run_brought_since_the_look_up_is_not_paid_for_again(tmp_path: Path) -> None:
    model = Told(lambda _: ANSWER)
    async with run_on(tmp_path, "one") as one, run_on(tmp_path, "two") as two:
        moment = two.moment
        assert await two.look_up([key_of(model.identity, ASK)]) == {}
        await one.ask(endpoint_of(one, model), ASK)
        asked = await two.ask(endpoint_of(two, model), ASK, looked_up=moment)
    assert asked.cached
    assert len(model.calls) == 1


async def test_nothing_is_looked_up_twice_where_nobody_else_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = list[int]()
    look_up = Store.look_up
    monkeypatch.setattr(Store, "look_up", lambda self, keys, *more: looked.append(len(keys)) or look_up(self, keys, *more))
    model = Told(lambda _: ANSWER)
    async with run_on(tmp_path) as gateway:
        endpoint = endpoint_of(gateway, model)
        for number in range(5):
            await gateway.ask(endpoint, Request(kind="chat", parts=(Text(f"question {number}"),)), looked_up=gateway.moment)
    assert looked == []


@pytest.mark.parametrize("answer", [ANSWER, Response(text="see", images=(PICTURE,))], ids=["words", "a picture"])
@pytest.mark.parametrize("by", ["a scope", "its task"])
async def test_who_is_cancelled_keeps_the_claim_until_the_paid_answer_is_kept(tmp_path: Path, answer: Response, by: str) -> None:
    model = Waiting(answer)
    async with run_on(tmp_path) as gateway:
        endpoint, scope = endpoint_of(gateway, model), anyio.CancelScope()

        async def ask() -> None:
            with scope:
                await gateway.ask(endpoint, ASK)

        asking = asyncio.create_task(ask())
        await model.asked.wait()
        model.may.set()
        while not endpoint.counts.calls:
            await anyio.lowlevel.checkpoint()
        (scope if by == "a scope" else asking).cancel()
        await asyncio.wait([asking])
        claims = Claims.of(tmp_path / "c.duckdb")
        assert claims.counts == (1, 0), "the answer is in the file by now"
        assert gateway.claiming.take(key_of(model.identity, ASK)), "and the claim is free"
        claims.let_go()
    assert scope.cancelled_caught or asking.cancelled()


async def test_after_a_failure_elsewhere_the_one_who_waited_asks(tmp_path: Path) -> None:
    model, well = Waiting(Rejected("no such thing")), Told(lambda _: ANSWER)
    async with run_on(tmp_path, "one") as one, run_on(tmp_path, "two") as two, anyio.create_task_group() as group:

        async def fails() -> None:
            with pytest.raises(Rejected):
                await one.ask(endpoint_of(one, model), ASK)

        group.start_soon(fails)
        await model.asked.wait()
        group.start_soon(two.ask, endpoint_of(two, well), ASK)
        await anyio.wait_all_tasks_blocked()
        assert well.calls == []
        model.may.set()
    assert (len(model.calls), len(well.calls)) == (1, 1)


async def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    model, held = Told(lambda _: ANSWER), key_of(Told.identity, ASK)
    async with run_on(tmp_path) as gateway, another_process(tmp_path, held) as other, anyio.create_task_group() as group:
        group.start_soon(gateway.ask, endpoint_of(gateway, model), ASK)
        for _ in range(5):
            await anyio.wait_all_tasks_blocked()
        assert model.calls == []
        os.kill(other.pid, signal.SIGKILL)
        await to_thread.run_sync(other.wait)
    assert len(model.calls) == 1


async def test_no_wait_for_another_outlasts_max_wait(tmp_path: Path) -> None:
    model, time = Told(lambda _: ANSWER), VirtualTime()
    async with run_on(tmp_path, clock=time) as gateway, another_process(tmp_path, key_of(Told.identity, ASK)):
        asked = await gateway.ask(endpoint_of(gateway, model, max_wait=20.0), ASK)
    assert not asked.cached
    assert 20.0 <= time.passed < 21.0


async def test_a_wait_for_another_ends_when_the_run_is_asked_to_stop(tmp_path: Path) -> None:
    model = Told(lambda _: ANSWER)
    held = key_of(Told.identity, ASK)
    async with run_on(tmp_path) as gateway, another_process(tmp_path, held), anyio.create_task_group() as group:

        async def drained() -> None:
            with pytest.raises(Draining):
                await gateway.ask(endpoint_of(gateway, model), ASK)

        group.start_soon(drained)
        await anyio.wait_all_tasks_blocked()
        gateway.drain()
    assert model.calls == []


async def test_fresh_answers_and_repeats_are_questions_of_their_own(tmp_path: Path) -> None:
    held, model = key_of(Told.identity, ASK), Told(lambda _: ANSWER)
    async with run_on(tmp_path, fresh=True) as gateway, another_process(tmp_path, held):
        with anyio.fail_after(20):
            assert not (await gateway.ask(endpoint_of(gateway, model), ASK)).cached
            assert not (await gateway.ask(endpoint_of(gateway, model), Request(kind="chat", parts=ASK.parts, sample=1))).cached


async def test_what_another_run_handed_over_in_a_batch_job_meanwhile_is_not_asked_for(tmp_path: Path) -> None:
    model, key = Told(lambda _: ANSWER), key_of(Told.identity, ASK)
    created = datetime.now(UTC).replace(tzinfo=None)
    record = BatchRecord(
        id="job-1", identity=Told.identity, keys=(key,), status="submitting", max_cost=0.0, run="two", created=created
    )
    async with run_on(tmp_path) as gateway, Store(tmp_path / "c.duckdb") as other:
        moment = gateway.moment
        await other.begin_job(partial(begin_batch, record=record, requests=[json.dumps({})], since=0))
        with pytest.raises(Rejected, match="is in the batch job job-1"):
            await gateway.ask(endpoint_of(gateway, model), ASK, looked_up=moment)
    assert model.calls == []


async def test_where_the_file_system_has_no_locks_the_run_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    model = Told(lambda _: ANSWER)
    async with run_on(tmp_path) as gateway:
        assert not (await gateway.ask(endpoint_of(gateway, model), ASK)).cached
        assert gateway.claiming.unsupported == f"{tmp_path} has no locks (No locks available)"


def test_a_claim_from_before_the_locks_gave_out_is_given_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    claims = Claims.of(tmp_path / "c.duckdb")
    assert claims.take(7)
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "lockf", no_locks)
        assert claims.take(8)
        claims.release(8)
    claims.release(7)
    done = subprocess.run(
        [sys.executable, "-c", OTHER, str(tmp_path / "c.duckdb"), "7"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    claims.let_go()
    assert done.stdout == "True\n"


def test_threads_of_one_process_exclude_one_another_too(tmp_path: Path) -> None:
    one, two = Claims.of(tmp_path / "c.duckdb"), Claims.of(tmp_path / "." / "c.duckdb")
    taken = list[bool]()

    def take() -> None:
        taken.extend(two.take(place) for place in (7, 8, 2**60 + 1))

    assert one.take(7)
    thread = Thread(target=take)
    thread.start()
    thread.join()
    one.release(7)
    assert taken == [False, True, True]
    assert one.take(7)
    one.let_go()
    assert not two.take(8)  # who shares them closes the file last, and keeps what it has till then
    two.let_go()


async def test_a_reader_goes_in_beside_a_run_of_its_own_process(tmp_path: Path) -> None:
    model = Told(lambda _: ANSWER)
    async with run_on(tmp_path) as gateway:
        endpoint = endpoint_of(gateway, model)
        for number in range(3):
            await gateway.ask(endpoint, Request(kind="chat", parts=(Text(f"question {number}"),)))
            found = read_file(
                tmp_path / "c.duckdb", lambda connection: connection.execute("SELECT count(*) FROM responses").fetchone()
            )
            assert found == (number + 1,)


async def test_an_answer_whose_picture_is_gone_from_the_cache_is_asked_for_again(tmp_path: Path) -> None:
    model, ask = Told(lambda _: Response(images=(PICTURE,))), Request(kind="image", parts=(Text("a picture"),))
    async with run_on(tmp_path) as gateway:
        await gateway.ask(endpoint_of(gateway, model), ask)
    async with Store(tmp_path / "c.duckdb") as store:
        await store.query(lambda connection: connection.execute("DELETE FROM images"))
    async with run_on(tmp_path) as gateway:
        assert not (await gateway.ask(endpoint_of(gateway, model), ask)).cached
