"""The command `unisafe`: thin over the library; what is heavy is imported by the command that needs it.

Exit codes: 0 all judged, 1 something unjudged, 2 bad usage, configuration, dataset or cache, 130 interrupted.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from unisafe_async.config import Config

app = typer.Typer(
    help="How safe are multimodal models? Uni-SafeBench over hosted and local models; every call is paid for once.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Look at a dataset.", no_args_is_help=True)
cache_app = typer.Typer(help="Look at, export or prune the cache.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(cache_app, name="cache")

DONE, UNJUDGED, BAD, INTERRUPTED = 0, 1, 2, 130

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.", dir_okay=False)]
CacheOption = Annotated[Path | None, typer.Option("--cache", help="The cache file; else the one that the configuration names.")]
ModelOption = Annotated[list[str] | None, typer.Option("--model", "-m", help="Only this model of the configuration (repeatable).")]
TaskOption = Annotated[list[str] | None, typer.Option("--task", "-t", help="Only this task (repeatable).")]
CategoryOption = Annotated[list[str] | None, typer.Option("--category", help="Only this category (repeatable).")]
LimitOption = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="So many items, spread over tasks and categories.")]
SamplesOption = Annotated[int | None, typer.Option("--samples", min=1, help="Repeats of each item.")]
RunArgument = Annotated[str | None, typer.Argument(help="A run's name or its beginning; else the newest.")]


class Dimension(StrEnum):
    """What `report --by` can break the scores down by."""

    task = "task"
    category = "category"
    subcategory = "subcategory"


@app.command()
def run(
    config: ConfigOption = Path("bench.toml"),
    model: ModelOption = None,
    task: TaskOption = None,
    category: CategoryOption = None,
    limit: LimitOption = None,
    samples: SamplesOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ignore answers from earlier runs (they are kept).")] = False,
) -> None:
    """Evaluate the configured models; what the cache already has is not paid for again."""
    loaded = _load(config, model, task, category, limit, samples)
    from unisafe_async.session import run_session

    raise typer.Exit(run_session(loaded, fresh=fresh))


@app.command()
def plan(
    config: ConfigOption = Path("bench.toml"),
    model: ModelOption = None,
    task: TaskOption = None,
    category: CategoryOption = None,
    limit: LimitOption = None,
    samples: SamplesOption = None,
) -> None:
    """Show what a run would send and cost; nothing is sent."""
    loaded = _load(config, model, task, category, limit, samples)
    import anyio
    from rich.console import Console

    from unisafe_async.plan import plan as make_plan
    from unisafe_async.report.plan import print_plan

    print_plan(Console(), anyio.run(make_plan, loaded), loaded)


@app.command()
def report(
    name: RunArgument = None,
    config: ConfigOption = Path("bench.toml"),
    cache: CacheOption = None,
    by: Annotated[Dimension | None, typer.Option("--by", help="Break B-S down.")] = None,
) -> None:
    """Print a run's tables again, also while it is under way."""
    from rich.console import Console

    from cache import read_file
    from unisafe_async.report.report import print_report, read_report

    found = read_file(_cache(config, cache), lambda connection: read_report(connection, name, by.value if by else None))
    print_report(Console(), found)
    raise typer.Exit(UNJUDGED if found.unjudged else DONE)


@app.command()
def runs(config: ConfigOption = Path("bench.toml"), cache: CacheOption = None) -> None:
    """List the runs in the cache, the newest first."""
    from rich.console import Console

    from cache import read_file
    from unisafe_async.report.listing import print_runs, read_runs

    print_runs(Console(), read_file(_cache(config, cache), read_runs))


@app.command()
def show(
    item: Annotated[str, typer.Argument(help="task/id, or an id that only one task has.")],
    run_name: Annotated[str | None, typer.Option("--run", help="A run's name or its beginning; else the newest.")] = None,
    config: ConfigOption = Path("bench.toml"),
    cache: CacheOption = None,
) -> None:
    """Show one item: request, responses and both verdicts with their reasons."""
    from rich.console import Console

    from cache import read_file
    from unisafe_async.report.show import print_item, read_item

    print_item(Console(), read_file(_cache(config, cache), lambda connection: read_item(connection, item, run_name)))


@app.command()
def simulate(
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8900,
    data: Annotated[str, typer.Option(help="The dataset whose tasks and categories the simulated models know.")] = "sample",
    latency: Annotated[float, typer.Option(min=0, help="Seconds an answer takes.")] = 0.0,
    sigma: Annotated[float, typer.Option(min=0, help="Spread of the latency (lognormal).")] = 0.0,
    rpm: Annotated[float | None, typer.Option(min=0.001, help="Requests a minute that are let through.")] = None,
    retry_after: Annotated[float, typer.Option(min=0, help="Seconds that a simulated 429 asks to wait.")] = 0.05,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            help="NAME=SHARE: rate_limited, unavailable, dropped, stalled, truncated, malformed or blocked (repeatable).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the faults.")] = 0,
) -> None:
    """Serve the simulated models in the OpenAI shape, with faults on demand."""
    from unisafe_async.session import simulate_session

    simulate_session(
        host, port, data, _faults(fault or []), latency=latency, sigma=sigma, rpm=rpm, retry_after=retry_after, seed=seed
    )


@data_app.command("check")
def data_check(path: Annotated[str, typer.Argument(help="A folder, a .jsonl file, sample, or hf:OWNER/NAME.")]) -> None:
    """Count a dataset's items beside the paper's, and list every problem with file and line."""
    from rich.console import Console

    from unisafe_async.report.data import check, print_check

    checked = check(path)
    print_check(Console(), checked)
    raise typer.Exit(UNJUDGED if checked.problems else DONE)


@cache_app.command("stats")
def cache_stats(config: ConfigOption = Path("bench.toml"), cache: CacheOption = None) -> None:
    """What the cache holds and what it cost."""
    from rich.console import Console

    from cache import read_file
    from unisafe_async.report.listing import print_stats, read_stats

    path = _cache(config, cache)
    print_stats(Console(), path, read_file(path, read_stats))


@cache_app.command("export")
def cache_export(
    folder: Annotated[Path, typer.Argument(help="A new folder for one Parquet file a table.")],
    config: ConfigOption = Path("bench.toml"),
    cache: CacheOption = None,
) -> None:
    """Write every table as Parquet."""
    from cache.maintenance import export

    for file in export(_cache(config, cache), folder):
        typer.echo(file)


@cache_app.command("prune")
def cache_prune(
    config: ConfigOption = Path("bench.toml"),
    cache: CacheOption = None,
    older_than: Annotated[int | None, typer.Option("--older-than", min=0, help="Days: runs and answers older than that.")] = None,
    run_name: Annotated[str | None, typer.Option("--run", help="The rows of this run (answers stay).")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete old runs and answers; says what will go and asks first."""
    from cache.maintenance import Prune, prune

    if (older_than is None) == (run_name is None):
        raise typer.BadParameter("name either --older-than DAYS or --run RUN")
    path, what = _cache(config, cache), Prune(older_than, run_name)
    going = prune(path, what, dry=True)
    typer.echo(f"{path}: {going.runs} runs, {going.rows} rows, {going.responses} answers (${going.cost:.2f} were paid for them)")
    if not any((going.runs, going.rows, going.responses)):
        return
    if not yes and not typer.confirm("Delete them?"):
        raise typer.Exit(BAD)
    prune(path, what)


def _load(
    config: Path,
    model: list[str] | None,
    task: list[str] | None,
    category: list[str] | None,
    limit: int | None,
    samples: int | None,
) -> Config:
    from unisafe_async.config import load_config

    dataset = {key: value for key, value in (("tasks", task), ("categories", category), ("limit", limit)) if value}
    generation = {"samples": samples} if samples else {}
    return load_config(config, {"dataset": dataset, "generation": generation}, model or ())


def _cache(config: Path, cache: Path | None) -> Path:
    """The cache file that a command reads."""
    if cache is not None:
        return cache
    from unisafe_async.config import load_config

    return load_config(config).cache_path


def _faults(named: list[str]) -> dict[str, float]:
    from unisafe_async.simulate import FAULTS

    faults = {}
    for one in named:
        name, _, share = one.partition("=")
        try:
            faults[name] = float(share)
        except ValueError:
            raise typer.BadParameter(f"--fault {one}: should be NAME=SHARE, such as rate_limited=0.2") from None
        if name not in FAULTS or not 0 <= faults[name] <= 1:
            raise typer.BadParameter(f"--fault {one}: names are {', '.join(FAULTS)}; a share is between 0 and 1")
    if sum(faults.values()) > 1:
        raise typer.BadParameter("--fault: the shares sum to more than 1")
    return faults


def _own_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is meant for the user; only of modules that were imported."""
    homes = (
        ("unisafe_async.config", "ConfigError"),
        ("unisafe_async.dataset.dataset", "DatasetError"),
        ("cache.errors", "CacheError"),
    )
    return tuple(getattr(sys.modules[home], name) for home, name in homes if home in sys.modules)


def main() -> None:
    """Entry point of `unisafe`."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(BAD)
    except Exception as error:
        if not isinstance(error, _own_errors()):
            raise
        from unisafe_async.report.text import plain

        for words in str(error).splitlines():
            print(f"unisafe: {plain(words)}", file=sys.stderr)
        sys.exit(BAD)


if __name__ == "__main__":
    main()
