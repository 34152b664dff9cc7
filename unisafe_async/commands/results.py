"""`report`, `compare` and `runs`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import typer

from unisafe_async.commands.options import (
    DONE,
    UNJUDGED,
    CacheOption,
    CategoryOption,
    ConfigOption,
    JsonOption,
    ModelOption,
    RunArgument,
    TaskOption,
    find_cache_file,
    find_run_file,
    print_json,
    usage_error,
)
from unisafe_async.commands.page import (
    ColumnsOption,
    EmbedOption,
    HtmlOption,
    ImagesOption,
    PdfOption,
    PngOption,
    SvgOption,
    write_files,
)
from unisafe_async.config.default_paths import DEFAULT_FILE


class Dimension(StrEnum):
    """What `report --by` can break the scores down by."""

    task = "task"
    category = "category"
    subcategory = "subcategory"
    named = "named"


class ScoreName(StrEnum):
    """The scores that a table can show or be sorted by."""

    c_u = "c_u"
    c_r = "c_r"
    i_u = "i_u"
    b_s = "b_s"


def _parse_sorting(given: str) -> tuple[str, bool]:
    """What to sort by and whether backwards, from `b_s`, `-b_s`, `B-S`, `name` or `file`."""

    name = given.removeprefix("-").lower().replace("-", "_")
    if name not in (*ScoreName, "name", "file"):
        raise usage_error(
            f"--sort: should be one of {', '.join(ScoreName)}, name, file (or -b_s for the other way), found {given!r}"
        )
    return name, given.startswith("-")


def report(
    name: RunArgument = None,
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    by: Annotated[
        Dimension | None, typer.Option("--by", help="Break a score down; named: by the subcategories that the judge named.")
    ] = None,
    score: Annotated[ScoreName, typer.Option("--score", help="The score that --by breaks down.")] = ScoreName.b_s,
    ci: Annotated[bool, typer.Option("--ci", help="Every score with its 95% interval.")] = False,
    blocks: Annotated[bool, typer.Option("--blocks", help="Refusals: the model's own and its platform's blocks.")] = False,
    sort: Annotated[str, typer.Option("--sort", help="Models by c_u, c_r, i_u, b_s (better first), name or file.")] = "file",
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse the order, as --sort -b_s.")] = False,
    model: ModelOption = None,
    task: TaskOption = None,
    category: CategoryOption = None,
    html: HtmlOption = None,
    images: ImagesOption = None,
    embed: EmbedOption = False,
    png: PngOption = None,
    svg: SvgOption = None,
    pdf: PdfOption = None,
    columns: ColumnsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a run's tables again, also while it is under way; or write them as a page or as figures."""
    from unisafe_async.results.filters import read_where

    where = read_where(model, task, category)
    if html or png or svg or pdf or images or embed or columns:
        files = {"html": html, "images": images, "png": png, "svg": svg, "pdf": pdf}
        raise typer.Exit(write_files(name, config, cache, embed=embed, columns=columns, where=where, **files))
    from unisafe_cache import read_file

    from unisafe_async.results.report import read_report, sort_models
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.screens.report import print_report

    key, backwards = _parse_sorting(sort)
    dimension = by.value if by else None
    found = read_file(find_run_file(config, cache, name), lambda connection: read_report(connection, name, dimension, where))
    found = sort_models(found, key, backwards != reverse)
    if as_json:
        from unisafe_async.interchange.command_json import build_report_json

        print_json(build_report_json(found))
    else:
        print_report(stdout_console(), found, intervals=ci, blocks=blocks, score=score.value)
    raise typer.Exit(UNJUDGED if found.unjudged or found.told.loud else DONE)


def compare(
    first: Annotated[str | None, typer.Argument(help="A model, or RUN:MODEL for one of another run.")] = None,
    second: Annotated[str | None, typer.Argument(help="The model it is compared with.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="A run's name or its beginning; else the newest.")] = None,
    backbone: Annotated[bool, typer.Option("--backbone", help="Each unified model against its backbone.")] = False,
    paper: Annotated[bool, typer.Option("--paper", help="Our figures beside the paper's, for models that the paper has.")] = False,
    listed: Annotated[int, typer.Option("--list", min=0, help="The number of flipped items to list, in each direction.")] = 10,
    model: ModelOption = None,
    task: TaskOption = None,
    category: CategoryOption = None,
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two models on the same items, unified models with their backbones, or a run with the paper."""
    from unisafe_cache import read_file

    from unisafe_async.results.compared import read_comparison
    from unisafe_async.results.filters import read_where
    from unisafe_async.screens.compare import print_comparison
    from unisafe_async.screens.console import stdout_console

    if sum((first is not None, backbone, paper)) != 1 or (first is not None and second is None):
        raise usage_error("compare: name two models (unisafe compare A B), or say --backbone or --paper")
    if first is not None and model:
        raise usage_error("--model: goes with --backbone and --paper; the two models are named already")
    where = read_where(model, task, category)
    asked: tuple[str, str] | Literal["backbone", "paper"]
    asked = (first, second) if first is not None and second is not None else "backbone" if backbone else "paper"
    named = run or (first if first is not None and second is not None and ":" in first and ":" in second else None)
    path = find_run_file(config, cache, named)
    found = read_file(path, lambda connection: read_comparison(connection, run, asked, where))
    if as_json:
        from unisafe_async.interchange.command_json import build_comparison_json

        print_json(build_comparison_json(found))
    else:
        print_comparison(stdout_console(), found, listed)


def runs(
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="WORD", help="Only runs with this tag (repeatable).")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs in the cache, the newest first."""
    from unisafe_cache import read_file

    from unisafe_async.results.listing import read_runs
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.screens.listing import print_runs

    found = read_file(find_cache_file(config, cache), lambda connection: read_runs(connection, tag or ()))
    if as_json:
        from unisafe_async.interchange.command_json import build_runs_json

        print_json(build_runs_json(found))
    else:
        print_runs(stdout_console(), found)
