"""Options that several commands share, the code that reads them, and the exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unisafe_async.config.default_paths import DEFAULT_CACHE, DEFAULT_FILE
from unisafe_async.config.renamed_keys import warn_of_old_name

if TYPE_CHECKING:
    from unisafe_async.config.bench_toml import Config
    from unisafe_async.errors import UsageError

DONE, UNJUDGED, BAD, FAULT, INTERRUPTED = 0, 1, 2, 70, 130

CONFIG_VARIABLE = "UNISAFE_CONFIG"


def find_config(given: Path) -> Path:
    """The configuration: `given`, or if that is the default and not here, the nearest one in a folder above."""
    if given != DEFAULT_FILE or given.exists():
        return given
    return next((folder / DEFAULT_FILE for folder in Path.cwd().parents if (folder / DEFAULT_FILE).is_file()), given)


ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar=CONFIG_VARIABLE,
        callback=find_config,
        dir_okay=False,
        help="The configuration file; looked for in the folders above too.",
    ),
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", metavar="FILE", help="The cache file; else the one that the configuration names.")
]
ModelOption = Annotated[
    list[str] | None, typer.Option("--model", "-m", metavar="NAME", help="Only this model of the configuration (repeatable).")
]
TaskOption = Annotated[list[str] | None, typer.Option("--task", "-t", metavar="TASK", help="Only this task (repeatable).")]
CategoryOption = Annotated[
    list[str] | None, typer.Option("--category", metavar="CATEGORY", help="Only this category (repeatable).")
]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", "-n", metavar="NUMBER", min=1, help="The number of items, spread over tasks and categories."),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard", metavar="NUMBER/COUNT", help="Only this part of the items, such as 3/8; `slurm`: by the job array's task."
    ),
]
RepeatsOption = Annotated[int | None, typer.Option("--repeats", metavar="NUMBER", min=1, help="How many times each item is asked.")]
SpecOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model-spec",
        metavar="PROVIDER:MODEL[@ADDRESS]",
        help="A model instead of those of the configuration, which is not needed then (repeatable).",
    ),
]
JudgeOption = Annotated[
    str | None, typer.Option("--judge", metavar="PROVIDER:MODEL[@ADDRESS]", help="The judge instead of the configuration's.")
]
OldRepeatsOption = Annotated[int | None, typer.Option("--samples", min=1, hidden=True)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
RunArgument = Annotated[str | None, typer.Argument(metavar="RUN", help="A run's name or its beginning; else the newest.")]


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
    specs: list[str] | None = None,
    judge: str | None = None,
    called: dict[str, Any] | None = None,
) -> Config:
    """The configuration with what the options change; with `specs` and a `judge` it needs no file.

    Raises ConfigError, UsageError for a shard that there is not, and BadParameter for `--repeats` beside its old name.
    """
    from unisafe_async.config.bench_toml import parse_config, read_table

    named = (("tasks", task), ("categories", category), ("limit", limit), ("shard", shard and _read_shard(shard)))
    dataset = {key: value for key, value in named if value}
    if samples:
        if repeats:
            raise typer.BadParameter("--samples: this is the old name of --repeats, which is given too; keep --repeats alone")
        warn_of_old_name("--samples", "--repeats")
    generation = {"repeats": repeats or samples} if repeats or samples else {}
    kept = {"path": str(cache.absolute())} if cache else {}
    changes: dict[str, dict[str, Any]] = {"dataset": dataset, "generation": generation, "cache": kept, "run": called or {}}
    if not specs and not judge:
        return parse_config(read_table(config), config.name, config.parent, changes, model or ())
    there = not specs or not judge or config.exists()
    table = {**(read_table(config) if there else {}), **_read_specs(specs, judge)}
    return parse_config(table, config.name if there else "options", config.parent, changes, model or ())


def _read_specs(specs: list[str] | None, judge: str | None) -> dict[str, Any]:
    """The sections that take the place of the configuration's."""
    from unisafe_async.config.model_specs import name_models, read_model_spec

    sections: dict[str, Any] = {}
    if specs:
        sections["models"] = name_models([read_model_spec(words, "--model-spec") for words in specs])
    if judge:
        given = read_model_spec(judge, "--judge")
        sections["judge"] = {key: value for key, value in given.items() if key not in ("takes", "gives")}
    return sections


def _read_shard(named: str) -> str:
    from unisafe_async.benchmark.shards import ShardError, read_shard, read_slurm

    try:
        return str(read_slurm(os.environ) if named == "slurm" else read_shard(named))
    except ShardError as error:
        raise usage_error(f"--shard {named}: {error}") from None


def print_json(content: dict[str, Any]) -> None:
    """Print what a command says with `--json`."""
    from unisafe_async.interchange.command_json import write_json

    print(write_json(content))


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
        if config == DEFAULT_FILE and Path(DEFAULT_CACHE).exists():  # of a run that was made without a configuration
            return Path(DEFAULT_CACHE)
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
