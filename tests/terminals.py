"""The command in a terminal of its own, as a person has it: it shows a screen, takes keys, and answers what it is asked."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from forked import Process

KITTY = {"\x1b[16t": "\x1b[6;20;10t", "AAAA\x1b\\": "\x1b_Gi=31;OK\x1b\\", "\x1b[c": "\x1b[?62;c"}
SIXEL = {"\x1b[16t": "\x1b[6;20;10t", "\x1b[c": "\x1b[?62;4;22c"}
SILENT: Mapping[str, str] = {}
"""What terminals answer to which question: one that knows kitty's pictures, one with sixels, and one that answers nothing."""


class Terminal:
    """`unisafe ARGUMENTS` in a terminal of 100 columns and 50 lines.

    Args:
        answers: what the terminal answers, by the question.
        late: seconds that an answer takes.
        sized: whether it says how large it is.
    """

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        answers: Mapping[str, str] = SILENT,
        late: float = 0.0,
        sized: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.seen = self.all = ""
        self._answers, self._late = answers, late
        self._asked: dict[str, int] = {}
        self._due: list[tuple[float, str]] = []
        self._here, there = pty.openpty()
        if sized:
            fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
        size = {"COLUMNS": "100", "LINES": "50"}
        known = {**os.environ, "TERM": "xterm-256color", **size, **(env or {})}
        try:
            self.process = Process(*arguments, cwd=folder, streams=(there, there, there), env=known, terminal=True)
        finally:
            os.close(there)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if self._here >= 0:
            os.close(self._here)

    def expect(self, words: str) -> str:
        """Read until `words` come; what came before them since the last call."""
        deadline = time.monotonic() + 60
        while words not in self.seen:
            if time.monotonic() > deadline:
                raise AssertionError(f"{words!r} never came: {self.seen}")
            if not self._read(0.05):
                raise AssertionError(f"ended before {words!r}: {self.seen}")
        before, _, self.seen = self.seen.partition(words)
        return before

    def end(self) -> str:
        """Read until the command has ended; all that was shown."""
        deadline = time.monotonic() + 60
        while self._read(0.05) and time.monotonic() < deadline:
            pass
        self.process.wait(10)
        return self.all

    def press(self, keys: str, gap: float = 0.0) -> None:
        """Type `keys`, each followed by a pause of `gap` seconds where it is not 0, whatever the screen shows."""
        for key in keys if gap else [keys]:
            os.write(self._here, key.encode())
            self.watch(gap)

    def watch(self, seconds: float) -> None:
        """Read what comes within so many seconds."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self._read(left):
            pass

    def echoes(self) -> bool:
        """Whether what is typed is shown, and comes line by line, as a shell needs it."""
        flags = termios.tcgetattr(self._here)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def hang_up(self) -> None:
        """Close the window: what runs in it gets SIGHUP and can write nothing any more."""
        os.close(self._here)
        self._here = -1

    def _read(self, seconds: float) -> bool:
        """Show what comes within `seconds` and answer questions; False once nothing can come."""
        if select.select([self._here], [], [], min(seconds, 0.05))[0]:
            try:
                new = os.read(self._here, 65536).decode("utf-8", "replace")
            except OSError:
                return False
            if not new:
                return False
            self.seen += new
            self.all += new
            self._note_questions()
        now = time.monotonic()
        for due in [one for one in self._due if one[0] <= now]:
            self._due.remove(due)
            os.write(self._here, due[1].encode())
        return True

    def _note_questions(self) -> None:
        for question, answer in self._answers.items():
            asked = self.all.count(question)
            for _ in range(asked - self._asked.get(question, 0)):
                self._due.append((time.monotonic() + self._late, answer))
            self._asked[question] = asked
