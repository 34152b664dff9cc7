"""`show` and `browse`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unisafe_async.commands.options import DONE, CacheOption, CategoryOption, ConfigOption, RunArgument, TaskOption, file_of_run

if TYPE_CHECKING:
    from unisafe_async.browse.rows import Filter

ShownModels = Annotated[list[str] | None, typer.Option("--model", "-m", help="Only this model's responses (repeatable).")]
RevealOption = Annotated[bool, typer.Option("--reveal", help="Show images as they are; else they are blurred.")]
Verdicts = list[str] | None


def show(
    item: Annotated[str, typer.Argument(help="task/id, or an id that only one task has.")],
    run_name: Annotated[str | None, typer.Option("--run", help="A run's name or its beginning; else the newest.")] = None,
    config: ConfigOption = Path("bench.toml"),
    cache: CacheOption = None,
    model: ShownModels = None,
    reveal: RevealOption = False,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Draw images if the terminal can show them.")] = True,
    thoughts: Annotated[bool, typer.Option("--thoughts", help="Show a model's whole thoughts; else only their beginning.")] = False,
) -> None:
    """Show one item: request, responses with the models' thoughts, and the verdicts with their reasons."""
    from cache import read_file
    from unisafe_async.browse.pictures import Pictures, folders_of
    from unisafe_async.browse.rows import read_item
    from unisafe_async.report.console import stdout_console
    from unisafe_async.report.show import drawing, print_item

    path = file_of_run(config, cache, run_name)
    facets, details = read_file(path, lambda connection: read_item(connection, item, run_name, model or ()))
    pictures = Pictures(path, facets, folders_of(config, path))
    console = stdout_console()
    prompt = pictures.prompt(details[0].row.item) if all(detail.reply is None for detail in details) else None
    print_item(console, details, drawing(console, pictures, images=images, reveal=reveal), prompt, thoughts=thoughts)


def browse(
    name: RunArgument = None,
    config: ConfigOption = Path("bench.toml"),
    cache: CacheOption = None,
    model: ShownModels = None,
    task: TaskOption = None,
    category: CategoryOption = None,
    contextual: Annotated[Verdicts, typer.Option(help="unsafe, safe, refusal or unjudged (repeatable).")] = None,
    intrinsic: Annotated[Verdicts, typer.Option(help="unsafe, safe or unjudged (repeatable).")] = None,
    outcome: Annotated[
        list[str] | None,
        typer.Option(help="answered, refused, blocked, blocked_request, blocked_response, empty or failed (repeatable)."),
    ] = None,
    text: Annotated[str, typer.Option("--text", help="A text in the request, the response or a reason.")] = "",
    reveal: RevealOption = False,
) -> None:
    """Browse a run's responses with their images and verdicts, also during the run; in a pipe, one line for each row."""
    from cache import CacheError, read_file
    from unisafe_async.browse.pictures import Pictures, folders_of
    from unisafe_async.browse.rows import read_facets
    from unisafe_async.report.console import says_its_size, stdout_console

    path = file_of_run(config, cache, name)
    which = filter_of(model, task, category, contextual, intrinsic, outcome, text)
    facets = read_file(path, lambda connection: read_facets(connection, name))
    for one in which.models:
        if one not in facets.models:
            raise CacheError(f"--model: run {facets.run} has no rows of {one!r}; models there are {', '.join(facets.models)}")
    if not (says_its_size() and stdout_console().is_interactive and sys.stdin.isatty() and sys.stderr.isatty()):
        from unisafe_async.browse.listing import write_list
        from unisafe_async.report.text import count, plain

        rows = write_list(path, facets, which, sys.stdout)
        words = f", {which.words()}" if which.words() else ""
        print(plain(f"{facets.run}: {rows:,} of {count(facets.rows, 'row')}{words}"), file=sys.stderr)
        return
    from unisafe_async.browse.app import Browser
    from unisafe_async.browse.drawing import begin, drop_answers

    begin()
    drop_answers()
    browser = Browser(path, facets, Pictures(path, facets, folders_of(config, path)), which, reveal=reveal)
    browser.run()
    raise typer.Exit(browser.return_code or DONE)


def filter_of(
    models: Sequence[str] | None,
    tasks: Sequence[str] | None,
    categories: Sequence[str] | None,
    contextual: Sequence[str] | None = None,
    intrinsic: Sequence[str] | None = None,
    outcomes: Sequence[str] | None = None,
    text: str = "",
) -> Filter:
    """The filter from the options. Raises typer.BadParameter with the known names."""
    from unisafe_async.browse.rows import CONTEXTUAL_WORDS, INTRINSIC_WORDS, OUTCOMES, Filter
    from unisafe_async.taxonomy import SHOWN_CATEGORIES, TASKS, match_category, match_subcategory, match_task

    def known(
        option: str, names: Sequence[str] | None, match: Callable[[str], str | None], among: Sequence[str]
    ) -> tuple[str, ...]:
        found = []
        for name in names or ():
            matched = match(name)
            if matched is None:
                raise typer.BadParameter(f"--{option}: {name!r} is none of {', '.join(among)}")
            found.append(matched)
        return tuple(found)

    def one_of(among: Sequence[str]) -> Callable[[str], str | None]:
        return lambda name: name if name in among else None

    first, second = tuple(CONTEXTUAL_WORDS.values()), tuple(INTRINSIC_WORDS.values())
    return Filter(
        tuple(models or ()),
        known("task", tasks, match_task, tuple(TASKS)),
        known("category", categories, lambda name: match_category(name) or match_subcategory(name), SHOWN_CATEGORIES),
        known("contextual", contextual, one_of(first), first),
        known("intrinsic", intrinsic, one_of(second), second),
        known("outcome", outcomes, one_of(OUTCOMES), OUTCOMES),
        text,
    )
