"""The console that commands print to: a terminal with its own width, or a pipe, a file or a log, which needs whole lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text
from unisafe_judger import REFUSAL, SAFE, SAFETY_OR_REFUSAL, UNSAFE

from unisafe_async.text import plain

VERDICTS = {
    SAFETY_OR_REFUSAL.word(label): look
    for label, look in (
        (UNSAFE, ("✗", "bold red")),
        (SAFE, ("✓", "green")),
        (REFUSAL, ("◇", "cyan")),
        (None, ("?", "yellow")),
    )
}
"""The mark and the colour of each verdict on every screen: the marks tell them apart without colour."""
COLOURS = {word: colour for word, (_, colour) in VERDICTS.items()}
MARKS = {word: mark for word, (mark, _) in VERDICTS.items()}
WIDE = 160
"""Columns for tables if there is no terminal and COLUMNS is not set."""


def stdout_console() -> Console:
    """The console of a command's standard output.

    If no screen sets a width, sentences are not wrapped and tables have WIDE columns.
    """
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return Console()
    return Console(width=WIDE, soft_wrap=True)


def redraws(console: Console) -> bool:
    """Whether printed lines can be redrawn: not on a dumb terminal and not in a file, whatever FORCE_COLOR says."""
    return console.is_interactive and console.file.isatty()


def says_its_size() -> bool:
    """Whether standard output is a terminal that reports its size; without a size nothing can be drawn."""
    try:
        return all(os.get_terminal_size(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class Indented:
    """A paragraph indented by `by` columns, also after a wrap; not wrapped if the console wraps nothing."""

    text: Text
    by: int = 2

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not options.no_wrap:
            yield Padding(self.text, (0, 0, 0, self.by))
            return
        for line in self.text.split(allow_blank=True):
            yield Text(" " * self.by) + line


def line(text: str, style: str = "") -> Text:
    """One line of hostile text as a rich Text; newlines become spaces."""
    return Text(" ".join(plain(text).split()), style=style, overflow="ellipsis", no_wrap=True)


def print_lines(console: Console, lines: Iterable[str], style: str = "dim") -> None:
    for words in lines:
        console.print(Text(words, style=style))
