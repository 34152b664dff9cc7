"""What is unjudged on the screen: by cause, with what the judge said instead, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from unisafe_async.results.advice import Cause
from unisafe_async.screens.console import Indented
from unisafe_async.text import count

LISTED = 8


def print_unjudged(console: Console, causes: Sequence[Cause], total: int, rest: Sequence[str]) -> None:
    """Print the causes, the most frequent first, each with what to do; then `rest`, one line each; nothing if all is judged."""
    if not total:
        return
    console.print()
    console.print(Text(f"Unjudged, and in no score: {count(total, 'item')}", style="bold yellow"))
    width = max([len(f"{cause.rows:,}") for cause in causes[:LISTED]], default=0)
    for cause in causes[:LISTED]:
        head = Text.assemble((f"{cause.rows:>{width},}  ", "bold"), cause.title, overflow="fold")
        console.print(Indented(head))
        if cause.reply:
            console.print(Indented(Text(cause.reply, style="italic", overflow="fold"), width + 4))
        console.print(Indented(Text(f"{cause.advice}; one of them: {cause.show}", style="dim", overflow="fold"), width + 4))
    if len(causes) > LISTED:
        more = causes[LISTED:]
        rarer = f"and {sum(cause.rows for cause in more):,} of {count(len(more), 'other cause')}, each rarer"
        words = f"{rarer}; `unisafe browse --contextual unjudged` shows every one"
        console.print(Indented(Text(words, style="dim")))
    for words in rest:
        console.print(Indented(Text(words)))
