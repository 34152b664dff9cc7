"""`cache ...`: look at, export or prune the cache."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from unisafe_async.commands.options import (
    BAD,
    CacheOption,
    ConfigOption,
    JsonOption,
    ask_user,
    find_cache_file,
    print_json,
    usage_error,
)
from unisafe_async.config.default_paths import DEFAULT_FILE

app = typer.Typer(help="Look at, export or prune the cache.", no_args_is_help=True)


@app.command()
def stats(config: ConfigOption = DEFAULT_FILE, cache: CacheOption = None, as_json: JsonOption = False) -> None:
    """Show what the cache holds and what it cost."""
    from unisafe_cache import read_file
    from unisafe_cache.submitted_jobs import list_jobs

    from unisafe_async.results.listing import read_stats
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.screens.listing import print_stats

    path = find_cache_file(config, cache)
    found, jobs = read_file(path, lambda connection: (read_stats(connection), list_jobs(connection)))
    if as_json:
        from unisafe_async.interchange.command_json import build_stats_json

        print_json(build_stats_json(str(path), found))
    else:
        print_stats(stdout_console(), path, found, len(jobs))


@app.command("export")
def export_tables(
    folder: Annotated[Path, typer.Argument(help="A new folder for one Parquet file a table.")],
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
) -> None:
    """Write the tables as Parquet, all but those of jobs at vendors."""
    from unisafe_cache.maintenance import export

    for file in export(find_cache_file(config, cache), folder):
        print(file)


@app.command("prune")
def prune_cache(
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    older_than: Annotated[
        int | None, typer.Option("--older-than", min=0, max=36_500, help="Days: runs and answers older than that.")
    ] = None,
    run_name: Annotated[str | None, typer.Option("--run", help="The rows of this run (answers stay).")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete old runs and answers; says what will be deleted and asks first."""
    from unisafe_cache import read_file
    from unisafe_cache.maintenance import Prune, prune

    from unisafe_async.results.runs import run_named

    if (older_than is None) == (run_name is None):
        raise usage_error("name either --older-than DAYS or --run RUN")
    path = find_cache_file(config, cache)
    if run_name is not None:
        run_name = read_file(path, partial(run_named, name=run_name))
    what = Prune(older_than, run_name)
    going = prune(path, what, dry=True)
    runs = f"run {run_name}" if run_name is not None else f"{going.runs} runs"
    print(f"{path}: {runs}, {going.rows} rows, {going.responses} answers (${going.cost:.2f} were paid for them)")
    if not any((going.runs, going.rows, going.responses)):
        return
    if not yes and not ask_user("Delete them?"):
        raise typer.Exit(BAD)
    prune(path, what)
