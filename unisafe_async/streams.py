"""Prepares standard streams that may be closed or full, may be a pipe that ends, or may have an encoding without our marks.

In all these cases the command does its work with the same exit code, and the stream gets every figure that it can take.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Mapping
from typing import TextIO

FORMS: Mapping[str, str] = {
    "●": "#",
    "○": "o",
    "↑": "+",
    "↓": "-",
    "←": "<",
    "→": ">",
    "·": "|",
    "•": "*",
    "…": ">",
    "✂": "%",
    "×": "x",
    "−": "-",
    "≤": "<",
    "≥": ">",
    "░": ".",
    "▒": "-",
    "▓": "=",
    "█": "#",
    "◇": "o",
    "✓": "+",
    "✔": "+",
    "✗": "x",
    "✘": "x",
    "‘": "'",
    "’": "'",
    "“": "'",
    "”": "'",
    "\N{NO-BREAK SPACE}": " ",
    "\N{REPLACEMENT CHARACTER}": "?",
}
"""Marks and their ASCII forms of the same width, so that columns stay aligned; no `"`, which would end a JSON string."""
RANGES = ((0x2010, 0x2015, "-"), (0x2400, 0x243F, "?"), (0x2580, 0x259F, "#"), (0x25A0, 0x25FF, "*"), (0x2800, 0x28FF, "."))
"""First and last code of dashes, stand-ins of control characters, blocks, shapes and spinners, each with its replacement."""
ACROSS, DOWN = "─━┄┅┈┉╌╍═╴╶╸╺╼╾", "│┃┆┇┊┋╎╏║╵╷╹╻╽╿"


def spell_character(error: UnicodeError) -> tuple[str, int]:
    """The replacement for a character that an encoding lacks: a mark's ASCII form, else its code as in JSON, `\\u6a21`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_form, error.object[error.start : error.end])), error.end


def _form(character: str) -> str:
    code = ord(character)
    if character in FORMS:
        return FORMS[character]
    if 0x2500 <= code <= 0x257F:
        return "-" if character in ACROSS else "|" if character in DOWN else "+"
    form = next((form for first, last, form in RANGES if first <= code <= last), None)
    if form is not None:
        return form
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


class Kept(io.RawIOBase):
    """A stream that never raises an error for its writer: it drops text that cannot be written, and `lost` says why."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.lost: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: object, /) -> int:
        """Write all of `data`; waits for a reader if the descriptor does not block."""
        left = memoryview(data)  # type: ignore[arg-type]
        size = left.nbytes
        while left and self.lost is None:
            try:
                written = self._raw.write(left)
                if written is None:
                    select.select([], [self._raw], [], 1.0)
                left = left[written or 0 :]
            except OSError as error:
                self.lost = error
        return size


def settle_streams() -> None:
    """Replace standard input, output and error by streams whose reading and writing raises no errors."""
    codecs.register_error("spelled", spell_character)
    _open_closed()
    if sys.stdin is None:
        _put("stdin", open(0, encoding="utf-8"))  # noqa: SIM115
    if type(sys.stdin) is io.TextIOWrapper:
        sys.stdin.reconfigure(errors="replace")
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(descriptor, "w", encoding="utf-8")  # noqa: SIM115
        elif type(stream) is not io.TextIOWrapper:
            continue  # somebody else's, as where a test reads it
        _put(name, _keep(stream))


def _put(name: str, stream: TextIO) -> None:
    """Make `stream` the standard stream of that name, also for code that uses the stream that Python started with."""
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


def _open_closed() -> None:
    """Open the null device for each closed standard descriptor: else the next opened file would get its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)


def _keep(stream: io.TextIOWrapper) -> TextIO:
    encoding, lines, through = stream.encoding, stream.line_buffering, stream.write_through
    buffer = stream.detach()
    raw = buffer if isinstance(buffer, io.RawIOBase) else buffer.detach()  # type: ignore[attr-defined]
    kept = Kept(raw)
    under = kept if raw is buffer else io.BufferedWriter(kept)
    return io.TextIOWrapper(under, encoding, "spelled", line_buffering=lines, write_through=through)  # type: ignore[type-var]


def end_streams() -> None:
    """Write the rest, and say on standard error what standard output lost; silent if the reader left."""
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:
            stream.flush()
    lost = _find_lost(sys.stdout)
    if lost is not None and lost.errno not in (errno.EPIPE, errno.EIO):
        print(f"unisafe: standard output was cut short: {lost.strerror}", file=sys.stderr)
        sys.stderr.flush()


def _find_lost(stream: TextIO) -> OSError | None:
    under = getattr(stream, "buffer", None)
    end = getattr(under, "raw", under)
    return end.lost if isinstance(end, Kept) else None


def is_ended(stream: TextIO) -> bool:
    """Whether nobody can read `stream` any more."""
    return _find_lost(stream) is not None
