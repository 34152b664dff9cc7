"""`label` and `agree`: how far the judge can be trusted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from unisafe_async.commands.options import BAD, CacheOption, ConfigOption, RunArgument, TaskOption, find_cache_file, find_run_file
from unisafe_async.commands.viewing import RevealOption, ShownModels
from unisafe_async.config.default_paths import DEFAULT_FILE


def label(
    out: Annotated[Path, typer.Option("-o", "--out", help="The file of labels; an old one is continued.", dir_okay=False)],
    name: RunArgument = None,
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="The number of responses, spread over tasks and categories.")
    ] = 100,
    model: ShownModels = None,
    task: TaskOption = None,
    by: Annotated[str | None, typer.Option("--by", help="Who labels; else the user's name on this machine.")] = None,
    seed: Annotated[
        int, typer.Option(help="The seed of the selection and its order; people with the same seed label the same responses.")
    ] = 0,
    show_model: Annotated[bool, typer.Option("--show-model", help="Show which model wrote a response.")] = False,
    reveal: RevealOption = False,
) -> None:
    """Label responses by hand, one by one and blind to the judge's verdict; every label is kept at once."""
    import getpass

    from rich.text import Text
    from unisafe_cache import read_file

    from unisafe_async.browse.pictures import Pictures, folders_of
    from unisafe_async.browse.show import choose_drawing
    from unisafe_async.calibration.labelling import Session, label_rows
    from unisafe_async.calibration.labels import read_labels
    from unisafe_async.calibration.offering import choose_rows
    from unisafe_async.results.filters import read_where
    from unisafe_async.results.rows import read_facets
    from unisafe_async.results.runs import resolve_where
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.text import count, plain

    asked = read_where(model, task)
    path = find_run_file(config, cache, name)
    facets = read_file(path, lambda connection: read_facets(connection, name))
    which = read_file(path, lambda connection: resolve_where(connection, facets.run, asked))
    numbers = read_file(path, lambda connection: choose_rows(connection, facets.run, which, limit, seed))
    labeller = by or getpass.getuser()
    labels, bad = read_labels(out) if os.path.exists(out) else ([], [])
    console = stdout_console()
    for problem in bad[:5]:
        console.print(Text(f"not a label, left as it is: {plain(str(problem))}", style="yellow"))
    if not numbers:
        console.print(Text("there is no response to label", style="yellow"))
        raise typer.Exit(BAD)
    done = {one.place for one in labels if one.labeller == labeller and one.contextual is not None and one.intrinsic is not None}
    console.print(Text(f"{facets.run}: {count(len(numbers), 'response')} for {plain(labeller)}; labels go to {plain(str(out))}"))
    pictures = Pictures(path, facets, folders_of(config, path))
    draw = choose_drawing(console, pictures, images=True, reveal=reveal)
    try:
        written = label_rows(
            console,
            Session(path=out, cache=path, run=facets.run, labeller=labeller, named=show_model),
            numbers,
            done,
            pictures,
            draw,
        )
    except KeyboardInterrupt:
        console.print(Text("\nstopped; every label so far is kept"))
        raise
    console.print(Text(f"\n{count(written, 'label')} written; `unisafe agree {plain(str(out))}` compares them with the judge"))


def agree(
    labels: Annotated[Path, typer.Argument(help="The file of labels that `unisafe label` wrote.", dir_okay=False)],
    run_name: Annotated[
        str | None, typer.Option("--run", help="Compare with this run's judge; else each label with the judge of its own run.")
    ] = None,
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    listed: Annotated[int, typer.Option("--list", min=0, help="The number of disagreements to list.")] = 10,
) -> None:
    """Compare people's labels with the judge: accuracy beside the paper's, kappa, confusion, disagreements."""
    from unisafe_async.calibration.agreement import agree as compare
    from unisafe_async.calibration.screen import print_agreement
    from unisafe_async.screens.console import stdout_console

    found = compare(labels, find_cache_file(config, cache), run_name)
    print_agreement(stdout_console(), found, listed)
    raise typer.Exit(0 if found.comparisons else BAD)
