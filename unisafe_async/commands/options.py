"""Options that several commands share, the code that reads them, and the exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unisafe_async.config.renamed_keys import warn_of_old_name

if TYPE_CHECKING:
    from unisafe_async.config.bench_toml import Config
    from unisafe_async.errors import UsageError

DONE, UNJUDGED, BAD, FAULT, INTERRUPTED = 0, 1, 2, 70, 130

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.", dir_okay=False)]
CacheOption = Annotated[Path | None, typer.Option("--cache", help="The cache file; else the one that the configuration names.")]
ModelOption = Annotated[list[str] | None, typer.Option("--model", "-m", help="Only this model of the configuration (repeatable).")]
TaskOption = Annotated[list[str] | None, typer.Option("--task", "-t", help="Only this task (repeatable).")]
CategoryOption = Annotated[list[str] | None, typer.Option("--category", help="Only this category (repeatable).")]
LimitOption = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, help="The number of items, spread over tasks and categories.")
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard", metavar="NUMBER/COUNT", help="Only this part of the items, such as 3/8; `slurm`: by the job array's task."
    ),
]
RepeatsOption = Annotated[int | None, typer.Option("--repeats", min=1, help="How many times each item is asked.")]
OldRepeatsOption = Annotated[int | None, typer.Option("--samples", min=1, hidden=True)]
RunArgument = Annotated[str | None, typer.Argument(help="A run's name or its beginning; else the newest.")]


def usage_error(message: str) -> UsageError:
    """The error of a mistake on the command line; imported here, so that `unisafe --help` answers at once."""
    from unisafe_async.errors import UsageError

    return UsageError(message)


def load(
    config: Path,
    model: list[str] | None,
    task: list[str] | None,
    category: list[str] | None,
    limit: int | None,
    repeats: int | None,
    samples: int | None = None,
    shard: str | None = None,
    cache: Path | None = None,
) -> Config:
    """The configuration with what the options change.

    Raises ConfigError, UsageError for a shard that there is not, and BadParameter for `--repeats` beside its old name.
    """
    from unisafe_async.config.bench_toml import load_config

    named = (("tasks", task), ("categories", category), ("limit", limit), ("shard", shard and _read_shard(shard)))
    dataset = {key: value for key, value in named if value}
    if samples:
        if repeats:
            raise typer.BadParameter("--samples: this is the old name of --repeats, which is given too; keep --repeats alone")
        warn_of_old_name("--samples", "--repeats")
    generation = {"repeats": repeats or samples} if repeats or samples else {}
    kept = {"path": str(cache.absolute())} if cache else {}
    return load_config(config, {"dataset": dataset, "generation": generation, "cache": kept}, model or ())


def _read_shard(named: str) -> str:
    from unisafe_async.benchmark.shards import ShardError, read_shard, read_slurm

    try:
        return str(read_slurm(os.environ) if named == "slurm" else read_shard(named))
    except ShardError as error:
        raise usage_error(f"--shard {named}: {error}") from None


def ask_user(question: str) -> bool:
    """Whether the user says yes; without a user to ask, the answer is no. Raises KeyboardInterrupt for Ctrl-C."""
    try:
        return typer.confirm(question)
    except typer.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        print("\nnobody to ask; say --yes to go on", file=sys.stderr)
        return False


def find_cache_file(config: Path, cache: Path | None) -> Path:
    """The cache file that a command reads. Raises ConfigError, and UsageError if there is neither a cache nor a configuration."""
    if cache is not None:
        return cache
    if not config.exists():
        raise usage_error(f"there is no {config} that names a cache; name the cache with --cache FILE, or another --config")
    from unisafe_async.config.bench_toml import load_config

    return load_config(config).cache_path


def find_run_file(config: Path, cache: Path | None, name: str | None) -> Path:
    """As `find_cache_file`, for a command about one run; prints a note if the newest run is not the run that was made last."""
    path = find_cache_file(config, cache)
    if name is None:
        from unisafe_cache import read_file

        from unisafe_async.results.runs import describe_passed_over
        from unisafe_async.text import plain

        if words := read_file(path, describe_passed_over):
            print(plain(words), file=sys.stderr)
    return path
