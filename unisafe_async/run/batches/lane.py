"""A model that is asked by batch jobs: requests become jobs, answers go into the cache, and their items go on to the judge.

    items -> what the cache lacks -> jobs at the vendor -> answers in the cache -> the same cache lookup as ever -> the judge

Memory holds keys with their items' places, and the requests of one job at a time. The run reads the whole dataset once when it
begins. After that it reads only items whose answers came or that are sent again.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

from unisafe_cache import Store
from unisafe_providers.base import ProviderError
from unisafe_providers.batching import Batching

from unisafe_async.benchmark import ItemError
from unisafe_async.gateway import BudgetSpent, Draining, Gateway, key_of
from unisafe_async.run.batches.jobs import JobsUnderWay
from unisafe_async.run.batches.next_batch import NextBatch, build_request_name, tag_of
from unisafe_async.run.batches.requests import Requests
from unisafe_async.run.feeding import Feed, PassOn
from unisafe_async.run.trials import Trial

JOB_BYTES = 64 * 1024 * 1024
"""The most bytes of our memory for the requests of one job; a vendor may allow less."""
JITTER = 0.2


@dataclass(kw_only=True)
class BatchLane:
    """One model's items by batch jobs.

    Args:
        feed: the model's items.
        run: the run's name.
        pass_on: takes the jobs whose answers are in the cache, and those that failed.
    """

    feed: Feed
    gateway: Gateway
    store: Store
    run: str
    pass_on: PassOn

    def __post_init__(self) -> None:
        self._endpoint = self.feed.lane.endpoint
        assert isinstance(self._endpoint.provider, Batching)
        assert self._endpoint.batching is not None
        self._provider: Batching = self._endpoint.provider
        self._identity = self._endpoint.provider.identity
        self._poll = self._endpoint.batching.poll
        max_requests = min(self._endpoint.batching.most_requests or self._provider.most_requests, self._provider.most_requests)
        self._most_bytes = min(JOB_BYTES, self._provider.most_bytes)
        self._requests = Requests(counts=self._endpoint.counts, max_tries=self._endpoint.max_tries)
        self._jobs = JobsUnderWay(
            lane=self.feed.lane,
            gateway=self.gateway,
            store=self.store,
            requests=self._requests,
            run=self.run,
            poll=self._poll,
            most_requests=max_requests,
        )
        self._short: float | None = None

    async def execute(self) -> None:
        """Return when every item is passed on, or when the run stops; then the next run collects the jobs under way."""
        try:
            await self._jobs.recall()
            await self._send()
            await self._hand_on(None)
            await self._watch()
            if self._endpoint.stopped is not None:
                await self._hand_on(self._requests.give_up(str(self._endpoint.stopped)))
        except (BudgetSpent, Draining):
            return
        finally:
            self._jobs.let_go()

    async def _watch(self) -> None:
        if self._jobs.under_way and not self._requests.needed:
            await self._jobs.look()  # collect ended jobs, and wait for nothing
        while self._requests.needed and self._endpoint.stopped is None:
            if not self._jobs.under_way and self._short is not None:
                await self._afford(self._short)
            await self.gateway.sleep(self._poll * random.uniform(1 - JITTER, 1 + JITTER))
            await self._jobs.look()
            if self.gateway.draining:
                raise Draining
            if self._requests.settled:  # before new jobs, so that the budget serves the judge first
                await self._hand_on(frozenset(self._requests.settled))
            if self._requests.unsent and not self._jobs.held:
                await self._send()
        if self._requests.settled and self._endpoint.stopped is None:
            await self._hand_on(frozenset(self._requests.settled))

    async def _afford(self, max_cost: float) -> None:
        """Wait until calls under way are settled. Raises BudgetSpent if the budget cannot pay for even one more request."""
        await self.gateway.budget.reserve(max_cost)
        self.gateway.budget.settle(max_cost, 0.0)

    # -------------------------------------------------------- out

    async def _send(self) -> None:
        """Submit requests whose answers the cache lacks: the first time for all items, later for unsent requests."""
        requests, wanted, left, next_batch = self._requests, self._requests.unsent, set[str](), self._start_batch()
        requests.unsent, self._short = left, None
        try:
            for chunk in self.feed.chunks(requests.positions_of(wanted)):
                placed = [
                    (self._key(trial), place, trial) for place, trial in await self.feed.build_trials(chunk) if trial.error is None
                ]
                trials = {key: trial for key, _, trial in placed}
                asked = [key for key in trials if wanted is None or (key in wanted and key not in requests.taken)]
                found = await self.gateway.look_up(asked)
                requests.settled.update(found)
                requests.taken.difference_update(found)
                for key, place, _ in placed if wanted is None else ():
                    if key not in found:
                        requests.add_position(key, place)
                for key in asked:
                    if self.gateway.draining:
                        raise Draining
                    if key in found or key in requests.taken or key in requests.failures:
                        continue
                    if self._short is not None or self._endpoint.stopped is not None or self._jobs.held:
                        left.add(key)
                        continue
                    entry = await self._build_entry(next_batch, key, trials[key])
                    if entry is None:
                        continue
                    if len(next_batch.entries) >= self._jobs.most_requests or next_batch.size + len(entry) + 1 > self._most_bytes:
                        await self._jobs.hand_over(next_batch)
                        next_batch = self._start_batch()
                        entry = await self._build_entry(next_batch, key, trials[key])  # its name belongs to the new job
                        if entry is None:
                            continue
                    if not self.gateway.claiming.take(key):  # another run is asking it now, call by call
                        left.add(key)
                        continue
                    max_cost = self._endpoint.max_cost(trials[key].request)
                    if not self.gateway.budget.try_reserve(max_cost):
                        self._short = max_cost
                        self.gateway.claiming.release(key)
                        left.add(key)
                        continue
                    requests.taken.add(key)
                    next_batch.add(key, trials[key].request.canonical.decode(), entry, max_cost)
            await self._jobs.hand_over(next_batch)
            next_batch = self._start_batch()
        finally:
            self.gateway.budget.settle(next_batch.max_cost, 0.0)
            requests.taken.difference_update(next_batch.keys)
            self.gateway.claiming.release_all(next_batch.keys)

    def _start_batch(self) -> NextBatch:
        return NextBatch(tag=tag_of(self.store.ids.next()))

    def _key(self, trial: Trial) -> str:
        return key_of(self._identity, trial.request)

    async def _build_entry(self, next_batch: NextBatch, key: str, trial: Trial) -> bytes | None:
        """The request as the vendor takes it; None if it cannot be sent."""
        try:
            await self.feed.verify(trial)
            entry = await self._provider.entry(build_request_name(next_batch.tag, key), trial.request)
        except (ProviderError, ItemError, OSError) as error:
            self._requests.fail([key], str(error))
            return None
        if len(entry) + 1 > self._most_bytes:
            self._requests.fail([key], f"the request takes {len(entry):,} bytes, more than a batch job may hold")
            return None
        return entry

    # -------------------------------------------------------- on to the judge

    async def _hand_on(self, keys: Collection[str] | None) -> None:
        """Pass on the trials of `keys`; None, the first time, means all trials that wait for no answer."""
        requests, waiting = self._requests, self._requests.waiting
        for chunk in self.feed.chunks(requests.positions_of(keys)):
            chosen = []
            for _, trial in await self.feed.build_trials(chunk):
                key = self._key(trial)
                if key in keys if keys is not None else key not in waiting or trial.error is not None:
                    trial.error = trial.error or requests.failures.get(key)
                    trial.called = key in requests.collected
                    chosen.append(trial)
            if chosen:
                await self.pass_on(chosen)
            if self.gateway.draining:
                raise Draining
        requests.forget_passed_on(keys)
