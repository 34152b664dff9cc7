"""`run`, `plan` and `simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unisafe_async.commands.options import (
    CacheOption,
    CategoryOption,
    ConfigOption,
    JsonOption,
    JudgeOption,
    LimitOption,
    ModelOption,
    OldRepeatsOption,
    RepeatsOption,
    ShardOption,
    SpecOption,
    TaskOption,
    load,
    print_json,
    usage_error,
)
from unisafe_async.config.default_paths import DEFAULT_FILE


def run(
    config: ConfigOption = DEFAULT_FILE,
    spec: SpecOption = None,
    judge: JudgeOption = None,
    model: ModelOption = None,
    task: TaskOption = None,
    category: CategoryOption = None,
    limit: LimitOption = None,
    shard: ShardOption = None,
    repeats: RepeatsOption = None,
    samples: OldRepeatsOption = None,
    cache: CacheOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ignore answers from earlier runs (they are kept).")] = False,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What people call this run.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="WORD", help="A word to find it by (repeatable).")] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Anything to be remembered of it.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no tables, only what is wrong.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print what is logged too, on standard error.")] = False,
    log_file: Annotated[
        Path | None, typer.Option("--log-file", metavar="FILE", help="Append what is logged, one JSON object a line.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate the configured models; answers in the cache are not paid for again."""
    called = {key: value for key, value in (("name", name), ("tags", tag), ("note", note)) if value}
    loaded = load(config, model, task, category, limit, repeats, samples, shard, cache, spec, judge, called)
    from unisafe_async.commands.logs import keep_log
    from unisafe_async.commands.session import run_session

    with keep_log(log_file, shown=verbose):
        raise typer.Exit(run_session(loaded, fresh=fresh, quiet=quiet, as_json=as_json))


def plan(
    config: ConfigOption = DEFAULT_FILE,
    spec: SpecOption = None,
    judge: JudgeOption = None,
    model: ModelOption = None,
    task: TaskOption = None,
    category: CategoryOption = None,
    limit: LimitOption = None,
    shard: ShardOption = None,
    repeats: RepeatsOption = None,
    samples: OldRepeatsOption = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would send and cost; sends nothing."""
    loaded = load(config, model, task, category, limit, repeats, samples, shard, cache, spec, judge)
    import anyio

    from unisafe_async.run.plan import plan as make_plan
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.screens.plan import print_plan

    made = anyio.run(make_plan, loaded)
    if as_json:
        from unisafe_async.interchange.command_json import build_plan_json

        print_json(build_plan_json(made))
    else:
        print_plan(stdout_console(), made, loaded)


def simulate(
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8900,
    data: Annotated[str, typer.Option(help="The dataset whose tasks and categories the simulated models know.")] = "sample",
    latency: Annotated[float, typer.Option(min=0, help="Seconds an answer takes.")] = 0.0,
    sigma: Annotated[float, typer.Option(min=0, help="Spread of the latency (lognormal).")] = 0.0,
    rpm: Annotated[float | None, typer.Option(min=0.001, help="The most requests a minute.")] = None,
    retry_after: Annotated[float, typer.Option(min=0, help="Seconds that a simulated 429 asks to wait.")] = 0.05,
    batch_delay: Annotated[float, typer.Option(min=0, help="Seconds until a batch job has ended.")] = 5.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            help="NAME=SHARE: rate_limited, unavailable, dropped, stalled, truncated, malformed or blocked (repeatable).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the faults.")] = 0,
) -> None:
    """Serve the simulated models as OpenAI, Azure, Anthropic and Gemini would, with faults on demand."""
    from unisafe_async.benchmark import open_dataset
    from unisafe_async.commands.session import simulate_session
    from unisafe_async.simulate import Faults, Simulator

    faults = Faults(**_parse_faults(fault or []))
    simulator = Simulator(
        open_dataset(data),
        faults=faults,
        latency=latency,
        sigma=sigma,
        rpm=rpm,
        retry_after=retry_after,
        batch_delay=batch_delay,
        seed=seed,
    )
    simulate_session(simulator, host, port)


def _parse_faults(named: list[str]) -> dict[str, float]:
    from unisafe_async.simulate import FAULTS

    faults = {}
    for one in named:
        name, _, share = one.partition("=")
        try:
            faults[name] = float(share)
        except ValueError:
            raise usage_error(f"--fault {one}: should be NAME=SHARE, such as rate_limited=0.2") from None
        if name not in FAULTS or not 0 <= faults[name] <= 1:
            raise usage_error(f"--fault {one}: names are {', '.join(FAULTS)}; a share is between 0 and 1")
    if sum(faults.values()) > 1:
        raise usage_error("--fault: the shares sum to more than 1")
    return faults
