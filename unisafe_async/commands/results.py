"""`report` and `runs`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unisafe_async.commands.options import DONE, UNJUDGED, CacheOption, ConfigOption, RunArgument, cache_file


class Dimension(StrEnum):
    """What `report --by` can break the scores down by."""

    task = "task"
    category = "category"
    subcategory = "subcategory"


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

    found = read_file(cache_file(config, cache), lambda connection: read_report(connection, name, by.value if by else None))
    print_report(Console(), found)
    raise typer.Exit(UNJUDGED if found.unjudged else DONE)


def runs(config: ConfigOption = Path("bench.toml"), cache: CacheOption = None) -> None:
    """List the runs in the cache, the newest first."""
    from rich.console import Console

    from cache import read_file
    from unisafe_async.report.listing import print_runs, read_runs

    print_runs(Console(), read_file(cache_file(config, cache), read_runs))
