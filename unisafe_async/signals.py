"""Signals that ask the program to end: Ctrl-C, a service manager's SIGTERM, the SIGHUP of a terminal that was closed."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress

HANGUP: int | None = None if sys.platform == "win32" else signal.SIGHUP


def stop_signals() -> tuple[signal.Signals, ...]:
    """What a run is stopped by; no SIGHUP where whoever started it had it ignored, as `nohup` does."""
    if sys.platform == "win32" or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return (signal.SIGINT, signal.SIGTERM)
    return (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_like_interrupts() -> None:
    """Have every such signal end a command as Ctrl-C does, with its drafts removed and its terminal as it was."""
    for number in stop_signals():
        with suppress(ValueError):  # not in the main thread
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
