"""`report`, `runs` and `show`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unisafe_async.commands.options import DONE, UNJUDGED, CacheOption, ConfigOption, RunArgument, cache_file
from unisafe_async.commands.page import EmbedOption, HtmlOption, ImagesOption, PngOption, SvgOption, write_files


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
    html: HtmlOption = None,
    images: ImagesOption = None,
    embed: EmbedOption = False,
    png: PngOption = None,
    svg: SvgOption = None,
) -> None:
    """Print a run's tables again, also while it is under way; or write them as a page or as figures."""
    if html or png or svg or images or embed:
        raise typer.Exit(write_files(name, config, cache, html=html, images=images, embed=embed, png=png, svg=svg))
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

    print_item(Console(), read_file(cache_file(config, cache), lambda connection: read_item(connection, item, run_name)))
