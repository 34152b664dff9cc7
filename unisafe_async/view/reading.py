"""Reads the cache file for the page: in short openings off the event loop, and not again while the file is as it was."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar

import anyio
import duckdb
from anyio import to_thread
from unisafe_cache.file import CacheFile

T = TypeVar("T")
U = TypeVar("U")
Stamp = tuple[tuple[int, int] | None, ...]
PATIENCE = 10.0
"""Seconds to wait for a program that holds the file; the page says that it is in use, and asks again."""
KEPT = 64


class CacheReader:
    """A cache file that other programs may be writing to. It is open only while something is read; DuckDB is kept between."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = CacheFile(path, timeout=PATIENCE, read_only=True)
        self._kept: OrderedDict[Hashable, tuple[Stamp, object]] = OrderedDict()
        self._locks: dict[Hashable, anyio.Lock] = {}

    async def read(self, action: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """What `action` reads. Raises CacheError."""
        return await to_thread.run_sync(lambda: self._file.work(action, "close"))

    async def read_once(self, name: Hashable, action: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """As `read`, or what it gave under this name if nobody has written to the file since."""
        return await self.make_once(name, action, lambda found: found)

    async def make_once(self, name: Hashable, action: Callable[[duckdb.DuckDBPyConnection], T], then: Callable[[T], U]) -> U:
        """What `then` makes of what `action` reads; the file is closed before it is made."""
        lock = self._locks.setdefault(name, anyio.Lock())
        async with lock:
            stamp = self._look()
            kept = self._kept.get(name)
            if kept is not None and kept[0] == stamp:
                self._kept.move_to_end(name)
                return kept[1]  # type: ignore[return-value]
            found = await self.read(action)
            made = await to_thread.run_sync(then, found)
            self._kept[name] = (stamp, made)
            while len(self._kept) > KEPT:
                old, _ = self._kept.popitem(last=False)
                self._locks.pop(old, None)
            return made

    def _look(self) -> Stamp:
        """Size and time of the file and of its write-ahead log: a commit changes them."""
        return tuple(map(_stamp, (self.path, self.path.with_name(f"{self.path.name}.wal"))))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
