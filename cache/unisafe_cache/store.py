"""The cache as async calls: lookups and commits that wait at the same time run together, off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import duckdb
from anyio import to_thread
from unisafe_providers.base import ImageSource

from unisafe_cache.claims import Claims
from unisafe_cache.errors import CacheError, Unstorable, catch_unstorable, explain_error
from unisafe_cache.file import TIMEOUT, CacheFile, Then, share_file
from unisafe_cache.records import (
    Answer,
    Ids,
    Paid,
    Row,
    RunRecord,
    Stored,
    Vote,
    add_answers,
    add_opinions,
    add_rows,
    look_up,
    save_run,
)
from unisafe_cache.submitted_jobs import end_jobs

A = TypeVar("A")
T = TypeVar("T")
GATHER = 0.003
GATHER_BUSY = 0.025
BUSY = 16
LINGER = 0.1
COMPANY = 5.0
"""Other processes count as active for so many seconds after their last commit."""
IMAGE_MEMORY = 64 * 1024 * 1024


_Wait = asyncio.Future
"""One caller's place in a batch; a run makes two a call, and an anyio.Event costs four times as much."""
_PaidWait = tuple[Paid, dict[str, Stored], _Wait[None]]
_RowsWait = tuple[Sequence[Row], Sequence[Vote], _Wait[None]]


class Store:
    """The cache of answers, rows and images.

    A commit returns when the answer is on disk; the commits of a few milliseconds share one transaction. The store closes the
    file after 0.1 s without work, at least every two seconds, and at once if another process waits (unisafe_cache/file.py).

    Args:
        path: the DuckDB file.
        timeout: seconds to wait for another program that holds the file.
    """

    def __init__(self, path: Path, *, timeout: float = TIMEOUT, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self.ids = Ids()
        self._file = CacheFile(path, timeout=timeout, read_only=True) if read_only else share_file(path, timeout)
        self._claims: Claims | None = None
        self._own = 0, 0
        self._company = (0, 0), 0.0
        self._stack = AsyncExitStack()
        self._serving = anyio.CancelScope(shield=True)
        self._wake = anyio.Event()
        self._lookups: list[tuple[Sequence[str], tuple[int, str], _Wait[dict[str, Answer]]]] = []
        self._paid: list[_PaidWait] = []
        self._rows: list[_RowsWait] = []
        self._queries: list[tuple[Callable[[duckdb.DuckDBPyConnection], object], _Wait[object]]] = []
        self._shared: dict[Callable[..., Sequence[Any]], list[tuple[object, _Wait[Any]]]] = {}
        self._recent: OrderedDict[str, bytes] = OrderedDict()
        self._recent_bytes = 0
        self._failure: CacheError | None = None

    async def __aenter__(self) -> Self:
        self._limiter = anyio.CapacityLimiter(1)
        await to_thread.run_sync(lambda: self._file.work(lambda _: None), limiter=self._limiter)
        if not self.read_only:
            try:
                self._claims = Claims.of(self.path)
            except OSError as error:
                raise explain_error(error, self.path) from error
        self._company = self._outside, 0.0
        group = await self._stack.enter_async_context(anyio.create_task_group())
        group.start_soon(self._serve)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with anyio.CancelScope(shield=True):
            while self._pending() and self._failure is None:
                await self.query(lambda _: None)
        self._serving.cancel()
        try:
            await self._stack.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._file.close, limiter=self._limiter)
            if self._claims is not None:
                self._claims.let_go()

    # -------------------------------------------------------- beside others

    def claim(self, question: str) -> bool:
        """Claim `question` (a digest in hexadecimal) on this cache; returns False while another user in any process has it."""
        return self._claims is None or self._claims.take(_place(question))

    def release(self, question: str) -> None:
        """Give up a claim; it ends with this process in any case."""
        if self._claims is not None:
            self._claims.release(_place(question))

    @property
    def unclaimable(self) -> str:
        """Why nothing can be claimed at this file; empty if claims work."""
        return self._claims.unsupported if self._claims is not None else ""

    @property
    def others(self) -> tuple[int, int]:
        """Counts of the commits of answers, and of the batch jobs that were begun, by other users of this cache.

        If a count has grown since a lookup, the lookup may be out of date.
        """
        return self._beyond(self._own)

    @property
    def _outside(self) -> tuple[int, int]:
        """As `others`, but by other processes only."""
        return self._beyond(self._claims.made) if self._claims is not None else (0, 0)

    def _beyond(self, own: tuple[int, int]) -> tuple[int, int]:
        commits, jobs = self._claims.counts if self._claims is not None else own
        return commits - own[0], jobs - own[1]

    def _announce(self, commits: int = 0, jobs: int = 0) -> None:
        """Count what will be committed, for others to see, while the file is held. Raises CacheError."""
        if self._claims is not None:
            with _catch_full_disk(self.path):
                self._claims.add(commits, jobs)
            self._own = self._own[0] + commits, self._own[1] + jobs

    async def begin_job(self, begin: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """As `query`, for a `begin` that puts requests into a batch job; others then look up before they ask the same."""

        def note(connection: duckdb.DuckDBPyConnection) -> T:
            self._announce(jobs=1)
            return begin(connection)

        return await self.query(note)

    # -------------------------------------------------------- asked for

    async def look_up(self, keys: Sequence[str], since: int = 0, run: str = "") -> dict[str, Answer]:
        """The newest answers for `keys` that `run` may use, with an id from `since` on; keys without one are left out."""
        wait: _Wait[dict[str, Answer]] = _begin_wait()
        self._lookups.append((keys, (since, run), wait))
        self._wake.set()
        return await wait

    async def commit(self, paid: Paid) -> None:
        """Return when the answer is on disk, also if the caller is cancelled meanwhile: it was paid for.

        Raises Unstorable if the tables cannot hold it, CacheError for everything else.
        """
        pictures = await self._read_pictures(paid) if paid.answer.response.images else {}
        wait: _Wait[None] = _begin_wait()
        self._paid.append((paid, pictures, wait))
        self._wake.set()
        try:
            await asyncio.shield(wait)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await wait
            raise

    async def _read_pictures(self, paid: Paid) -> dict[str, Stored]:
        """The pictures of an answer by digest, also if the caller is cancelled meanwhile."""
        with anyio.CancelScope(shield=True):
            pictures = {image.digest: await Stored.of(image) for image in paid.answer.response.images}
        for digest, picture in pictures.items():
            self._remember(digest, picture.data)
        return pictures

    async def add_rows(self, rows: Sequence[Row], votes: Sequence[Vote] = ()) -> None:
        """Return when the rows, and the judges' votes behind them, are on disk, in one transaction."""
        wait: _Wait[None] = _begin_wait()
        self._rows.append((rows, votes, wait))
        self._wake.set()
        await wait

    async def save_run(self, record: RunRecord) -> None:
        await self.query(lambda connection: save_run(connection, record))

    async def query(self, action: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Run `action` on the open file, off the event loop, and return what it returns. Raises CacheError."""
        wait: _Wait[T] = _begin_wait()
        self._queries.append((action, wait))  # type: ignore[arg-type]
        self._wake.set()
        return await wait

    async def query_together(self, action: Callable[[duckdb.DuckDBPyConnection, Sequence[A]], Sequence[T]], value: A) -> T:
        """As `query`, for an `action` that takes the values of all who wait for it, and returns a result for each of them."""
        wait: _Wait[T] = _begin_wait()
        self._shared.setdefault(action, []).append((value, wait))
        self._wake.set()
        return await wait

    def source(self, digest: str) -> ImageSource:
        """A reader of a stored image's bytes: from memory for recent images, else from the file."""
        data = self._recent.get(digest)

        async def read() -> bytes:
            return await self.image(digest)

        return data if data is not None else read

    async def image(self, digest: str) -> bytes:
        """The bytes of a stored image. Raises CacheError if there is none."""
        if digest in self._recent:
            return self._recent[digest]
        found = await self.query(
            lambda connection: connection.execute("SELECT data FROM images WHERE digest = ?", [digest]).fetchone()
        )
        if found is None:
            raise CacheError(f"{self.path} holds no image {digest}")
        self._remember(digest, bytes(found[0]))
        return bytes(found[0])

    def _remember(self, digest: str, data: bytes) -> None:
        if digest not in self._recent and len(data) <= IMAGE_MEMORY // 8:
            self._recent[digest] = data
            self._recent_bytes += len(data)
            while self._recent_bytes > IMAGE_MEMORY:
                self._recent_bytes -= len(self._recent.popitem(last=False)[1])

    # -------------------------------------------------------- done together

    def _pending(self) -> int:
        return len(self._lookups) + len(self._paid) + len(self._rows) + len(self._queries) + len(self._shared)

    async def _serve(self) -> None:
        """Work in batches until the store is closed: a cancelled run still commits what it paid for."""
        with self._serving:
            await self._batches()

    async def _batches(self) -> None:
        gather = GATHER
        while True:
            if not self._pending():
                with anyio.move_on_after(LINGER):
                    await self._wake.wait()
                if not self._pending():
                    await to_thread.run_sync(self._file.close, limiter=self._limiter)
                    await self._wake.wait()
            await anyio.sleep(gather)
            self._wake = anyio.Event()
            gather = GATHER_BUSY if self._pending() >= BUSY else GATHER
            await self._one_batch()

    async def _one_batch(self) -> None:
        lookups, self._lookups = self._lookups, []
        paid, self._paid = self._paid, []
        rows, self._rows = self._rows, []
        queries, self._queries = self._queries, []
        shared, self._shared = self._shared, {}

        def read(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Answer]]:
            found: dict[tuple[int, str], dict[str, Answer]] = {}
            for who in {who for _, who, _ in lookups}:
                since, run = who
                keys = [key for some, whose, _ in lookups if whose == who for key in some]
                found[who] = look_up(connection, keys, since, self, run)
            return [{key: found[who][key] for key in keys if key in found[who]} for keys, who, _ in lookups]

        await self._write(paid, rows, self._then(bool(lookups or queries or shared)))
        if lookups:
            answers, error = await self._try(read, self._then(bool(queries or shared)))
            for index, (_, _, looked_up) in enumerate(lookups):
                _settle(looked_up, answers[index] if answers is not None else None, error)
        for number, (action, done) in enumerate(queries, 1):
            value, error = await self._try(action, self._then(number < len(queries) or bool(shared)))
            _settle(done, value, error)
        for number, (together, callers) in enumerate(shared.items(), 1):
            values, error = await self._try(
                lambda connection, together=together, callers=callers: together(connection, [value for value, _ in callers]),  # type: ignore[misc]
                self._then(number < len(shared)),
            )
            for place, (_, done) in enumerate(callers):
                _settle(done, values[place] if values is not None else None, error)

    def _then(self, more: bool) -> Then:
        """What to do with the file after a piece of work: while other processes are active, close it after every batch."""
        outside, at = self._outside, time.monotonic()
        if outside != self._company[0]:
            self._company = outside, at + COMPANY
        return "keep" if more else "close" if at < self._company[1] else "look"

    async def _write(self, paid: Sequence[_PaidWait], rows: Sequence[_RowsWait], then: Then) -> None:
        """Run all in one transaction; if one of them cannot be stored, run them one by one, so that it fails alone."""
        if not paid and not rows:
            return

        def write(connection: duckdb.DuckDBPyConnection) -> None:
            with catch_unstorable(self.path):
                if paid:
                    self._announce(commits=1)
                connection.begin()
                pictures = {digest: picture for _, some, _ in paid for digest, picture in some.items()}
                add_answers(connection, [one for one, _, _ in paid], pictures)
                if jobs := {one.key: one.job for one, _, _ in paid if one.job}:
                    end_jobs(connection, jobs)
                add_rows(connection, [row for some, _, _ in rows for row in some])
                add_opinions(connection, [vote for _, some, _ in rows for vote in some])
                connection.commit()

        _, error = await self._try(write, then)
        if isinstance(error, Unstorable) and len(paid) + len(rows) > 1:
            for one in paid:
                await self._write([one], [], "look")
            for some in rows:
                await self._write([], [some], "look")
            return
        for *_, wait in [*paid, *rows]:
            _settle(wait, None, error)

    async def _try(self, action: Callable[[duckdb.DuckDBPyConnection], T], then: Then) -> tuple[T | None, CacheError | None]:
        try:
            return await to_thread.run_sync(self._file.work, action, then, limiter=self._limiter), None
        except Unstorable as error:
            return None, error
        except CacheError as error:
            self._failure = error
            return None, error


def _begin_wait() -> _Wait[Any]:
    return asyncio.get_running_loop().create_future()


def _settle(wait: _Wait[Any], value: object, error: CacheError | None) -> None:
    """Give a caller its result or its error, unless the caller was cancelled."""
    if wait.done():
        return
    if error is not None:
        wait.set_exception(error)
    else:
        wait.set_result(value)


def _place(question: str) -> int:
    return int(question[:15], 16)


@contextmanager
def _catch_full_disk(path: Path) -> Iterator[None]:
    """Inside the block, a file of claims that cannot be written, as on a full disk, raises CacheError."""
    try:
        yield
    except OSError as error:
        raise explain_error(error, path) from error


def read_file(path: Path, action: Callable[[duckdb.DuckDBPyConnection], T], *, timeout: float = TIMEOUT) -> T:
    """Run `action` on the file, read-only and without an event loop: for reports. Raises CacheError."""
    file = CacheFile(path, timeout=timeout, read_only=True)
    try:
        return file.work(action)
    finally:
        file.close()
