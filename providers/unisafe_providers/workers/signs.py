"""Signs of life: what the thread that works last did, told now and then by a thread of its own.

Only the thread that works makes a sign. So a process that hangs falls silent, though its other threads live.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

EVERY = 5.0
"""Seconds between two signs, at least."""


class Signs:
    """Notes what is done, and tells it at most every few seconds.

    Args:
        tell: called by a thread of this class with words and the tokens of the batch so far, if anything was noted since it was
            called last.
        every: seconds between two calls.
    """

    def __init__(self, tell: Callable[[str, int], None], every: float = EVERY) -> None:
        self._tell = tell
        self._every = every
        self._noted = threading.Event()
        self._words = ""
        self._tokens = 0

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def note(self, words: str | None = None, tokens: int = 0) -> None:
        """Something was done: `tokens` more of the batch; `words` say what is going on from now on, and start the count anew."""
        if words is not None:
            self._words, self._tokens = words, 0
        self._tokens += tokens
        self._noted.set()

    def _run(self) -> None:
        while True:
            self._noted.wait()
            self._noted.clear()
            self._tell(self._words, self._tokens)
            time.sleep(self._every)
