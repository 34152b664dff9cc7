"""`data ...`: look at a dataset."""

from __future__ import annotations

from typing import Annotated

import typer

from unisafe_async.commands.options import DONE, UNJUDGED

app = typer.Typer(help="Look at a dataset.", no_args_is_help=True)


@app.command("check")
def check_dataset(path: Annotated[str, typer.Argument(help="A folder, a .jsonl file, sample, or hf:OWNER/NAME.")]) -> None:
    """Count a dataset's items beside the paper's, and list every problem with file and line."""
    from unisafe_async.benchmark.check import check
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.screens.data import print_check

    checked = check(path)
    print_check(stdout_console(), checked)
    raise typer.Exit(UNJUDGED if checked.problems else DONE)
