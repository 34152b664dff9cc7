"""One DuckDB file, held only while somebody reads or commits, so that other processes get their turn.

DuckDB lets one process at a time write a file and shuts readers out meanwhile. A process that waits holds `FILE.lock`; one that
has the file open looks at that lock after each piece of work and closes the file as soon as somebody waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import duckdb
import filelock

from cache.errors import CacheError, explained, is_locked
from cache.schema import CREATE, UPGRADES, VERSION

T = TypeVar("T")
POLL = 0.005
PATIENCE = 30.0
HOLD = 2.0
MEMORY = "128MB"
WRITERS: dict[Path, duckdb.DuckDBPyConnection] = {}
"""The files that this process has open for writing: a reader goes in beside the writer, since DuckDB opens no file twice."""


class _Older(Exception):
    """The file is of an older version and was opened to read only."""


class CacheFile:
    """Opens and closes the file as needed. Not thread-safe: one thread works on it at a time.

    Args:
        path: the file; it is made, with its tables, when it does not exist (unless `read_only`).
        patience: seconds to wait for another program that holds it.
        read_only: never change anything.
    """

    def __init__(self, path: Path, *, patience: float = PATIENCE, read_only: bool = False) -> None:
        self.path = path
        self._place = path.absolute()
        self._patience = patience
        self._read_only = read_only
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._since = 0.0
        self._prepared = False

    def work(self, job: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Run `job` with the file open. Raises CacheError; an error inside `job` rolls back what it began."""
        try:
            try:
                connection = self._connection or self._open()
            except _Older:
                self.close()
                upgraded = CacheFile(self.path, patience=self._patience)
                upgraded.work(lambda _: None)
                upgraded.close()
                connection = self._open()
            result = job(connection)
        except duckdb.Error as error:
            self.close()
            raise explained(error, self.path) from error
        except CacheError:
            self.close()
            raise
        if time.monotonic() - self._since > HOLD or self._somebody_waits():
            self.close()
        return result

    def close(self) -> None:
        """Let go of the file; the next `work` opens it again."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            if WRITERS.get(self._place) is connection:
                del WRITERS[self._place]
            with suppress(duckdb.Error):
                connection.close()

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._read_only and (beside := self._beside_the_writer()) is not None:
            self._connection, self._since = beside, time.monotonic()
            return beside
        if self._read_only and not self.path.exists():
            raise CacheError(f"{self.path} does not exist yet: there is nothing to read; `unisafe run` makes it")
        if not self._read_only:
            self.path.parent.mkdir(parents=True, exist_ok=True) if not self.path.parent.exists() else None
        deadline = time.monotonic() + self._patience
        with self._in_turn(deadline):
            while True:
                try:
                    connection = duckdb.connect(
                        str(self.path),
                        read_only=self._read_only,
                        config={"threads": 2} if self._read_only else {"threads": 1, "memory_limit": MEMORY},
                    )
                    break
                except duckdb.Error as error:
                    if not is_locked(error) or time.monotonic() > deadline:
                        raise
                time.sleep(POLL)
        with suppress(duckdb.InvalidInputException):  # refused in a notebook without ipywidgets, where there is no bar anyway
            connection.execute("SET enable_progress_bar = false")  # it would be printed between a command's own lines
        self._connection, self._since = connection, time.monotonic()
        if not self._prepared:
            self._prepare(connection)
            self._prepared = True
        if not self._read_only:
            WRITERS[self._place] = connection
        return connection

    def _beside_the_writer(self) -> duckdb.DuckDBPyConnection | None:
        """A second connection to a file that this process has open for writing: who waited for that might wait for himself."""
        writer = WRITERS.get(self._place)
        try:
            return writer.cursor() if writer is not None else None
        except duckdb.Error:
            return None  # it was closed just now

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the tables of a new file; refuse a file of another program or a newer version."""
        tables = {str(row[0]) for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        if "unisafe_meta" in tables:
            found = connection.execute("SELECT max(version) FROM unisafe_meta").fetchone()
            version = int(found[0]) if found and found[0] is not None else 0
            if version > VERSION:
                raise CacheError(
                    f"{self.path} was made by a newer version of unisafe-async (cache format {version}, this one reads {VERSION}); "
                    "upgrade unisafe-async, or name another file under [cache] path"
                )
            self._upgrade(connection, version)
            return
        if tables:
            raise CacheError(
                f"{self.path} is a DuckDB file, but not one of unisafe-async (it holds {', '.join(sorted(tables)[:3])}); "
                "name another file under [cache] path"
            )
        if self._read_only:
            raise CacheError(f"{self.path} holds nothing yet; `unisafe run` fills it")
        connection.begin()
        connection.execute(CREATE)
        connection.execute("INSERT INTO unisafe_meta VALUES (?)", [VERSION])
        connection.commit()

    def _upgrade(self, connection: duckdb.DuckDBPyConnection, version: int) -> None:
        """Bring a file of an older version to this one, in one transaction."""
        if version == VERSION:
            return
        if self._read_only:
            raise _Older
        connection.begin()
        for newer in range(version + 1, VERSION + 1):
            connection.execute(UPGRADES[newer])
        connection.execute("DELETE FROM unisafe_meta")
        connection.execute("INSERT INTO unisafe_meta VALUES (?)", [VERSION])
        connection.commit()

    def _lock(self) -> filelock.FileLock:
        return filelock.FileLock(f"{self.path}.lock", thread_local=False)

    @contextmanager
    def _in_turn(self, deadline: float) -> Iterator[None]:
        """Be the one process that waits for the file; the others queue behind it."""
        lock = self._lock()
        try:
            lock.acquire(timeout=max(0.0, deadline - time.monotonic()), poll_interval=POLL)
        except filelock.Timeout:
            raise CacheError(f"{self.path} is in use by several programs at once; try again when they are done") from None
        except OSError as error:
            if not self._read_only:
                raise explained(error, self.path) from error
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
        except (filelock.Timeout, OSError):
            return True
        lock.release()
        return False
