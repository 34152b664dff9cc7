"""The pipeline: each model's items flow generate -> judge -> row, in bounded memory, each model at its own speed.

    per model:   feeder (reads items, looks them up in the cache) -> trials -> generators
    shared:      questions -> judges -> rows

The judge extracts a trial's intent while the model generates the response; both verdicts are asked for at the same time. A slow
judge slows the generators down through the bounded stream between them; a slow model slows no other model.

Models on this machine take turns on their devices (turns.py) and give them back before the next model loads. If a judge needs a
device of theirs, or of another judge, there are several passes (passes.py): the first one generates, and each later one reads the
items again, finds in the cache what is known of them, and asks the judges whose turn it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from unisafe_cache import Row, Store
from unisafe_cache.batches import find_under_way
from unisafe_providers.base import ProviderError

from unisafe_async.benchmark import Dataset, ItemError
from unisafe_async.gateway import Gateway, NotRun, explain_in_batch, key_of
from unisafe_async.run.asking import Asking
from unisafe_async.run.cache_lookup import judge_from_cache
from unisafe_async.run.devices import Devices, list_turns
from unisafe_async.run.feeding import Feed, PassOn
from unisafe_async.run.judged import Asked
from unisafe_async.run.lanes import Lane
from unisafe_async.run.panel import Panel
from unisafe_async.run.passes import Pass, plan_passes
from unisafe_async.run.remembered import Remembered
from unisafe_async.run.trials import Sampling, Trial

SLACK = 64
"""Workers beyond an endpoint's concurrency, because some wait for the commit of their answer."""

Question = tuple[Trial, Asked]
Questions = MemoryObjectSendStream[Question]


@dataclass(kw_only=True)
class Pipeline:
    """Runs all lanes to the end.

    Args:
        gateway, store, dataset: the only way to the models, the cache for rows, the source of items.
        panel: the judge, or several.
        run: the run's name, in every row.
        repeats: repeats of each item.
        by_batches: asks a model in batch jobs; needed where an endpoint has them.

    Attributes:
        passes: who is asked one after another because of their devices.
        now: the pass under way.
        devices: whose turn it is on the devices of this machine.
    """

    gateway: Gateway
    store: Store
    dataset: Dataset
    panel: Panel
    lanes: Sequence[Lane]
    run: str
    repeats: int = 1
    sampling: Sampling = field(default_factory=Sampling)
    on_row: Callable[[Row], None] | None = None
    by_batches: Callable[[Feed, PassOn], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self._lane_of = {lane.endpoint.name: lane for lane in self.lanes}
        self.devices = Devices(list_turns(self.lanes))
        self._remembered = Remembered()
        self._asking = Asking(gateway=self.gateway, panel=self.panel, remembered=self._remembered)
        self.passes = plan_passes(
            [Devices.of(lane.endpoint.provider) for lane in self.lanes],
            [Devices.of(endpoint.provider) for endpoint in self.panel.endpoints],
            chained=self.panel.mode == "fallback",
        )
        self.now = self.passes[0]

    def feed(self, lane: Lane) -> Feed:
        """The items of one model on their way to it."""
        return Feed(lane=lane, dataset=self.dataset, repeats=self.repeats, sampling=self.sampling, rubric=self.panel.rubric)

    async def execute(self) -> None:
        """Return when every trial has its row, or when the gateway drains and the calls under way are stored.

        A judge may extract an intent that a judge of an earlier pass needs, so the passes are repeated while they bring replies.
        """
        following = list(self.passes)
        while following:
            before = self._asking.replies
            for one in following:
                await self._run_pass(one)
                if self.gateway.draining or not self._is_anything_left():
                    return
            again = len(self.passes) > 1 and self._asking.replies > before
            following = [Pass(generates=False, judges=one.judges) for one in self.passes] if again else []

    def _is_anything_left(self) -> bool:
        return any(lane.done < lane.total for lane in self.lanes)

    async def _run_pass(self, one: Pass) -> None:
        """Ask everybody whose turn it is; before that, judges whose turn is over give their devices back."""
        for position in sorted(self.now.judges - one.judges):
            await self.devices.release(self.panel.members[position].endpoint)
        self._begin_pass(one)
        soon = one.judges | (self.passes[1].judges if one.generates and len(self.passes) > 1 else frozenset())
        width = sum(self.panel.members[position].endpoint.concurrency.max_calls for position in soon) or 1
        send, receive = anyio.create_memory_object_stream[Question](width)
        async with anyio.create_task_group() as judges:
            for _ in range(width + min(SLACK, width)):
                judges.start_soon(self._judge, receive.clone())
            receive.close()
            async with send:
                await self._run_lanes(one, send)

    def _begin_pass(self, one: Pass) -> None:
        self.now, self._asking.judges = one, one.judges

    async def _run_lanes(self, one: Pass, send: Questions) -> None:
        """Run all lanes. While some still generate, the judges of the next pass begin with the others, if devices are free."""
        running = list(self.lanes)

        async def run_lane(lane: Lane) -> None:
            await self._run_lane(lane, send.clone(), one.generates)
            running.remove(lane)
            if one.generates and self._is_next_free(running):
                self._begin_pass(Pass(generates=True, judges=self.passes[1].judges))
                for ended in self.lanes:
                    if ended not in running:
                        lanes.start_soon(self._run_lane, ended, send.clone(), False)

        async with anyio.create_task_group() as lanes:
            for lane in self.lanes:
                lanes.start_soon(run_lane, lane)

    def _is_next_free(self, running: Sequence[Lane]) -> bool:
        """Whether the judges of the next pass can be asked beside the lanes that still generate."""
        if len(self.passes) < 2 or not running or self.gateway.draining or not self.now.judges < self.passes[1].judges:
            return False
        endpoints = [self.panel.members[position].endpoint for position in self.passes[1].judges]
        needed = frozenset[str]().union(*(Devices.of(endpoint.provider) for endpoint in endpoints))
        return not any(needed & Devices.of(lane.endpoint.provider) for lane in running)

    # -------------------------------------------------------- one model

    async def _run_lane(self, lane: Lane, questions: Questions, generates: bool) -> None:
        width = lane.endpoint.concurrency.max_calls
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(questions)
            generators = await stack.enter_async_context(anyio.create_task_group())
            send, receive = anyio.create_memory_object_stream[Trial](width)
            for _ in range(width + min(SLACK, width)):
                generators.start_soon(self._generate, lane, receive.clone(), questions.clone())
            receive.close()
            async with send:
                await self._feed(lane, send, generates)
        if generates:
            await self.devices.end_turn(lane.endpoint)

    async def _feed(self, lane: Lane, send: MemoryObjectSendStream[Trial], generates: bool) -> None:
        """Read items, write rows for trials that the cache completes, and pass on the others."""

        async def pass_on(trials: Sequence[Trial]) -> None:
            if not generates:
                trials = self._recall(trials)
            await self._pass_on(lane, trials, send, waiting, generates)

        feed, identity, waiting = self.feed(lane), lane.endpoint.provider.identity, dict[str, str]()
        if lane.endpoint.batching is None and generates:
            waiting = await self.store.query(lambda connection: find_under_way(connection, identity))

        if lane.endpoint.batching is not None and generates:
            assert self.by_batches is not None
            await self.by_batches(feed, pass_on)
            return
        for chunk in feed.chunks():
            await pass_on([trial for _, trial in await feed.build_trials(chunk)])
            if self.gateway.draining:
                return

    def _recall(self, trials: Sequence[Trial]) -> list[Trial]:
        """Those without a row yet, with what an earlier pass knows of them."""
        left = [trial for trial in trials if not self._remembered.is_finished(trial)]
        for trial in left:
            self._remembered.recall(trial, self.panel)
        return left

    async def _pass_on(
        self,
        lane: Lane,
        trials: Sequence[Trial],
        send: MemoryObjectSendStream[Trial],
        waiting: Mapping[str, str],
        generates: bool,
    ) -> None:
        """Write rows for trials that the cache completes, and send on the others, except those `waiting` in a batch job."""
        await judge_from_cache(trials, self.gateway, self.panel)
        _refuse_paid_twice(trials, waiting)
        if generates:
            lane.generated += sum(trial.answer is not None for trial in trials)
        await self._finish(lane, [trial for trial in trials if trial.is_decided(self.panel)])
        for trial in trials:
            if self.gateway.draining:
                return
            if self._is_due(lane, trial, generates) and not self.gateway.budget.exhausted:
                await send.send(trial)

    def _is_due(self, lane: Lane, trial: Trial, generates: bool) -> bool:
        """Whether anything is to be asked for the trial `trial` now; batch jobs ask the model themselves."""
        if trial.is_decided(self.panel):
            return False
        if trial.answer is None:
            return generates and lane.endpoint.batching is None
        return self._asking.find_due(trial)

    async def _generate(self, lane: Lane, trials: MemoryObjectReceiveStream[Trial], questions: Questions) -> None:
        async with trials, questions:
            async for trial in trials:
                try:
                    await self._generate_one(lane, trial, questions)
                except NotRun:
                    continue

    async def _answer(self, lane: Lane, trial: Trial) -> None:
        await self.devices.wait_for_turn(lane.endpoint)
        asked = await self.gateway.ask(lane.endpoint, trial.request, looked_up=trial.looked_up)
        if not asked.cached:
            self._remembered.note_called(trial)
        trial.answer = asked.answer
        lane.generated += 1

    async def _generate_one(self, lane: Lane, trial: Trial, questions: Questions) -> None:
        try:
            await self.feed(lane).verify(trial)
            if self._asking.can_extract(trial) and lane.endpoint.find_stop(trial.request) is None:
                await questions.send((trial, "intent"))
            if trial.answer is None:
                await self._answer(lane, trial)
        except (ProviderError, ItemError, OSError) as error:
            _fail(trial, error)
            await self._finish(lane, [trial])
            return
        await self._finish_if_decided(trial)
        for question in self._asking.claim(trial):
            await questions.send((trial, question))

    # -------------------------------------------------------- the judge

    async def _judge(self, questions: MemoryObjectReceiveStream[Question]) -> None:
        async with questions:
            async for trial, asked in questions:
                try:
                    await self._asking.ask(trial, asked)
                    await self._finish_if_decided(trial)
                except NotRun:
                    continue

    async def _finish_if_decided(self, trial: Trial) -> None:
        if trial.is_decided(self.panel):
            await self._finish(self._lane_of[trial.endpoint.name], [trial])

    # -------------------------------------------------------- rows

    async def _finish(self, lane: Lane, trials: Sequence[Trial]) -> None:
        """Write the rows of some trials, each once: a trial may fail while its intent is being asked for, or be read again."""
        trials = [trial for trial in trials if not trial.finished and not self._remembered.is_finished(trial)]
        if not trials:
            return
        for trial in trials:
            trial.finished = True
            self._remembered.note_finished(trial)
        rows = [trial.build_row(self.run, self.panel) for trial in trials]
        await self.store.add_rows(rows, [vote for trial in trials for vote in trial.build_votes(self.run, self.panel)])
        for row in rows:
            lane.done += 1
            lane.cached += row.cached
            lane.failed += row.outcome == "failed"
            lane.unjudged += not row.valid and row.outcome != "failed"
            if self.on_row is not None:
                self.on_row(row)


def _refuse_paid_twice(trials: Sequence[Trial], waiting: Mapping[str, str]) -> None:
    """If a batch job has paid for a request, fail its item rather than pay again."""
    for trial in trials if waiting else ():
        batch = waiting.get(key_of(trial.endpoint.provider.identity, trial.request))
        if batch is not None and trial.answer is None and trial.error is None:
            trial.error = explain_in_batch(batch)


def _fail(trial: Trial, error: Exception) -> None:
    """Note that the model gave no answer for the trial `trial`; a partial answer is kept."""
    trial.error = str(error)
    trial.kept = error.kept if isinstance(error, ProviderError) else None
