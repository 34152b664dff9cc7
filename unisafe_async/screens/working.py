"""What a command is busy with when that takes longer than a second: words and the time.

It is drawn on standard error, in a terminal alone, and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from unisafe_async.screens.console import redraws
from unisafe_async.text import plain

AFTER = 1.0
"""Seconds that work may take before anything is shown."""


@contextmanager
def show_working(words: str, *, console: Console | None = None, after: float = AFTER) -> Iterator[None]:
    """A block of work that is told of after `after` seconds; `words` say what it does, such as `writing rows.csv`."""
    console = console or Console(stderr=True)
    if not redraws(console):
        yield
        return
    columns = (SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    progress = Progress(*columns, console=console, transient=True)
    progress.add_task(plain(words), total=None)
    timer = Timer(after, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # it may be starting the display just now
        progress.stop()
