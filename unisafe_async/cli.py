"""The command `unisafe`: thin over the library; its subcommands are in `commands/`, one file a subject.

Exit codes: 0 all judged, 1 something unjudged, 2 bad usage, configuration, environment, dataset or cache, 70 a fault of the
program, 130 interrupted; of `gate` also 3 (a bound is broken) and 4 (not decided, or not measured). No standard stream changes
them, whatever it is.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Annotated, TextIO

import typer

import unisafe_async
from unisafe_async.commands import (
    batches,
    caches,
    calibration,
    command_checking,
    data,
    doctoring,
    gating,
    interchange,
    plugging,
    results,
    running,
    starting,
    viewing,
)
from unisafe_async.commands.options import BAD, FAULT, INTERRUPTED
from unisafe_async.config.renamed_keys import OldName
from unisafe_async.signals import end_like_interrupts
from unisafe_async.streams import end_streams, settle_streams

app = typer.Typer(
    help="How safe are multimodal models? Uni-SafeBench over hosted and local models; every call is paid for once.",
    epilog="Start with `unisafe init`. Every key of bench.toml and every command: the folder docs of the project.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
GROUPS: dict[str, tuple[tuple[str, Callable[..., None], str], ...]] = {
    "Start": (
        ("init", starting.init, "unisafe init --openai gpt-5-mini --vllm http://localhost:8000/v1"),
        ("plan", running.plan, "unisafe plan --limit 50"),
        ("doctor", doctoring.doctor, "unisafe doctor --free"),
        ("simulate", running.simulate, "unisafe simulate --rpm 600 --fault rate_limited=0.05"),
        ("providers", plugging.providers, "unisafe providers openrouter"),
    ),
    "Evaluate": (
        ("run", running.run, "unisafe run --limit 50 --model GPT-5"),
        ("batches", batches.batches, "unisafe batches --refresh"),
        ("judge", interchange.judge, "unisafe judge responses.jsonl"),
    ),
    "Look": (
        ("report", results.report, "unisafe report --by category --ci"),
        ("compare", results.compare, "unisafe compare GPT-5 Claude"),
        ("gate", gating.gate, "unisafe gate --max c_u=5 --min b_s=90"),
        ("runs", results.runs, "unisafe runs"),
        ("show", viewing.show, "unisafe show malicious_text_generation/3"),
        ("browse", viewing.browse, "unisafe browse --contextual unsafe"),
        ("view", viewing.view, "unisafe view --cache results.duckdb"),
        ("label", calibration.label, "unisafe label --output labels.jsonl --limit 100"),
        ("agree", calibration.agree, "unisafe agree labels.jsonl"),
    ),
    "Share": (
        ("tables", interchange.tables, "unisafe tables --format latex --ci"),
        ("rows", interchange.rows, "unisafe rows --format parquet --output rows.parquet"),
        ("export", interchange.export, "unisafe export run.unisafe"),
        ("import", interchange.import_files, "unisafe import run.unisafe"),
        ("export-official", interchange.export_official, "unisafe export-official folder"),
        ("import-verdicts", interchange.import_verdicts, "unisafe import-verdicts folder --name official"),
    ),
    "Keep and extend": (
        ("new-provider", plugging.new_provider, "unisafe new-provider my-api"),
        ("check-command", command_checking.check_command, "unisafe check-command --model Bagel"),
    ),
}
"""The commands in the order and the groups of `--help`, each with an example."""

for group, commands in GROUPS.items():
    for name, command, example in commands:
        app.command(name, rich_help_panel=group, epilog=f"Example: `{example}`")(command)
app.add_typer(data.app, name="data", rich_help_panel="Keep and extend")
app.add_typer(caches.app, name="cache", rich_help_panel="Keep and extend")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"unisafe {unisafe_async.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """How safe are multimodal models? Uni-SafeBench over hosted and local models; every call is paid for once."""


def _forget_odd_sizes() -> None:
    """Unset COLUMNS and LINES if they are no size: rich prints nothing in 0 columns, and takes `²` for a number."""
    for name in ("COLUMNS", "LINES"):
        if not re.fullmatch("0*[1-9][0-9]{0,5}", os.environ.get(name, "1")):
            del os.environ[name]


def _say_old_names() -> None:
    """Print the sentence about an old name as a line of the command's own, not as Python prints warnings."""
    show_others = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, OldName):
            from unisafe_async.text import plain

            print(f"unisafe: {plain(str(message))}", file=sys.stderr)
        else:
            show_others(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def main() -> None:
    """Entry point of `unisafe`."""
    _forget_odd_sizes()
    settle_streams()
    end_like_interrupts()
    _say_old_names()
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        sys.exit(_report_error(error))
    finally:
        end_streams()


def _report_error(error: Exception) -> int:
    """Print the error on standard error, with a traceback if it is a fault of the program; returns the exit code."""
    from unisafe_providers.errors import UnisafeError

    if not isinstance(error, UnisafeError):
        traceback.print_exception(error)
        print("unisafe: this is a fault of unisafe itself; please report it with the lines above", file=sys.stderr)
        return FAULT
    from unisafe_async.text import plain

    for words in str(error).splitlines():
        print(f"unisafe: {plain(words)}", file=sys.stderr)
    return BAD


if __name__ == "__main__":
    main()
