"""Turns within one process: DuckDB opens a file once in each process, either to read or to write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock
from typing import ClassVar, Protocol
from weakref import WeakValueDictionary, ref


class User(Protocol):
    """An object that may have the file open."""

    @property
    def is_open(self) -> bool: ...

    def close(self) -> None: ...


class Turns:
    """The turns at one file; `at` returns the object that all its users in this process share, from any thread.

    Attributes:
        lock: its holder works on the file; the same thread may take it again.
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
        """Work on the file alone, after its last user has closed it; yields the user whose connection to use.

        That is the caller itself, except for work within another user's work on the same thread: it uses the other's connection.
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
