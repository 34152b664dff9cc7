"""Models on several devices: who has them next, so that all are done soon."""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from unisafe_cache import Row, Store
from unisafe_judger import Judge, load_rubrics
from unisafe_providers.base import Capabilities, DeviceStatus, Limits, Request, Response, Text, Usage
from virtual_time import VirtualTime

from benchmarks.devices import find_lower_bound
from unisafe_async.benchmark import open_dataset
from unisafe_async.gateway import AdaptiveConcurrency, Budget, Endpoint, Gateway, RateLimits
from unisafe_async.run.devices import Devices
from unisafe_async.run.lanes import Lane
from unisafe_async.run.panel import Panel, PanelMember
from unisafe_async.run.scheduler import Pipeline
from unisafe_async.run.turns import Turn, choose_next, estimate_work
from unisafe_async.screens.progress import describe_wait
from unisafe_async.simulate.simulated import Profile, Simulated

ITEMS = 3
LONGEST_OVER_BOUND = 1.10


def gpus(*numbers: int) -> frozenset[str]:
    return frozenset(f"cuda:{number}" for number in numbers)


def play(turns: Sequence[Turn], takes: dict[str, float]) -> tuple[float, list[str]]:
    """When all are done that begin as `choose_next` says and take so long in truth, and the order in which they began."""
    waiting, free, running, time = list(turns), set().union(*(turn.devices for turn in turns)), list[tuple[float, str]](), 0.0
    by_name, began = {turn.name: turn for turn in turns}, list[str]()
    while waiting or running:
        for turn in choose_next(waiting, free):
            assert turn.devices <= free, "nobody begins on a device that another one has"
            waiting.remove(turn)
            free -= turn.devices
            began.append(turn.name)
            heapq.heappush(running, (time + takes[turn.name], turn.name))
        time, name = heapq.heappop(running)
        free |= by_name[name].devices
    return time, began


def draw_turns(choice: random.Random) -> list[Turn]:
    """Some models of one to eight of eight GPUs that lie side by side, in overlapping sets."""
    turns = []
    for number in range(choice.randint(6, 20)):
        width = choice.choice([1, 1, 1, 1, 2, 2, 4, 8])
        first = choice.randint(0, 8 - width)
        work = choice.choice([choice.uniform(1, 10), choice.lognormvariate(1, 1)])
        turns.append(Turn(name=f"m{number}", devices=gpus(*range(first, first + width)), work=work))
    return turns


def test_all_are_done_within_a_tenth_of_the_lower_bound() -> None:
    choice = random.Random(3)
    for _ in range(150):
        turns = draw_turns(choice)
        took, _ = play(turns, {turn.name: turn.work for turn in turns})
        assert took <= LONGEST_OVER_BOUND * find_lower_bound(turns)


def test_estimates_that_are_wrong_by_half_cost_little() -> None:
    choice, over = random.Random(4), list[float]()
    for _ in range(150):
        turns = draw_turns(choice)
        takes = {turn.name: turn.work * choice.uniform(0.5, 2) for turn in turns}
        true = [Turn(name=turn.name, devices=turn.devices, work=takes[turn.name]) for turn in turns]
        over.append(play(turns, takes)[0] / find_lower_bound(true))
    assert sum(over) / len(over) < 1.05


def test_on_one_device_the_cheapest_to_load_goes_first() -> None:
    turns = [
        Turn(name=name, devices=gpus(0), work=size * 1.1, size=size) for name, size in (("large", 70), ("small", 1), ("mid", 7))
    ]
    assert play(turns, {turn.name: turn.work for turn in turns})[1] == ["small", "mid", "large"]


def test_a_model_over_two_devices_does_not_hold_one_of_them_while_it_waits() -> None:
    turns = [
        Turn(name="over both", devices=gpus(0, 1), work=1.0, size=1),
        Turn(name="long", devices=gpus(1), work=10.0, size=2),
        Turn(name="short", devices=gpus(0), work=2.0, size=3),
    ]
    waiting = turns[2:] + turns[:1]
    assert [turn.name for turn in choose_next(waiting, gpus(0))] == ["short"], "cuda:1 is taken: cuda:0 is put to use meanwhile"
    assert choose_next(turns[:1], gpus(0)) == []
    assert [turn.name for turn in choose_next(turns, gpus(0, 1))] == ["over both"], "both others wait for it"


def test_a_model_of_unknown_size_is_taken_for_the_middle_one() -> None:
    assert estimate_work(10, 0, 0, [1, 0, 7, 70]) == estimate_work(10, 0, 7, [1, 0, 7, 70])
    assert estimate_work(10, 0, 0, [0]) == 10
    assert estimate_work(0, 10, 7, [7]) > estimate_work(10, 0, 7, [7]), "pictures take longer"


# ---------------------------------------------------------------- models that take their turns


class Timed:
    """A model on devices whose answers wait for `wait`; it notes in `held` which devices have a model."""

    capabilities = Capabilities()
    reported = Limits()

    def __init__(self, turn: Turn, held: set[str], wait: Callable[[], Awaitable[None]]) -> None:
        self.identity = f"timed:{turn.name}"
        self.devices = tuple(turn.devices)
        self.size = turn.size
        self.status = DeviceStatus()
        self._held, self._wait = held, wait
        self._loaded = False

    async def __aenter__(self) -> Timed:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def call(self, request: Request) -> Response:
        if not self._loaded:
            assert not self._held & set(self.devices), "two models on one device"
            self._held |= set(self.devices)
            self._loaded = True
        await self._wait()
        return Response(text="An answer.", usage=Usage(tokens_in=1, tokens_out=1))

    async def release(self) -> None:
        if self._loaded:
            self._held -= set(self.devices)
            self._loaded = False

    def withdraw(self) -> None:
        pass


def build_endpoint(name: str, provider: Any) -> Endpoint:
    return Endpoint(
        name=name,
        provider=provider,
        concurrency=AdaptiveConcurrency(4),
        rates=RateLimits(None, None, None, anyio.sleep),
    )


@pytest.mark.parametrize("seed", range(5))
async def test_models_with_overlapping_devices_are_done_within_a_tenth_of_the_lower_bound(seed: int) -> None:
    clock, held, turns = VirtualTime(), set[str](), draw_turns(random.Random(seed))
    devices = Devices(turns)

    async def take_turn(turn: Turn) -> None:
        provider = Timed(turn, held, partial(clock.wait, anyio.Event(), turn.work))
        endpoint = build_endpoint(turn.name, provider)
        await devices.wait_for_turn(endpoint)
        await provider.call(Request(kind="chat", parts=(Text("hello"),)))
        await devices.end_turn(endpoint)

    async with anyio.create_task_group() as group:
        for turn in turns:
            group.start_soon(take_turn, turn)
    assert not held
    assert clock.passed <= LONGEST_OVER_BOUND * find_lower_bound(turns)


async def test_a_model_that_needs_no_turn_is_not_waited_for() -> None:
    turns = [Turn(name=name, devices=gpus(0), work=1.0, size=size) for name, size in (("begun", 1), ("cached", 2), ("last", 3))]
    endpoints = [build_endpoint(turn.name, Timed(turn, set(), anyio.lowlevel.checkpoint)) for turn in turns]
    devices = Devices(turns)
    with anyio.fail_after(10):
        await devices.wait_for_turn(endpoints[0])
        await devices.end_turn(endpoints[1])
        await devices.end_turn(endpoints[0])
        await devices.wait_for_turn(endpoints[2])


async def test_a_model_that_waits_says_for_which_devices_and_who_has_them() -> None:
    needs = {"first": gpus(0, 1), "second": gpus(2, 3), "between": gpus(1, 2), "cached": gpus(0), "cached_2": gpus(3)}
    works = {"cached": 10.0, "cached_2": 10.0}
    turns = [Turn(name=name, devices=of_one, work=works.get(name, 1.0)) for name, of_one in needs.items()]
    endpoints = {turn.name: build_endpoint(turn.name, Timed(turn, set(), anyio.lowlevel.checkpoint)) for turn in turns}
    devices = Devices(turns)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            await devices.wait_for_turn(endpoints["first"])
            group.start_soon(devices.wait_for_turn, endpoints["between"])
            await anyio.wait_all_tasks_blocked()
            assert describe_wait(devices, "between") == "waits for cuda:1, which first has, and for cuda:2, which second has"
            assert {describe_wait(devices, name) for name in ("first", "cached", "hosted")} == {""}
            for name in ("cached", "cached_2", "second"):
                await devices.end_turn(endpoints[name])
            assert describe_wait(devices, "between") == "waits for cuda:1, which first has"
            await devices.end_turn(endpoints["first"])
            assert describe_wait(devices, "between") == ""


async def test_in_a_run_eight_models_have_eight_devices_at_the_same_time(tmp_path: Path) -> None:
    held, all_busy = set[str](), anyio.Event()
    lines = [
        {"id": number, "task": "malicious_text_generation", "category": "Politics", "prompt": f"p{number}", "intention": "To ask."}
        for number in range(ITEMS)
    ]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    async def wait_for_all() -> None:
        if len(held) == 8:
            all_busy.set()
        await all_busy.wait()

    turns = [Turn(name=f"m{number}", devices=gpus(number % 8), work=1.0, size=number) for number in range(16)]
    lanes = [
        Lane(
            endpoint=build_endpoint(turn.name, Timed(turn, held, wait_for_all)),
            tasks=frozenset({"malicious_text_generation"}),
            total=ITEMS,
        )
        for turn in turns
    ]
    judge = build_endpoint("judge", Simulated("judge", Profile(guess=1.0), Capabilities(), judge=True))
    panel = Panel(members=(PanelMember("judge", Judge(load_rubrics(None)), judge),))
    rows: list[Row] = []
    async with Store(tmp_path / "cache.duckdb") as store:
        pipeline = Pipeline(
            gateway=Gateway(store, Budget(None), "run"),
            store=store,
            dataset=open_dataset(str(tmp_path / "items.jsonl")),
            panel=panel,
            lanes=lanes,
            run="run",
            on_row=rows.append,
        )
        with anyio.fail_after(60):
            await pipeline.execute()
    assert len(rows) == 16 * ITEMS
    assert all(row.outcome == "answered" for row in rows), [row.error for row in rows if row.error]
    assert not held
