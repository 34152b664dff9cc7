"""Turns within one process: DuckDB opens a file once a process and in one way, to read or to write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock
from typing import ClassVar, Protocol
from weakref import WeakValueDictionary, ref


class User(Protocol):
    """Whatever may have the file open."""

    @property
    def is_open(self) -> bool: ...

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
        self._last: ref[User] | None = None
        self._working: User | None = None

    @classmethod
    def at(cls, path: Path) -> Turns:
        with cls._sharing:
            return cls._shared.setdefault(os.path.realpath(path), cls())

    @contextmanager
    def of(self, user: User) -> Iterator[User]:
        """Work on the file as the only one, who had it before having let go of it; yields whose connection is to be used.

        That is the user's own, except for work that is begun within another's on the same thread: it uses that one's.
        """
        with self.lock:
            if self._working is not None and self._working.is_open:
                yield self._working
                return
            last = self._last() if self._last is not None else None
            if last is not user:
                self._last = ref(user)
                if last is not None:
                    last.close()
            before, self._working = self._working, user
            try:
                yield user
            finally:
                self._working = before
