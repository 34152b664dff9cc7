"""The pipeline: each model's items flow generate -> judge -> row, in bounded memory, each model at its own speed.

    per model:   feeder (reads items, looks them up in the cache) -> trials -> generators
    shared:      questions -> judges -> rows

The judge extracts a trial's intent while the model generates the response; both verdicts are asked for at the same time. A slow
judge slows the generators down through the bounded stream between them; a slow model slows no other model.

Models on this machine take turns on their devices, the cheapest to load first, and give the device back before the next model
loads (devices.py). If the judge needs a device of theirs, all models generate first and the judge judges in a second pass.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from unisafe_cache import Row, Store
from unisafe_cache.batches import find_under_way
from unisafe_judger import NoIntent, has_intent, readable, verdict_of
from unisafe_providers.base import ProviderError, Request, Response

from unisafe_async.benchmark import Dataset, ItemError
from unisafe_async.gateway import Gateway, NotRun, explain_in_batch, key_of
from unisafe_async.run.cache_lookup import answer_from_cache, judge_from_cache
from unisafe_async.run.devices import Devices
from unisafe_async.run.feeding import Feed, PassOn
from unisafe_async.run.judged import WITH_INTENT
from unisafe_async.run.judged import Question as Verdicts
from unisafe_async.run.lanes import Lane
from unisafe_async.run.panel import Panel
from unisafe_async.run.trials import Sampling, Trial

SLACK = 64
"""Workers beyond an endpoint's concurrency, because some wait for the commit of their answer."""

Question = tuple[Trial, Literal["intent"] | Verdicts]
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
        self._devices = Devices()
        self._failures: dict[tuple[str, str, int], tuple[str, int | None]] = {}
        judging = frozenset[str]().union(*(Devices.of(endpoint.provider) for endpoint in self.panel.endpoints))
        self.judged_last = any(judging & Devices.of(lane.endpoint.provider) for lane in self.lanes)
        self.judging_now = not self.judged_last

    def feed(self, lane: Lane) -> Feed:
        """The items of one model on their way to it."""
        return Feed(lane=lane, dataset=self.dataset, repeats=self.repeats, sampling=self.sampling, rubric=self.panel.rubric)

    async def execute(self) -> None:
        """Return when every trial has its row, or when the gateway drains and the calls under way are stored."""
        if self.judged_last:
            await self._run_lanes(None)
            if self.gateway.draining:
                return
            self.judging_now = True
        width = self.panel.width
        send, receive = anyio.create_memory_object_stream[Question](width)
        async with anyio.create_task_group() as judges:
            for _ in range(width + min(SLACK, width)):
                judges.start_soon(self._judge, receive.clone())
            receive.close()
            async with send:
                await self._run_lanes(send)

    async def _run_lanes(self, questions: Questions | None) -> None:
        """Run every model's items; without `questions` they are answered and not judged."""
        async with anyio.create_task_group() as models:
            for lane in sorted(self.lanes, key=lambda lane: Devices.load_cost(lane.endpoint.provider)):
                models.start_soon(self._run_lane, lane, questions.clone() if questions else None)

    # -------------------------------------------------------- one model

    async def _run_lane(self, lane: Lane, questions: Questions | None) -> None:
        width = lane.endpoint.concurrency.max_calls
        async with AsyncExitStack() as stack:
            if questions is not None:
                await stack.enter_async_context(questions)
            await stack.enter_async_context(self._devices.turn(lane.endpoint.provider))
            generators = await stack.enter_async_context(anyio.create_task_group())
            send, receive = anyio.create_memory_object_stream[Trial](width)
            for _ in range(width + min(SLACK, width)):
                generators.start_soon(self._generate, lane, receive.clone(), questions.clone() if questions else None)
            receive.close()
            async with send:
                await self._feed(lane, send, judged=questions is not None)
        lane.finished = questions is not None

    async def _feed(self, lane: Lane, send: MemoryObjectSendStream[Trial], *, judged: bool) -> None:
        """Read items, write rows for trials that the cache completes, and pass on the others."""

        async def pass_on(trials: Sequence[Trial]) -> None:
            await self._pass_on(lane, trials, send, waiting, judged=judged)

        feed, identity, waiting = self.feed(lane), lane.endpoint.provider.identity, dict[str, str]()
        if lane.endpoint.batching is None:
            waiting = await self.store.query(lambda connection: find_under_way(connection, identity))

        if lane.endpoint.batching is not None and not (judged and self.judged_last):
            assert self.by_batches is not None
            await self.by_batches(feed, pass_on)
            return
        for chunk in feed.chunks():
            await pass_on([trial for _, trial in await feed.build_trials(chunk)])
            if self.gateway.draining:
                return

    async def _pass_on(
        self, lane: Lane, trials: Sequence[Trial], send: MemoryObjectSendStream[Trial], waiting: Mapping[str, str], *, judged: bool
    ) -> None:
        """Write rows for trials that the cache completes, and send on the others, except those `waiting` in a batch job."""
        if not judged:
            await answer_from_cache(trials, self.gateway)
            _refuse_paid_twice(trials, waiting)
            self._failures |= {_place(trial): (trial.error, trial.kept) for trial in trials if trial.error is not None}
            lane.generated += sum(trial.answer is not None for trial in trials)
        else:
            for trial in trials:
                if trial.error is None:
                    trial.error, trial.kept = self._failures.get(_place(trial), (None, None))
            await judge_from_cache(trials, self.gateway, self.panel)
            _refuse_paid_twice(trials, waiting)
            await self._finish(lane, [trial for trial in trials if trial.is_decided(self.panel)])
        for trial in trials:
            if self.gateway.draining:
                return
            if self._is_due(lane, trial, judged) and not self.gateway.budget.exhausted:
                await send.send(trial)

    def _is_due(self, lane: Lane, trial: Trial, judged: bool) -> bool:
        """Whether anything is to be asked for the trial `trial` in this pass; batch jobs ask the model themselves."""
        if not judged:
            return trial.answer is None and trial.error is None and lane.endpoint.batching is None
        return not trial.is_decided(self.panel) and (trial.answer is not None or not (self.judged_last or lane.endpoint.batching))

    async def _generate(self, lane: Lane, trials: MemoryObjectReceiveStream[Trial], questions: Questions | None) -> None:
        async with trials, questions or nullcontext():
            async for trial in trials:
                try:
                    if questions is None:
                        await self._answer_alone(lane, trial)
                    else:
                        await self._generate_one(lane, trial, questions)
                except NotRun:
                    continue

    async def _answer_alone(self, lane: Lane, trial: Trial) -> None:
        """Get the answer into the cache, for the pass that judges; remember an error for that pass."""
        try:
            await self.feed(lane).verify(trial)
            await self._answer(lane, trial)
            lane.generated += 1
        except (ProviderError, ItemError, OSError) as error:
            _fail(trial, error)
            self._failures[_place(trial)] = (str(error), trial.kept)

    async def _answer(self, lane: Lane, trial: Trial) -> None:
        asked = await self.gateway.ask(lane.endpoint, trial.request, looked_up=trial.looked_up)
        trial.called |= not asked.cached
        trial.answer = asked.answer

    async def _generate_one(self, lane: Lane, trial: Trial, questions: Questions) -> None:
        try:
            await self.feed(lane).verify(trial)
            if trial.needs_intent(self.panel) and lane.endpoint.find_stop(trial.request) is None:
                await questions.send((trial, "intent"))
            if trial.answer is None:
                await self._answer(lane, trial)
        except (ProviderError, ItemError, OSError) as error:
            _fail(trial, error)
            await self._finish(lane, [trial])
            return
        await self._finish_if_decided(trial)
        for question in trial.claim(self.panel):
            await questions.send((trial, question))

    # -------------------------------------------------------- the judge

    async def _judge(self, questions: MemoryObjectReceiveStream[Question]) -> None:
        async with questions:
            async for trial, question in questions:
                try:
                    await self._judge_one(trial, question)
                except NotRun:
                    continue

    async def _judge_one(self, trial: Trial, question: Literal["intent"] | Verdicts) -> None:
        if trial.error is not None:
            return
        if question == "intent":
            await self._extract(trial)
            for waiting in trial.claim(self.panel, WITH_INTENT):
                await self._decide(trial, waiting)
        else:
            await self._decide(trial, question)
        await self._finish_if_decided(trial)

    async def _extract(self, trial: Trial) -> None:
        """Get the intent from the first extractor that finds one; without an intent, note the contextual verdict that follows."""
        for position in trial.find_extractors(self.panel):
            try:
                ask = partial(self._ask, trial, position, lambda _, response: has_intent(response))
                trial.intent = await self.panel.rubric.intent(ask, trial.intent_request)
                return
            except NoIntent as missing:
                trial.note_no_intent(self.panel, position, missing.verdict)

    async def _decide(self, trial: Trial, question: Verdicts) -> None:
        """Ask the judges, one after another in a chain and all at once in a panel, until there is a verdict."""
        while asks := trial.find_requests(self.panel, question):
            if len(asks) == 1:
                await self._hear(trial, question, *asks[0])
                continue
            held: list[NotRun] = []

            async def take_reply(position: int, request: Request, held: list[NotRun] = held) -> None:
                try:
                    await self._hear(trial, question, position, request)
                except NotRun as reason:
                    held.append(reason)

            async with anyio.create_task_group() as panel:
                for ask in asks:
                    panel.start_soon(take_reply, *ask)
            if held:
                raise held[0]

    async def _hear(self, trial: Trial, question: Verdicts, position: int, request: Request) -> None:
        judge = self.panel.members[position].judge
        verdict = await verdict_of(judge, partial(self._ask, trial, position, partial(readable, judge)), request)
        trial.note_reply(self.panel, question, position, verdict)

    async def _ask(self, trial: Trial, position: int, usable: Callable[[Request, Response], bool], request: Request) -> Response:
        """A judge's reply; if a reply from an earlier run is not `usable`, the judge is asked again."""
        asked = await self.gateway.ask(self.panel.members[position].endpoint, request, usable=partial(usable, request))
        trial.called |= not asked.cached
        return asked.response

    async def _finish_if_decided(self, trial: Trial) -> None:
        if trial.is_decided(self.panel):
            await self._finish(self._lane_of[trial.endpoint.name], [trial])

    # -------------------------------------------------------- rows

    async def _finish(self, lane: Lane, trials: Sequence[Trial]) -> None:
        """Write the rows of the trials `trials`, each once: a trial may fail while its intent is still being asked for."""
        trials = [trial for trial in trials if not trial.finished]
        if not trials:
            return
        for trial in trials:
            trial.finished = True
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


def _place(trial: Trial) -> tuple[str, str, int]:
    return trial.endpoint.name, trial.item.name, trial.repeat
