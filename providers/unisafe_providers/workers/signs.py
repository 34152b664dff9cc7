"""Signs of life: what the thread that works has done, told now and then by a thread of its own.

Only the thread that works makes a sign. So a process that hangs falls silent, though its other threads live.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

EVERY = 5.0
"""Seconds between two reports, where nobody wants them sooner."""


class Signs:
    """Notes the steps of a batch, and reports them at most every few seconds.

    Args:
        say: called with a few words by a thread of this class, if anything was done since it was called last.
        every: seconds between two calls.
    """

    def __init__(self, say: Callable[[str], None], every: float) -> None:
        self._say = say
        self._every = every
        self._noted = threading.Event()
        self._what = ""
        self._steps = self._tokens = 0

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def begin(self, what: str) -> None:
        """`what` begins, such as `batch of 16`."""
        self._what, self._steps, self._tokens = what, 0, 0

    def note(self, tokens: int = 0) -> None:
        """A step is done, which made so many tokens."""
        self._steps += 1
        self._tokens += tokens
        self._noted.set()

    def _run(self) -> None:
        while True:
            self._noted.wait()
            self._noted.clear()
            self._say(f"{self._what}: step {self._steps:,}{f', {self._tokens:,} tokens' if self._tokens else ''}")
            time.sleep(self._every)
