"""One run from a configuration to rows; it shows nothing."""

from __future__ import annotations

import json
import platform
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version

import anyio
from anyio import to_thread
from unisafe_cache import CacheError, Row, RunRecord, Store
from unisafe_cache.records import READING, now
from unisafe_judger import Classifier, ClassifierError, Judge, RubricError, load_rubrics
from unisafe_judger.kinds import classifier_of
from unisafe_providers.base import BadEnvironment, Noting, OnDevice

from unisafe_async.benchmark import Dataset, DatasetError, open_dataset
from unisafe_async.benchmark.shards import read_shard
from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.config.bench_toml import Config, ConfigError
from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.gateway import Budget, Clock, Endpoint, Gateway
from unisafe_async.gateway.job_calls import keep_jobs
from unisafe_async.run.batches import BatchLane
from unisafe_async.run.described import expect_described, list_described
from unisafe_async.run.endpoints import endpoint_of
from unisafe_async.run.feeding import Feed, PassOn
from unisafe_async.run.lanes import Lane
from unisafe_async.run.opening import check_apart, open_endpoint, place_errors
from unisafe_async.run.panel import Panel, PanelMember
from unisafe_async.run.scheduler import Pipeline
from unisafe_async.run.trials import Sampling

PACKAGES = ("unisafe-async", "openai", "duckdb", "anyio", "pillow")


@dataclass(kw_only=True)
class Run:
    """A run that is under way or over: its name, model runs and endpoints, for progress displays.

    Attributes:
        name: the run's name in the cache.
        lanes: one for each model.
        panel: the judge, or several, with their endpoints; `judging` is the first one's.
        dataset: the selected items.
        status: `running`; then `done`, `interrupted` (asked to stop) or `stopped` (budget spent).
        seconds: how long it took.
    """

    name: str
    config: Config
    dataset: Dataset
    lanes: list[Lane]
    panel: Panel
    gateway: Gateway
    pipeline: Pipeline
    started: float = field(default_factory=time.monotonic)
    status: str = "running"
    seconds: float = 0.0

    @property
    def judging(self) -> Endpoint:
        return self.panel.members[0].endpoint

    @property
    def endpoints(self) -> list[Endpoint]:
        """The models' endpoints, then the judges'."""
        return [*(lane.endpoint for lane in self.lanes), *self.panel.endpoints]

    @property
    def total(self) -> int:
        """Item x model x repeat."""
        return sum(lane.total for lane in self.lanes)

    @property
    def done(self) -> int:
        return sum(lane.done for lane in self.lanes)

    @property
    def unjudged(self) -> int:
        """Trials without both verdicts, including those that were not reached."""
        return sum(lane.failed + lane.unjudged for lane in self.lanes) + self.total - self.done

    @property
    def cost(self) -> float:
        """US dollars spent in this run."""
        return self.gateway.budget.spent

    def drain(self) -> None:
        """Send nothing new, and let calls under way end."""
        self.gateway.drain()
        for endpoint in self.endpoints:
            if isinstance(endpoint.provider, OnDevice):
                endpoint.provider.withdraw()

    def summary(self) -> dict[str, object]:
        """The run's figures, as the cache stores them."""
        return {
            "total": self.total,
            "planned": {lane.endpoint.name: lane.total for lane in self.lanes},
            "done": self.done,
            "selected": self.dataset.selected,
            "problems": len(self.dataset.problems),
            "seconds": round(self.seconds or time.monotonic() - self.started, 3),
            "cost": self.cost,
            "endpoints": {lane.endpoint.name: asdict(lane.endpoint.counts) for lane in self.lanes}
            | {f"judge: {endpoint.name}": asdict(endpoint.counts) for endpoint in self.panel.endpoints},
            "identities": {lane.endpoint.name: lane.endpoint.provider.identity for lane in self.lanes}
            | {f"judge: {endpoint.name}": endpoint.provider.identity for endpoint in self.panel.endpoints},
            "notes": {endpoint.name: notes for endpoint in self.endpoints if (notes := _list_notes(endpoint))}
            | ({"cache": [f"{why}: two runs on it may pay for the same"]} if (why := self.gateway.claiming.unsupported) else {}),
            "unfinished": {endpoint.name: words for endpoint in self.endpoints if (words := endpoint.retries.unfinished_words)},
            "stopped": {endpoint.name: words for endpoint in self.endpoints if (words := endpoint.stopped_words)},
            "stopped_for": {
                endpoint.name: {need: str(error) for need, error in endpoint.stopped_for.items()}
                for endpoint in self.endpoints
                if endpoint.stopped_for
            },
            **({"described": dict(described)} if (described := list_described(self.endpoints)) else {}),
            "reading": READING,
            "reread": dict(self.gateway.rereading.counts),
            "mended": dict(self.dataset.images.mended()),
        }


def _list_notes(endpoint: Endpoint) -> list[str]:
    """A line for each kind of change in its requests and answers."""
    shared = [f"{endpoint.shared:,} answers came from another run that asked for the same just then"] if endpoint.shared else []
    return [*(endpoint.provider.notes if isinstance(endpoint.provider, Noting) else ()), *endpoint.notes.values(), *shared]


async def run_evaluation(
    config: Config,
    *,
    dataset: Dataset | None = None,
    fresh: bool = False,
    on_start: Callable[[Run], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
    clock: Clock | None = None,
    show: Callable[[Run], AbstractAsyncContextManager[object]] = nullcontext,
) -> Run:
    """The run of `config`, when every row is on disk; arguments and errors as of `unisafe_async.evaluate`.

    Args:
        show: a block that the run is under way in, for whoever shows how far it is.
    """
    config = config.model_copy(update={"base": config.base.absolute()})  # the caller may change the working folder meanwhile
    async with prepare(config, dataset=dataset, fresh=fresh, clock=clock) as (run, pipeline, store):
        pipeline.on_row = on_row
        if on_start is not None:
            on_start(run)
        started = now()
        record = record_of(run, started)
        await store.save_run(record)
        await expect_described(store, run.endpoints, lambda: store.save_run(record_of(run, started)), fresh=fresh)
        try:
            async with show(run):
                await pipeline.execute()
            drained = run.gateway.draining and run.done < run.total
            run.status = "interrupted" if drained else "stopped" if run.gateway.budget.exhausted else "done"
        except BaseException as error:
            run.status = "interrupted"
            cause = unwrap_error(error)
            if isinstance(cause, CacheError | DatasetError):
                raise cause from None
            raise
        finally:
            run.seconds = time.monotonic() - run.started
            with anyio.move_on_after(10, shield=True):
                try:
                    await store.save_run(record_of(run, started, now()))
                except CacheError:
                    if run.status == "done":
                        raise
        return run


def unwrap_error(error: BaseException) -> BaseException:
    """The error inside nested groups that hold only one kind of error; otherwise the group itself."""
    while isinstance(error, BaseExceptionGroup):
        if len({type(unwrap_error(one)) for one in error.exceptions}) != 1:
            return error
        error = unwrap_error(error.exceptions[0])
    return error


@asynccontextmanager
async def prepare(
    config: Config, *, dataset: Dataset | None = None, fresh: bool = False, clock: Clock | None = None, sends: bool = True
) -> AsyncIterator[tuple[Run, Pipeline, Store]]:
    """Open and check everything that a run or a plan needs; sends nothing.

    A plan never `sends` anything, so it needs no keys.
    """
    if sends:
        config.keys()
    section = config.dataset
    judges = judges_of(config)
    if dataset is None:
        dataset = await to_thread.run_sync(open_dataset, section.source, config.base)
    dataset = dataset.select(section.tasks, section.categories, section.limit)
    check_asked(config, dataset)
    if section.shard is not None:
        dataset = dataset.take_shard(read_shard(section.shard))
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store(config.cache_path, timeout=config.cache.patience_s))
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
        since = store.ids.next() if fresh else 0
        gateway = Gateway(store, Budget(config.run.budget_usd), name, since, clock)
        sections = [section for _, section in config.judge.sections]
        with place_errors(config):
            lanes = _build_lanes(config, dataset, gateway)
            members = [
                PanelMember(section.title, judge, _build_endpoint(section, section.title, config, gateway))
                for judge, section in zip(judges, sections, strict=True)
            ]
        panel = Panel(
            members=tuple(members),
            mode=config.judge.mode,
            tie=config.judge.tie,
            thoughts=config.judge.thoughts,
            beside=config.judge.beside,
        )
        for endpoint in [*(lane.endpoint for lane in lanes), *panel.endpoints]:
            await stack.enter_async_context(open_endpoint(endpoint))
            keep_jobs(endpoint, store, name)
        unable = [member.endpoint.stopped for member in members if member.extracts_intents]
        if None not in unable:
            place = next(
                place for (place, _), member in zip(config.judge.sections, members, strict=True) if member.extracts_intents
            )
            raise ConfigError(
                str(unable[0]) if isinstance(unable[0], BadEnvironment) else f"{config.file}: {place}.provider: {unable[0]}"
            )
        asked = [*zip(config.models, (lane.endpoint for lane in lanes), strict=True), *zip(sections, panel.endpoints, strict=True)]
        check_apart(config, asked)
        generation = config.generation

        async def run_by_batches(feed: Feed, pass_on: PassOn) -> None:
            await BatchLane(feed=feed, gateway=gateway, store=store, run=name, pass_on=pass_on).execute()

        pipeline = Pipeline(
            gateway=gateway,
            store=store,
            dataset=dataset,
            panel=panel,
            lanes=lanes,
            run=name,
            repeats=generation.repeats,
            sampling=Sampling(
                max_tokens=generation.max_tokens,
                temperature=generation.temperature,
                top_p=generation.top_p,
                seed=generation.seed,
                image_size=generation.image_size,
            ),
            by_batches=run_by_batches,
        )
        yield (
            Run(name=name, config=config, dataset=dataset, lanes=lanes, panel=panel, gateway=gateway, pipeline=pipeline),
            pipeline,
            store,
        )


def check_asked(config: Config, dataset: Dataset) -> None:
    """Raises ConfigError if no model is asked any selected item: such a run would end without a row and look complete."""
    selected = {task for task, _ in dataset.counts()}
    if any(task.key in selected for model in config.models for task in config.tasks_of(model)):
        return
    listed = ", ".join(task for task in TASKS if task in selected)
    names = ", ".join(model.name for model in config.models)
    raise ConfigError(
        f"{config.file}: models: none of {names} is asked any selected item ({listed}); "
        "change takes, gives or tasks of a model, or select other tasks"
    )


def judges_of(config: Config) -> list[Judge | Classifier]:
    """The Judge or Classifier for each judge, in order; judges with rubrics share one, or two if `structured` differs.

    Raises ConfigError for a rubric or a classifier that cannot be used.
    """
    try:
        rubrics = load_rubrics(config.base / config.judge.rubrics if config.judge.rubrics else None)
    except RubricError as error:
        raise ConfigError(f"{config.file}: judge.rubrics: {error}") from None
    by_rubrics = {
        structured: Judge(rubrics, config.judge.max_tokens, config.judge.temperature, structured) for structured in (True, False)
    }
    judges: list[Judge | Classifier] = []
    for place, section in config.judge.sections:
        try:
            judges.append(
                classifier_of(section.kind, frozenset(section.takes), section.threshold, section.kind_options)
                if section.classifies
                else by_rubrics[section.asks_by_schema]
            )
        except ClassifierError as error:
            raise ConfigError(f"{config.file}: {place}.kind: {error}") from None
    return judges


def _build_endpoint(section: EndpointSection, name: str, config: Config, gateway: Gateway) -> Endpoint:
    return endpoint_of(section, name, config.base, gateway.sleep, gateway.now, config.cluster)


def _build_lanes(config: Config, dataset: Dataset, gateway: Gateway) -> list[Lane]:
    counts = dataset.counts()
    lanes = []
    for model in config.models:
        tasks = frozenset(task.key for task in config.tasks_of(model))
        items = sum(count for (task, _), count in counts.items() if task in tasks)
        drawn = sum(count for (task, _), count in counts.items() if task in tasks and TASKS[task].image_out)
        lanes.append(
            Lane(
                endpoint=_build_endpoint(model, model.name, config, gateway),
                tasks=tasks,
                total=items * config.generation.repeats,
                pictures=drawn * config.generation.repeats,
            )
        )
    return lanes


def record_of(run: Run, started: object, ended: object = None) -> RunRecord:
    """The run's record for table `runs`. A configuration holds names of key variables, never keys."""
    specs = [endpoint.spec for _, endpoint in run.config.endpoints()]
    plugins = sorted({spec.plugin.package for spec in specs if spec.plugin})
    packages = [*PACKAGES, *(package for spec in specs for package in spec.packages), *plugins]
    versions = {package: _version(package) for package in packages} | {"python": platform.python_version()}
    return RunRecord(
        run=run.name,
        started=started,  # type: ignore[arg-type]
        ended=ended,  # type: ignore[arg-type]
        status=run.status,
        config=run.config.model_dump_json(),
        dataset=run.dataset.name,
        dataset_digest=run.dataset.digest,
        rubrics_digest=run.panel.rubric.rubrics.digest,
        versions=json.dumps(versions),
        summary=json.dumps(run.summary()),
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
