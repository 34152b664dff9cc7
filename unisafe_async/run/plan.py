"""What a run would send, given the cache; sends nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import duckdb
from unisafe_cache import Store
from unisafe_cache.batches import find_under_way
from unisafe_cache.submitted_jobs import find_jobs
from unisafe_providers.base import Noting, OnDevice
from unisafe_providers.jobs import Submitting, submits_each

from unisafe_async.benchmark import Dataset
from unisafe_async.config.bench_toml import Config
from unisafe_async.gateway import Endpoint, key_of
from unisafe_async.results.judged_before import find_judged_before
from unisafe_async.run.cache_lookup import judge_from_cache
from unisafe_async.run.devices import Devices
from unisafe_async.run.evaluation import prepare
from unisafe_async.run.judged import WITH_INTENT, Question
from unisafe_async.run.lanes import Lane
from unisafe_async.run.panel import Panel, PanelMember
from unisafe_async.run.passes import list_later
from unisafe_async.run.scheduler import Pipeline
from unisafe_async.run.trials import Trial

# Assumptions about calls that were never seen:
GB = 1e9
LATENCY = 5.0
"""Seconds that an answer takes."""
LOCAL_BATCH = 16
"""Answers that a model on this machine gives in that time."""
JUDGE_TOKENS_OUT = 120.0
"""Tokens of a judge's reply."""
CLASSIFIER_TOKENS_OUT = 5.0
"""Tokens of a classifier's reply."""
JUDGE_EXTRA = 900.0
"""Tokens of a judge's request beside the response that it judges."""


@dataclass(kw_only=True)
class Need:
    """The calls that a run would make to one endpoint.

    Args:
        calls, cached: calls to make, and calls that the cache answers.
        tokens_in, tokens_out: estimates for the calls to make.
        cost: US dollars, estimated; None if no price is known.
        seconds: an estimate from the endpoint's limits and its latency so far (else 5 s).
        devices: the devices of this machine that the model needs to itself; none for a hosted model.
        batch: whether the calls go as batch jobs, which take up to a day; then seconds are not estimated.
        under_way: calls that are in a batch job already. They are part of `calls` if the run waits for the job, else it does not
            ask for them.
        by_jobs: whether the vendor makes each answer by a job of its own.
        submitted: requests that the vendor took as jobs of their own (unisafe_providers/jobs.py), not answered yet: they cost
            nothing new, and are no part of `calls`.
    """

    name: str
    calls: int = 0
    cached: int = 0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    images: int = 0
    cost: float | None = None
    seconds: float = 0.0
    known_latency: bool = False
    devices: frozenset[str] = frozenset()
    batch: bool = False
    under_way: int = 0
    by_jobs: bool = False
    submitted: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One Need for each model, then one for each judge, in order.

    `fallback` says that the judges are a chain. A later judge's work is not known before the earlier ones answer, so it counts
    only if the cache shows that it was needed. `thoughts` says that thoughts are judged too; for future answers their number is
    estimated from earlier answers. `rubrics_changed` says why the judge is asked again about answers that it has judged; empty if
    it is not. `mended` and `mended_drawn` count mended pictures of items and of models, by kind of mending. `later` names the
    judges that wait for a device, in the order of their turns; those of one turn stand together.
    `shard` says of which part of the items the plan is; it is empty if it is of all. `unable` says of each model and judge that
    cannot be asked as things are why that is so: its figures are not those of a run after that is mended. `unset` names the
    variables with keys that a run will need and that are not set. `weights` says of each model on this machine what its weights
    need: their size, and how much of them is to be downloaded.
    """

    models: list[Need]
    judges: list[Need]
    problems: int
    fallback: bool = False
    thoughts: bool = False
    rubrics_changed: str = ""
    mended: Mapping[str, int] = field(default_factory=dict)
    mended_drawn: Mapping[str, int] = field(default_factory=dict)
    later: tuple[tuple[str, ...], ...] = ()
    shard: str = ""
    unable: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    weights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def cost(self) -> float | None:
        """The cost of everything; None if a price that matters is not known."""
        costs = [need.cost for need in self._needs if need.calls]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def seconds(self) -> float:
        """The time of the slowest endpoint: endpoints run at the same time, but those on one device run one after another."""
        hosted = [need.seconds for need in self._needs if not need.devices]
        devices = {device for need in self._needs for device in need.devices}
        return max([*hosted, *(sum(need.seconds for need in self._needs if device in need.devices) for device in devices)])

    @property
    def _needs(self) -> list[Need]:
        return [*self.models, *self.judges]


def _find_fault(endpoint: Endpoint) -> str:
    """Why a model cannot be asked, as far as opening it showed; empty if it showed nothing."""
    provider = endpoint.provider
    if isinstance(provider, OnDevice) and provider.status.state == "failed":
        return provider.status.said
    return str(endpoint.stopped) if endpoint.stopped is not None else ""


def _describe_weights(endpoint: Endpoint) -> Iterator[str]:
    """What a model on this machine needs before its first answer."""
    provider = endpoint.provider
    if isinstance(provider, OnDevice):
        if provider.size:
            yield f"{provider.size / GB:,.1f} GB of weights on {', '.join(provider.devices)}"
        yield from provider.notes if isinstance(provider, Noting) else ()


def _list_unset(config: Config) -> list[str]:
    """The variables with keys that are not set."""
    named = (name for _, section in config.endpoints() if section.hosted for name in section.secret_variables.values())
    return [name for name in dict.fromkeys(named) if not os.environ.get(name, "").strip()]


OTHERS = """
SELECT avg((coalesce(thoughts, '') <> '')::INTEGER), avg((trim(text) <> '')::INTEGER) FILTER (len(images) > 0)
FROM responses WHERE identity = ? AND key <> ''
"""
"""The shares of a model's answers with thoughts, and of its images with words beside them."""
HISTORY = "SELECT avg(latency) FILTER (WHERE latency > 0), avg(tokens_out) FROM responses WHERE identity = ? AND key <> ''"


async def plan(config: Config, *, dataset: Dataset | None = None) -> Plan:
    """Count what `evaluate` would send. Raises ConfigError, DatasetError or CacheError."""
    async with prepare(config, dataset=dataset, sends=False) as (run, pipeline, store):
        run.gateway.rereading.keeps = False  # the run itself reports what it reads anew
        judges = [Need(name=member.name, devices=Devices.of(member.endpoint.provider)) for member in run.panel.members]
        intents, drawn, models = set[bytes](), dict[str, str](), list[Need]()
        for lane in run.lanes:
            identity = lane.endpoint.provider.identity
            provider = lane.endpoint.provider
            need = Need(name=lane.endpoint.name, devices=Devices.of(provider), batch=lane.endpoint.batching is not None)
            need.by_jobs = isinstance(provider, Submitting) and submits_each(provider)
            waiting = await store.query(partial(find_under_way, identity=identity))
            submitted = await store.query(partial(find_jobs, identity=identity))
            await _count(lane, pipeline, need, judges, intents, drawn, waiting, submitted)
            await _count_others(store, lane, run.panel, need, judges)
            await _estimate(store, lane.endpoint, need)
            models.append(need)
        for member, judge in zip(run.panel.members, judges, strict=True):
            await _estimate(store, member.endpoint, judge)
        chained = run.panel.several and run.panel.mode == "fallback"
        before = await store.query(partial(find_judged_before, config=config.model_dump_json()))
        changed = before.explain_change(run.panel.rubric.rubrics.digest) if before is not None else ""
        mended, mended_drawn = run.dataset.images.mended(), Counter(drawn.values())
        return Plan(
            models=models,
            judges=judges,
            problems=len(run.dataset.problems),
            fallback=chained,
            thoughts=run.panel.thoughts,
            rubrics_changed=changed,
            mended=mended,
            mended_drawn=mended_drawn,
            shard=run.dataset.part,
            unable={
                **{model.name: model.unfinished for model in config.models if model.unfinished},
                **{endpoint.name: why for endpoint in run.endpoints if (why := _find_fault(endpoint))},
            },
            unset=tuple(_list_unset(config)),
            weights={endpoint.name: told for endpoint in run.endpoints if (told := tuple(_describe_weights(endpoint)))},
            later=tuple(tuple(run.panel.members[one].name for one in turn) for turn in list_later(pipeline.passes)),
        )


async def _count(
    lane: Lane,
    pipeline: Pipeline,
    need: Need,
    judges: list[Need],
    intents: set[bytes],
    drawn: dict[str, str],
    waiting: Collection[str],
    submitted: Collection[str],
) -> None:
    """Count one model's calls and their verdicts.

    Args:
        drawn: collects how its pictures are mended, by digest.
        waiting, submitted: the keys of requests in batch jobs, and of those that are jobs of their own.
    """
    feed = pipeline.feed(lane)
    for chunk in feed.chunks():
        trials = [trial for _, trial in await feed.build_trials(chunk)]
        await judge_from_cache(trials, pipeline.gateway, pipeline.panel)
        for trial in trials:
            drawn |= {image.digest: image.mended for image in trial.drawn if image.mended}
            if trial.error is None:
                key = (
                    key_of(lane.endpoint.provider.identity, trial.request)
                    if trial.answer is None and (waiting or submitted)
                    else ""
                )
                if key in waiting:
                    need.under_way += 1
                    if not need.batch:
                        continue
                need.submitted += key in submitted
                _count_job(trial, lane.endpoint, pipeline.panel, need, judges, intents, paid=key in submitted)


def _count_job(
    trial: Trial, endpoint: Endpoint, panel: Panel, need: Need, judges: list[Need], intents: set[bytes], *, paid: bool
) -> None:
    """Count a trial's call, unless its vendor is paid for it already, and its verdicts."""
    if trial.answer is None and paid:
        pass
    elif trial.answer is None:
        need.calls += 1
        need.images += trial.request.kind != "chat"
        need.tokens_in += endpoint.estimate_tokens_in(trial.request)
        need.tokens_out += endpoint.estimate_tokens_out(trial.request)
    else:
        need.cached += 1
    questions = trial.questions(panel) if trial.answer is not None else ("contextual", "intrinsic")
    if not WITH_INTENT.isdisjoint(questions):
        _count_intent(trial, panel, judges, intents)
    for question in questions:
        _count_verdict(trial, question, panel, judges, endpoint.estimate_tokens_out(trial.request))


def _count_intent(trial: Trial, panel: Panel, judges: list[Need], intents: set[bytes]) -> None:
    """Count the extractors that found no intent and those still to ask; once for all models with the same item."""
    if trial.item.intention or trial.intent_request.canonical in intents:
        return
    intents.add(trial.intent_request.canonical)
    for position in trial.no_intent:
        judges[position].cached += 1
    for position in trial.find_extractors(panel)[:1]:
        if trial.intent is not None:
            judges[position].cached += 1
            continue
        judges[position].calls += 1
        judges[position].tokens_in += panel.members[position].endpoint.estimate_tokens_in(trial.intent_request)
        judges[position].tokens_out += JUDGE_TOKENS_OUT


def _count_verdict(trial: Trial, question: Question, panel: Panel, judges: list[Need], tokens: float) -> None:
    """Count the votes in the cache and the next judges; without a response, we assume that every judge can judge it."""
    said = trial.said.get(question, {})
    for position in said:
        judges[position].cached += 1
    if question in trial.verdicts:
        return
    if question in trial.requests:
        able = list(trial.requests[question])
    else:
        image = trial.judged == "image" if trial.answer is not None else trial.image_due
        image = image and question in ("contextual", "intrinsic")
        able = [position for position, member in enumerate(panel.members) if member.can_judge(question, image)]
    for position in panel.open(able, said):
        _add_verdicts(panel.members[position], judges[position], 1, tokens)


def _add_verdicts(member: PanelMember, judge: Need, calls: int, tokens: float) -> None:
    """Count a number of verdicts about responses of `tokens` each."""
    judge.calls += calls
    judge.tokens_in += calls * ((JUDGE_EXTRA if member.extracts_intents else 0.0) + tokens)
    judge.tokens_out += calls * (JUDGE_TOKENS_OUT if member.extracts_intents else CLASSIFIER_TOKENS_OUT)


async def _count_others(store: Store, lane: Lane, panel: Panel, need: Need, judges: list[Need]) -> None:
    """Count verdicts of thoughts and of words beside images in future answers, at the rate of this model's earlier answers."""

    def shares(connection: duckdb.DuckDBPyConnection) -> tuple[float | None, float | None]:
        found = connection.execute(OTHERS, [lane.endpoint.provider.identity]).fetchone()
        return (found[0], found[1]) if found else (None, None)

    if not need.calls or not (panel.thoughts or need.images):
        return
    thinking, worded = await store.query(shares)
    expected: dict[Question, float] = {"thoughts": need.calls * (thinking or 0.0)} if panel.thoughts else {}
    expected |= dict.fromkeys(("beside_contextual", "beside_intrinsic"), need.images * (worded or 0.0))
    for question, calls in expected.items():
        able = [position for position, member in enumerate(panel.members) if member.can_judge(question, False)]
        for position in panel.open(able, {}):
            _add_verdicts(panel.members[position], judges[position], round(calls), need.tokens_out / need.calls)


async def _estimate(store: Store, endpoint: Endpoint, need: Need) -> None:
    """Estimate cost and time from this endpoint's earlier calls."""

    def history(connection: duckdb.DuckDBPyConnection) -> tuple[float | None, float | None]:
        found = connection.execute(HISTORY, [endpoint.provider.identity]).fetchone()
        return (found[0], found[1]) if found else (None, None)

    latency, tokens_out = await store.query(history)
    if tokens_out is not None and need.calls:
        need.tokens_out = tokens_out * need.calls
    need.cost = endpoint.prices.cost(need.tokens_in, need.tokens_out, need.images)
    need.known_latency = latency is not None
    at_once = min(endpoint.concurrency.max_calls, max(need.calls, 1))
    if need.devices:
        batch = LOCAL_BATCH if need.calls > need.images else 1
        at_once = min(at_once, batch * getattr(endpoint.provider, "copies", len(need.devices)))
    if need.batch:
        return
    need.seconds = max(
        need.calls * (LATENCY if latency is None else latency) / at_once,
        endpoint.rates.least_seconds(need.calls, need.tokens_in + need.tokens_out, need.images),
    )
