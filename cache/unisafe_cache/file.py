"""One DuckDB file. A process holds it only while it reads or commits, so other processes get their turn.

DuckDB lets one process at a time write a file, and no process can read it meanwhile. A waiting process holds `FILE.lock`. The
process that has the file open looks at that lock after each piece of work, and closes the file as soon as another process waits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Literal, TypeVar
from weakref import WeakValueDictionary

import duckdb
import filelock

from unisafe_cache.connecting import BESIDE, Setting, engine_of, let_out, take_in
from unisafe_cache.contents import create, format_of, mend_view, upgrade
from unisafe_cache.errors import CacheBusy, CacheError, explain_error, explain_misplaced, is_locked
from unisafe_cache.identity import Identity, read_identity, read_stamp, refuse_other_kinds, remember_checked, was_checked
from unisafe_cache.schema import VERSION
from unisafe_cache.turns import Turns

T = TypeVar("T")
Then = Literal["look", "keep", "close"]
POLL = 0.005
TIMEOUT = 30.0
HOLD = 2.0
MEMORY = "128MB"


class _Older(Exception):
    """The file has an older format and was opened read-only."""


class CacheFile:
    """Opens and closes the file as needed. All users of one file in a process, in any thread, take turns.

    Args:
        path: the file; it is created with its tables if it does not exist (unless `read_only`).
        timeout: seconds to wait for another program that holds it.
        read_only: never change anything.
        files: other files or folders that the work reads or writes (unisafe_cache/connecting.py); it can reach no others.
    """

    def __init__(self, path: Path, *, timeout: float = TIMEOUT, read_only: bool = False, files: Sequence[Path] = ()) -> None:
        if "\0" in str(path):  # no system call takes such a path
            raise CacheError(explain_misplaced(path))
        self.path = path
        self._timeout = timeout
        self._read_only = read_only
        self._files = files
        self._engine: duckdb.DuckDBPyConnection | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._since = 0.0
        self._opened: Identity | None = None
        self._turns = Turns.at(path)

    def work(self, action: Callable[[duckdb.DuckDBPyConnection], T], then: Then = "look") -> T:
        """Run `action` with the file open. Raises CacheError; an error inside `action` rolls its changes back.

        Afterwards the file stays open if more work follows at once, is closed, or (`look`) is closed if another process waits.
        """
        with self._turns.of(self) as user:
            if user is not self and isinstance(user, CacheFile) and user._connection is not None:
                return action(user._connection)
            return self._work(action, then)

    def _work(self, action: Callable[[duckdb.DuckDBPyConnection], T], then: Then) -> T:
        try:
            try:
                connection = self._connection or self._open()
            except _Older:
                self._bring_up_to_date()
                connection = self._open()
            result = action(connection)
        except duckdb.Error as error:
            self.close()
            raise self._explain_loss() or explain_error(error, self.path) from error
        except BaseException:
            self.close()
            raise
        if not self._read_only and (lost := self._explain_loss()):
            self.close()
            raise lost
        if then == "close" or (then == "look" and (time.monotonic() - self._since > HOLD or self._somebody_waits())):
            self.close()
        return result

    def _bring_up_to_date(self) -> None:
        """Upgrade the tables of a file of an older format that is to be read."""
        upgraded = CacheFile(self.path, timeout=self._timeout)
        try:
            upgraded.work(lambda _: None)
        except CacheBusy:
            raise
        except CacheError as error:
            raise CacheError(
                f"{self.path} is of an older format, and has to be brought up to date before it is read: {error}; or copy it to "
                "where it can be written, and read the copy"
            ) from error
        finally:
            upgraded.close()

    def close(self) -> None:
        """Close the file; the next `work` opens it again."""
        with self._turns.lock:
            if self._connection is not None:
                connection, self._connection = self._connection, None
                self._close(connection)

    def _close(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Close the file but keep DuckDB for the next opening, unless DuckDB cannot detach the file, as on a full disk."""
        try:
            let_out(connection)
        except duckdb.Error:
            self._engine = None
            with suppress(duckdb.Error):
                connection.close()

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @property
    def usable(self) -> bool:
        """Whether the file is still the one that was opened; True if none was opened yet."""
        return self._explain_loss() is None

    def _explain_loss(self) -> CacheError | None:
        """The error for a file that is no longer the one that was first opened."""
        if self._opened is None or (now := read_identity(self.path)) == self._opened:
            return None
        if now is not None:
            return CacheError(f"{self.path} was replaced by another file while it was in use; run again to go on with the new one")
        what = self.path if self.path.parent.exists() else f"folder {self.path.parent}"
        return CacheError(
            f"{self.path} is gone: {what} was deleted or moved while it was in use, with all answers in it; "
            "put it back and run again, or run again to begin anew"
        )

    def _open(self) -> duckdb.DuckDBPyConnection:
        if lost := self._explain_loss():
            if not self._read_only or not self.path.exists():
                raise lost
            self._opened = None
        self._look()
        deadline = time.monotonic() + self._timeout
        with self._take_turn(deadline):
            made = not self.path.exists()
            refuse_other_kinds(self.path)
            seen = read_stamp(self.path)
            try:
                connection = self._connect(deadline)
                try:
                    if self._opened is None and not was_checked(self.path, seen, self._read_only):
                        self._prepare(connection)
                        remember_checked(self.path, seen, self._read_only)
                except BaseException:
                    self._close(connection)
                    raise
            except BaseException:
                if made:  # an empty file would pass for a cache
                    for ending in BESIDE:
                        Path(f"{self.path}{ending}").unlink(missing_ok=True)
                raise
            self._opened = read_identity(self.path)
        self._connection, self._since = connection, time.monotonic()
        return connection

    def _look(self) -> None:
        """Refuse a path where no cache is or can be, before anything is opened or created."""
        if why := explain_misplaced(self.path):
            raise CacheError(why)
        if self.path.exists():
            return
        if self._read_only:
            raise CacheError(f"{self.path} does not exist yet: there is nothing to read; `unisafe run` makes it")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_error(error, self.path) from error

    def _connect(self, deadline: float) -> duckdb.DuckDBPyConnection:
        settings: Mapping[str, Setting] = (
            {"threads": 2, "arrow_large_buffer_size": True} if self._read_only else {"threads": 1, "memory_limit": MEMORY}
        )
        if self._engine is None:
            self._engine = engine_of(self.path, files=self._files, settings=settings)
        while True:
            try:
                take_in(self._engine, self.path, read_only=self._read_only)
                return self._engine
            except duckdb.Error as error:
                if not is_locked(error) or time.monotonic() > deadline:
                    raise
            time.sleep(POLL)

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the tables of a new file, upgrade those of an older one, and refuse any other file."""
        version = format_of(connection, self.path)
        if version is None:
            if self._read_only:
                raise CacheError(f"{self.path} holds nothing yet; `unisafe run` fills it")
            create(connection)
        elif self._read_only:
            if version < VERSION:
                raise _Older
        elif version < VERSION:
            upgrade(connection, version)
        else:
            mend_view(connection)

    def _lock(self) -> filelock.FileLock:
        return filelock.FileLock(f"{self.path}.lock", thread_local=False)

    @contextmanager
    def _take_turn(self, deadline: float) -> Iterator[None]:
        """Become the one process that waits for the file; the others queue behind it."""
        lock = self._lock()
        try:
            lock.acquire(timeout=max(0.0, deadline - time.monotonic()), poll_interval=POLL)
        except filelock.Timeout:
            raise CacheError(
                f"{self.path} is in use by several programs at once; try again when they are done, "
                f"or delete {self.path}.lock where there are none"
            ) from None
        except (OSError, NotImplementedError) as error:
            if not self._read_only:
                raise explain_error(error, self.path) from error
            yield
            return
        try:
            yield
        finally:
            lock.release()

    def _somebody_waits(self) -> bool:
        lock = self._lock()
        try:
            lock.acquire(blocking=False)
        except (filelock.Timeout, OSError, NotImplementedError):
            return True
        lock.release()
        return False


_WRITERS: WeakValueDictionary[str, CacheFile] = WeakValueDictionary()
_SHARING = Lock()


def share_file(path: Path, timeout: float = TIMEOUT) -> CacheFile:
    """The file for writing, shared by all who keep it open in this process: one connection, and no new opening at every turn."""
    with _SHARING:
        place = os.path.realpath(path)
        file = _WRITERS.get(place)
        if file is None or not file.usable:
            file = _WRITERS[place] = CacheFile(path, timeout=timeout)
        return file
