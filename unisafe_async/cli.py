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
from typing import TextIO

import typer

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
    viewing,
)
from unisafe_async.commands.options import BAD, FAULT, INTERRUPTED
from unisafe_async.config.renamed_keys import OldName
from unisafe_async.signals import end_like_interrupts
from unisafe_async.streams import end_streams, settle_streams

app = typer.Typer(
    help="How safe are multimodal models? Uni-SafeBench over hosted and local models; every call is paid for once.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    running.run,
    running.plan,
    doctoring.doctor,
    results.report,
    results.compare,
    gating.gate,
    results.runs,
    batches.batches,
    running.simulate,
    interchange.tables,
    interchange.rows,
    interchange.export_official,
    interchange.judge,
    interchange.export,
    plugging.providers,
    plugging.new_provider,
    command_checking.check_command,
    viewing.show,
    viewing.browse,
    calibration.label,
    calibration.agree,
):
    app.command()(command)
app.command("import")(interchange.import_files)
app.command()(interchange.import_verdicts)
app.add_typer(data.app, name="data")
app.add_typer(caches.app, name="cache")


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
