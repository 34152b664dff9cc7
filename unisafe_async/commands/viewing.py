"""`show`, `browse` and `view`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from unisafe_async.commands.options import (
    DONE,
    CacheOption,
    CategoryOption,
    ConfigOption,
    RunArgument,
    TaskOption,
    find_cache_file,
    find_run_file,
)
from unisafe_async.config.default_paths import DEFAULT_FILE

ShownModels = Annotated[list[str] | None, typer.Option("--model", "-m", help="Only this model's responses (repeatable).")]
RevealOption = Annotated[bool, typer.Option("--reveal", help="Show images as they are; else they are blurred.")]
Verdicts = list[str] | None


def show(
    item: Annotated[str, typer.Argument(help="task/id, or an id that only one task has.")],
    run_name: Annotated[str | None, typer.Option("--run", help="A run's name or its beginning; else the newest.")] = None,
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    model: ShownModels = None,
    reveal: RevealOption = False,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Draw images if the terminal can show them.")] = True,
    thoughts: Annotated[bool, typer.Option("--thoughts", help="Show a model's whole thoughts; else only their beginning.")] = False,
) -> None:
    """Show one item: request, responses with the models' thoughts, and the verdicts with their reasons."""
    from unisafe_cache import read_file

    from unisafe_async.browse.pictures import Pictures, folders_of
    from unisafe_async.browse.show import choose_drawing, print_item
    from unisafe_async.results.rows import read_item
    from unisafe_async.screens.console import stdout_console

    path = find_run_file(config, cache, run_name)
    facets, details = read_file(path, lambda connection: read_item(connection, item, run_name, model or ()))
    pictures = Pictures(path, facets, folders_of(config, path))
    console = stdout_console()
    prompt = pictures.read_prompt(details[0].row.item) if all(detail.reply is None for detail in details) else None
    print_item(console, details, choose_drawing(console, pictures, images=images, reveal=reveal), prompt, thoughts=thoughts)


def browse(
    name: RunArgument = None,
    config: ConfigOption = DEFAULT_FILE,
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
    from unisafe_cache import read_file

    from unisafe_async.browse.pictures import Pictures, folders_of
    from unisafe_async.results.filters import read_where
    from unisafe_async.results.rows import read_facets
    from unisafe_async.results.runs import resolve_where
    from unisafe_async.screens.console import says_its_size, stdout_console

    asked = read_where(model, task, category, contextual, intrinsic, outcome, text)
    path = find_run_file(config, cache, name)
    facets = read_file(path, lambda connection: read_facets(connection, name))
    which = read_file(path, lambda connection: resolve_where(connection, facets.run, asked))
    if not (says_its_size() and stdout_console().is_interactive and sys.stdin.isatty() and sys.stderr.isatty()):
        from unisafe_async.browse.listing import write_list
        from unisafe_async.text import count, plain

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


def view(
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in your browser.")] = True,
    labels: Annotated[
        Path,
        typer.Option("--labels", metavar="FILE", dir_okay=False, help="The file that labels go to, as `unisafe label` writes it."),
    ] = Path("labels.jsonl"),
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who labels; else the user's name on this machine.")
    ] = None,
    blind: Annotated[bool, typer.Option("--blind", help="Hide every verdict until you have labelled the answer.")] = False,
) -> None:
    """Show all runs of a cache as a local web page that refreshes itself; it starts no run and sends nothing."""
    from unisafe_async.commands.serving import serve_view

    serve_view(find_cache_file(config, cache), config, port, labels, by, blind=blind, browser=browser)
