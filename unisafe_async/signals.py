"""Signals that ask the program to end: Ctrl-C, a service manager's SIGTERM, the SIGHUP of a terminal that was closed."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress

HANGUP: int | None = None if sys.platform == "win32" else signal.SIGHUP


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that stop a run; without SIGHUP if the parent process ignores it, as `nohup` does."""
    if sys.platform == "win32" or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return (signal.SIGINT, signal.SIGTERM)
    return (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_like_interrupts() -> None:
    """Make every such signal end a command as Ctrl-C does: its drafts are removed and its terminal is restored."""
    for number in stop_signals():
        with suppress(ValueError):  # not in the main thread
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
