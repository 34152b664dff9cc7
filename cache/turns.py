"""Turns within one process: DuckDB opens a file once a process and in one way, to read or to write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock
from typing import ClassVar, Protocol
from weakref import WeakValueDictionary, ref


class Closable(Protocol):
    """Whatever may have the file open."""

    def close(self) -> None: ...


class Turns:
    """The turns at one file; `at` gives the ones that all share who open it in this process, from whatever thread.

    Attributes:
        lock: whoever has it works on the file; the same thread may take it again.
    """

    _shared: ClassVar[WeakValueDictionary[str, Turns]] = WeakValueDictionary()
    _sharing = Lock()

    def __init__(self) -> None:
        self.lock = RLock()
        self._last: ref[Closable] | None = None
        self._depth = 0

    @classmethod
    def at(cls, path: Path) -> Turns:
        with cls._sharing:
            return cls._shared.setdefault(os.path.realpath(path), cls())

    @contextmanager
    def of(self, user: Closable) -> Iterator[None]:
        """Work on the file as the only one; who had it before has let go of it, unless this is a part of what he does with it."""
        with self.lock:
            last = self._last() if self._last is not None else None
            if last is not user and not self._depth:
                self._last = ref(user)
                if last is not None:
                    last.close()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
