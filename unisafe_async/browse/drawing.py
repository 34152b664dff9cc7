"""How pictures are drawn on this terminal. The terminal is asked once, before any key is read, and never again.

The drawing library would ask at its import and at its first picture, and would take typed keys for answers.
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Literal

from PIL import Image as Picture

from unisafe_async.browse.keys import drain, is_readable, read_sent, set_terminal_mode

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.message import Message
    from textual.widget import Widget

Way = Literal["sixel", "kitty", "cells"]
QUESTIONS = "\x1b[16t\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c"
"""Asks for the size of a cell, for kitty's pictures, and for the terminal's kind and sixels; every terminal answers the last."""
TIMEOUT = 1.0
"""Seconds to wait for all answers. After that, late answers are not read as keys, and pictures become half blocks."""
CELL, GRAPHICS, DEVICE = (
    re.compile(rb"\x1b\[6;(\d+);(\d+)t"),
    re.compile(rb"\x1b_Gi=31;(.*)\x1b\\", re.S),
    re.compile(rb"\x1b\[\?([\d;]*)c"),
)
ANSWER = re.compile("|".join(one.pattern.decode() for one in (CELL, GRAPHICS, DEVICE)).replace(".*", "[^\x1b]*"))
USUAL = (10, 20)
"""Width and height of a cell in pixels, if the terminal does not say."""


class Terminal:
    """A terminal's answers about itself.

    Attributes:
        way: how pictures are drawn.
        cell: pixels, width and height of a cell.
        late: whether answers may still come.
    """

    def __init__(self) -> None:
        self.way: Way = "cells"
        self.cell = _cell_by_system() or USUAL
        self.late = False

    def take_answer(self, answer: bytes) -> bool:
        """Note an answer; returns whether it was the last."""
        if (cell := CELL.fullmatch(answer)) and self.cell == USUAL and 0 not in (size := (int(cell[2]), int(cell[1]))):
            self.cell = size
        if (graphics := GRAPHICS.fullmatch(answer)) and graphics[1] == b"OK":
            self.way = "kitty"
        device = DEVICE.fullmatch(answer)
        if device is not None and b"4" in device[1].split(b";"):
            self.way = "sixel"
        return device is not None


@cache
def detect_terminal() -> Terminal:
    """This process's terminal; it is asked at the first use, but not if typed keys wait for another program."""
    found = Terminal()
    if sys.platform != "win32" and sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        with set_terminal_mode(keys=True):
            if not is_readable(sys.stdin.fileno()):
                _ask(found, sys.stdin.fileno())
    _settle(found)
    return found


def begin() -> None:
    """Ask the terminal before the first key is read; keys that were typed before are dropped."""
    if sys.platform != "win32" and sys.stdin.isatty():
        with set_terminal_mode(keys=True):
            drain(sys.stdin.fileno())
            detect_terminal()


def _ask(found: Terminal, descriptor: int) -> None:
    sys.stdout.write(QUESTIONS)
    sys.stdout.flush()
    end = time.monotonic() + TIMEOUT
    found.late = True
    while found.late and (left := end - time.monotonic()) > 0:
        found.late = not found.take_answer(read_sent(descriptor, left))


def _cell_by_system() -> tuple[int, int] | None:
    """Width and height of a cell, from the system."""
    if sys.platform == "win32":
        return None
    import fcntl
    import struct
    import termios

    with suppress(OSError, ValueError):
        rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8)))
        if rows and columns and width >= columns and height >= rows:
            return width // columns, height // rows
    return None


def _settle(found: Terminal) -> None:
    """Give the library the known answers instead of its own questions: it does not ask if the output is no terminal."""
    names = ("TEXTUAL_CELL_WIDTH", "TEXTUAL_CELL_HEIGHT")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(zip(names, map(str, found.cell), strict=True))
    try:
        with _hide_terminal():
            from rich.console import Console
            from textual_image.renderable import HalfcellImage

            Console(file=io.StringIO(), width=80).measure(HalfcellImage(Picture.new("RGB", (1, 1))))
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _hide_terminal() -> Iterator[None]:
    name = "__stdout__"
    before = getattr(sys, name)
    setattr(sys, name, io.StringIO())
    try:
        yield
    finally:
        setattr(sys, name, before)


def draw_picture(picture: Picture.Image, width: int) -> RenderableType:
    """`picture` for a rich console, at most `width` columns wide."""
    way = detect_terminal().way
    from textual_image import renderable

    if way == "sixel":
        return renderable.SixelImage(picture, width, "auto")
    return (renderable.TGPImage if way == "kitty" else renderable.HalfcellImage)(picture, width, "auto")


def widget_of(picture: Picture.Image) -> Widget:
    """`picture` for a textual app."""
    way = detect_terminal().way
    from textual_image.widget import HalfcellImage, SixelImage, TGPImage

    if way == "sixel":
        return SixelImage(picture)
    return TGPImage(picture) if way == "kitty" else HalfcellImage(picture)


def drop_answers() -> None:
    """Keep textual from taking a late answer for keys: `\\x1b_Gi=31;OK` would press `i`, which uncovers pictures."""
    if sys.platform == "win32" or not detect_terminal().late:
        return
    from textual._xterm_parser import XTermParser
    from textual.drivers import linux_driver

    class Answerless(XTermParser):
        def feed(self, data: str) -> Iterable[Message]:
            left = ANSWER.sub("", data)
            return super().feed(left) if left or not data else ()

    vars(linux_driver)["XTermParser"] = Answerless  # the driver makes its own
