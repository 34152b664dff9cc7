"""Keys from a terminal, one at a time; other input, such as a late answer of the terminal, is no key."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

ESCAPE = b"\x1b"
SOON = 0.1
"""The second byte of a sequence follows the first within so many seconds; else the user pressed Escape."""
LATER = 0.5
"""Each further byte of a sequence follows within so many seconds."""
LONGEST = 65_536
"""The most bytes of a sequence; a longer one is cut there."""
STRINGS = b"_P]^X"
"""The beginnings of strings that end with ST, such as a graphics answer (APC) or a device's (DCS); an OSC may also end with BEL."""


@contextmanager
def set_terminal_mode(*, keys: bool) -> Iterator[None]:
    """Inside the block, single keys come at once without echo, or whole lines (`keys=False`); keys typed ahead are not lost."""
    if not sys.stdin.isatty() or sys.platform == "win32":
        yield
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    lines = list(before)
    lines[3] |= termios.ICANON | termios.ECHO
    try:
        if keys:
            tty.setcbreak(descriptor, termios.TCSADRAIN)
        else:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, lines)
        yield
    finally:
        with suppress(termios.error):  # the terminal may have been closed
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def is_readable(descriptor: int, seconds: float = 0.0) -> bool:
    """Whether something can be read from `descriptor`, now or within `seconds`."""
    return bool(select.select([descriptor], [], [], seconds)[0])


def read_sent(descriptor: int, seconds: float | None = None) -> bytes:
    """The terminal's next input: a key as UTF-8, or a whole escape sequence; empty at the end, or after `seconds`."""
    end = time.monotonic() + seconds if seconds is not None else None
    while not is_readable(descriptor, 1.0 if end is None else min(1.0, max(0.0, end - time.monotonic()))):
        if end is not None and time.monotonic() >= end:
            return b""
        # wait in steps: a Ctrl-C right before an endless wait would not end it
    first = _byte(descriptor)
    if first == ESCAPE:
        return _sequence(descriptor)
    for _ in range(_more(first)):
        first += _byte(descriptor, LATER)
    return first


def _more(first: bytes) -> int:
    """How many bytes of UTF-8 follow this one."""
    lead = first[0] if first else 0
    return 3 if lead >= 0xF0 else 2 if lead >= 0xE0 else 1 if lead >= 0xC0 else 0


def _byte(descriptor: int, seconds: float = 0.0) -> bytes:
    """The next byte; empty if none comes within `seconds`, or the terminal was closed."""
    try:
        return os.read(descriptor, 1) if is_readable(descriptor, seconds) else b""
    except OSError:
        return b""


def _sequence(descriptor: int) -> bytes:
    """The sequence that begins with Escape, to its end; Escape alone if the user pressed it."""
    second = _byte(descriptor, SOON)
    sent = ESCAPE + second
    if not second or second not in b"[O" + STRINGS:
        return sent
    while len(sent) < LONGEST:
        last = _byte(descriptor, LATER)
        sent += last
        if not last or _is_end(second, last, sent):
            break
    return sent


def _is_end(second: bytes, last: bytes, sent: bytes) -> bool:
    if second == b"O":
        return True
    if second == b"[":
        return b"\x40" <= last <= b"\x7e"
    return sent.endswith(b"\x1b\\") or (second == b"]" and last == b"\x07")


def drain(descriptor: int) -> None:
    """Read and drop all keys typed so far, with whole answers of the terminal."""
    while is_readable(descriptor) and read_sent(descriptor, 0.0):
        pass
