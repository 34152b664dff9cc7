"""The pipeline: each model's items flow generate -> judge -> row, in bounded memory, each model at its own speed.

    per model:   feeder (reads items, replays the cache) -> jobs -> generators
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
from unisafe_cache.batches import under_way
from unisafe_judger import NoIntent, has_intent, readable, verdict_of
from unisafe_providers.base import ProviderError, Request, Response

from unisafe_async.benchmark import Dataset, ItemError
from unisafe_async.gateway import Gateway, NotRun, in_batch, key_of
from unisafe_async.run.devices import Devices
from unisafe_async.run.feeding import Feed, PassOn
from unisafe_async.run.jobs import Job, Sampling
from unisafe_async.run.judged import WITH_INTENT
from unisafe_async.run.judged import Question as Verdicts
from unisafe_async.run.jury import Jury
from unisafe_async.run.lanes import Lane
from unisafe_async.run.replay import replay, replay_answers

SLACK = 64
"""Workers beyond an endpoint's concurrency, because some wait for the commit of their answer."""

Question = tuple[Job, Literal["intent"] | Verdicts]
Questions = MemoryObjectSendStream[Question]


@dataclass
class Pipeline:
    """Runs all lanes to the end.

    Args:
        gateway, store, dataset: the door to the models, the cache for rows, the source of items.
        jury: the judge, or several.
        run: the run's name, in every row.
        samples: repeats of each item.
        by_batches: asks a model in batch jobs; needed where an endpoint has them.
    """

    gateway: Gateway
    store: Store
    dataset: Dataset
    jury: Jury
    lanes: Sequence[Lane]
    run: str
    samples: int = 1
    sampling: Sampling = field(default_factory=Sampling)
    on_row: Callable[[Row], None] | None = None
    by_batches: Callable[[Feed, PassOn], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self._lane_of = {lane.endpoint.name: lane for lane in self.lanes}
        self._devices = Devices()
        self._failures: dict[tuple[str, str, int], tuple[str, int | None]] = {}
        judging = frozenset[str]().union(*(Devices.of(endpoint.provider) for endpoint in self.jury.endpoints))
        self.judged_last = any(judging & Devices.of(lane.endpoint.provider) for lane in self.lanes)
        self.judging_now = not self.judged_last

    def feed(self, lane: Lane) -> Feed:
        """The items of one model on their way to it."""
        return Feed(lane, self.dataset, self.samples, self.sampling, self.jury.rubric)

    async def execute(self) -> None:
        """Return when every trial has its row, or when the gateway drains and the calls under way are stored."""
        if self.judged_last:
            await self._run_lanes(None)
            if self.gateway.draining:
                return
            self.judging_now = True
        width = self.jury.width
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
        width = lane.endpoint.concurrency.most
        async with AsyncExitStack() as stack:
            if questions is not None:
                await stack.enter_async_context(questions)
            await stack.enter_async_context(self._devices.turn(lane.endpoint.provider))
            generators = await stack.enter_async_context(anyio.create_task_group())
            send, receive = anyio.create_memory_object_stream[Job](width)
            for _ in range(width + min(SLACK, width)):
                generators.start_soon(self._generate, lane, receive.clone(), questions.clone() if questions else None)
            receive.close()
            async with send:
                await self._feed(lane, send, judged=questions is not None)
        lane.finished = questions is not None

    async def _feed(self, lane: Lane, send: MemoryObjectSendStream[Job], *, judged: bool) -> None:
        """Read items, write rows for trials that the cache completes, and pass on the others."""

        async def pass_on(jobs: Sequence[Job]) -> None:
            await self._pass_on(lane, jobs, send, waiting, judged=judged)

        feed, identity, waiting = self.feed(lane), lane.endpoint.provider.identity, dict[str, str]()
        if lane.endpoint.jobs is None:
            waiting = await self.store.query(lambda connection: under_way(connection, identity))

        if lane.endpoint.jobs is not None and not (judged and self.judged_last):
            assert self.by_batches is not None
            await self.by_batches(feed, pass_on)
            return
        for chunk in feed.chunks():
            await pass_on([job for _, job in await feed.prepare(chunk)])
            if self.gateway.draining:
                return

    async def _pass_on(
        self, lane: Lane, jobs: Sequence[Job], send: MemoryObjectSendStream[Job], waiting: Mapping[str, str], *, judged: bool
    ) -> None:
        """Write rows for trials that the cache completes, and send on the others, except those `waiting` in a batch job."""
        if not judged:
            await replay_answers(jobs, self.gateway)
            _not_twice(jobs, waiting)
            self._failures |= {_place(job): (job.error, job.kept) for job in jobs if job.error is not None}
            lane.generated += sum(job.answer is not None for job in jobs)
        else:
            for job in jobs:
                if job.error is None:
                    job.error, job.kept = self._failures.get(_place(job), (None, None))
            await replay(jobs, self.gateway, self.jury)
            _not_twice(jobs, waiting)
            await self._finish(lane, [job for job in jobs if job.decided(self.jury)])
        for job in jobs:
            if self.gateway.draining:
                return
            if self._due(lane, job, judged) and not self.gateway.budget.exhausted:
                await send.send(job)

    def _due(self, lane: Lane, job: Job, judged: bool) -> bool:
        """Whether anything is to be asked for the trial `job` in this pass; batch jobs ask the model themselves."""
        if not judged:
            return job.answer is None and job.error is None and lane.endpoint.jobs is None
        return not job.decided(self.jury) and (job.answer is not None or not (self.judged_last or lane.endpoint.jobs))

    async def _generate(self, lane: Lane, jobs: MemoryObjectReceiveStream[Job], questions: Questions | None) -> None:
        async with jobs, questions or nullcontext():
            async for job in jobs:
                try:
                    if questions is None:
                        await self._answer_only(lane, job)
                    else:
                        await self._generate_one(lane, job, questions)
                except NotRun:
                    continue

    async def _answer_only(self, lane: Lane, job: Job) -> None:
        """Get the answer into the cache, for the pass that judges; remember an error for that pass."""
        try:
            await self.feed(lane).verify(job)
            await self._answered(lane, job)
            lane.generated += 1
        except (ProviderError, ItemError, OSError) as error:
            _fail(job, error)
            self._failures[_place(job)] = (str(error), job.kept)

    async def _answered(self, lane: Lane, job: Job) -> None:
        asked = await self.gateway.ask(lane.endpoint, job.request, looked_up=job.looked_up)
        job.called |= not asked.cached
        job.answer = asked.answer

    async def _generate_one(self, lane: Lane, job: Job, questions: Questions) -> None:
        try:
            await self.feed(lane).verify(job)
            if job.lacks_intent(self.jury) and lane.endpoint.stopped_by(job.request) is None:
                await questions.send((job, "intent"))
            if job.answer is None:
                await self._answered(lane, job)
        except (ProviderError, ItemError, OSError) as error:
            _fail(job, error)
            await self._finish(lane, [job])
            return
        await self._finish_if_decided(job)
        for question in job.claim(self.jury):
            await questions.send((job, question))

    # -------------------------------------------------------- the judge

    async def _judge(self, questions: MemoryObjectReceiveStream[Question]) -> None:
        async with questions:
            async for job, question in questions:
                try:
                    await self._judge_one(job, question)
                except NotRun:
                    continue

    async def _judge_one(self, job: Job, question: Literal["intent"] | Verdicts) -> None:
        if job.error is not None:
            return
        if question == "intent":
            await self._extract(job)
            for waiting in job.claim(self.jury, WITH_INTENT):
                await self._decide(job, waiting)
        else:
            await self._decide(job, question)
        await self._finish_if_decided(job)

    async def _extract(self, job: Job) -> None:
        """Get the intent from the first extractor that finds one; without an intent, note the contextual verdict that follows."""
        for position in job.extractors(self.jury):
            try:
                ask = partial(self._asked, job, position, lambda _, response: has_intent(response))
                job.intent = await self.jury.rubric.intent(ask, job.intent_request)
                return
            except NoIntent as missing:
                job.misses_intent(self.jury, position, missing.verdict)

    async def _decide(self, job: Job, question: Verdicts) -> None:
        """Ask the judges, one after another in a chain and all at once in a panel, until there is a verdict."""
        while asks := job.asks(self.jury, question):
            if len(asks) == 1:
                await self._hear(job, question, *asks[0])
                continue
            held: list[NotRun] = []

            async def heard(position: int, request: Request, held: list[NotRun] = held) -> None:
                try:
                    await self._hear(job, question, position, request)
                except NotRun as reason:
                    held.append(reason)

            async with anyio.create_task_group() as panel:
                for ask in asks:
                    panel.start_soon(heard, *ask)
            if held:
                raise held[0]

    async def _hear(self, job: Job, question: Verdicts, position: int, request: Request) -> None:
        judge = self.jury.seats[position].judge
        verdict = await verdict_of(judge, partial(self._asked, job, position, partial(readable, judge)), request)
        job.hears(self.jury, question, position, verdict)

    async def _asked(self, job: Job, position: int, usable: Callable[[Request, Response], bool], request: Request) -> Response:
        """A judge's reply; if a reply from an earlier run is not `usable`, the judge is asked again."""
        asked = await self.gateway.ask(self.jury.seats[position].endpoint, request, usable=partial(usable, request))
        job.called |= not asked.cached
        return asked.response

    async def _finish_if_decided(self, job: Job) -> None:
        if job.decided(self.jury):
            await self._finish(self._lane_of[job.endpoint.name], [job])

    # -------------------------------------------------------- rows

    async def _finish(self, lane: Lane, jobs: Sequence[Job]) -> None:
        """Write the rows of the trials `jobs`, each once: a trial may fail while its intent is still being asked for."""
        jobs = [job for job in jobs if not job.finished]
        if not jobs:
            return
        for job in jobs:
            job.finished = True
        rows = [job.row(self.run, self.jury) for job in jobs]
        await self.store.add_rows(rows, [opinion for job in jobs for opinion in job.opinions(self.run, self.jury)])
        for row in rows:
            lane.done += 1
            lane.cached += row.cached
            lane.failed += row.outcome == "failed"
            lane.unjudged += not row.valid and row.outcome != "failed"
            if self.on_row is not None:
                self.on_row(row)


def _not_twice(jobs: Sequence[Job], waiting: Mapping[str, str]) -> None:
    """If a batch job has paid for a request, fail its item rather than pay again."""
    for job in jobs if waiting else ():
        batch = waiting.get(key_of(job.endpoint.provider.identity, job.request))
        if batch is not None and job.answer is None and job.error is None:
            job.error = in_batch(batch)


def _fail(job: Job, error: Exception) -> None:
    """Note that the model gave no answer for the trial `job`; a partial answer is kept."""
    job.error = str(error)
    job.kept = error.kept if isinstance(error, ProviderError) else None


def _place(job: Job) -> tuple[str, str, int]:
    return job.endpoint.name, job.item.name, job.sample
