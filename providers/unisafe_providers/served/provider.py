"""A model behind a server that the run starts: a hosted provider on a device of this machine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from unisafe_providers.base import (
    Capabilities,
    DeviceStatus,
    Limits,
    Malformed,
    Misconfigured,
    Noting,
    Provider,
    Rejected,
    Request,
    Response,
    Timeout,
    Transient,
    Withdrawn,
)
from unisafe_providers.file_digests import digest_of_files, list_files
from unisafe_providers.served.command import Start
from unisafe_providers.served.server import Server

GRACE = 0.5
"""Seconds in which a server that dropped a connection is seen to have ended."""
DEATHS = 3
"""The model is given up once its server ended this often in a row without an answer."""


class ServerDied(Exception):
    """The server ended while it was asked; the request is asked again."""


class ServedProvider:
    """One model behind a server that starts at the first call, and stops on `release` and at the end.

    It takes calls, as many at once as its endpoint allows, and puts them into batches itself. Where the server ends by itself it is
    started again, and what it was asked is asked again, one request at a time: a request that ends the server then is at fault.

    Args:
        identity: what decides its answers, known before anything is started.
        name: the model's name, for its log.
        capabilities: what the model takes and gives.
        devices: what the server may take of this machine.
        start: how it is started.
        ask_at: gives the provider that asks the server at an address.
        weights: the model's file or folder on this machine, whose content is part of the identity; None for a name at a hub.
    """

    takes_calls = True

    def __init__(
        self,
        *,
        identity: str,
        name: str,
        capabilities: Capabilities,
        devices: Sequence[str],
        start: Start,
        ask_at: Callable[[str], Provider],
        weights: Path | None = None,
    ) -> None:
        self.identity = self._identity = identity
        self.capabilities = capabilities
        self.reported = Limits()
        self.devices = tuple(devices)
        self.status = DeviceStatus()
        self.size = 0
        self._weights = weights
        self._name = name
        self._start = start
        self._ask_at = ask_at
        self._stack = AsyncExitStack()
        self._group: TaskGroup | None = None
        self._standing: Standing | None = None
        self._failure: Misconfigured | None = None
        self._withdrawn = False
        self._deaths = 0
        self._ended = 0
        self._suspects: set[bytes] = set()
        self._alone = anyio.Lock()
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> list[str]:
        self._keep_notes(self._standing)
        times = "once" if self._ended == 1 else f"{self._ended} times"
        again = f"the server ended by itself {times}, and what it was asked was asked again; its last log: {self.status.log}"
        return [*self._notes, *([again] if self._ended else [])]

    async def __aenter__(self) -> Self:
        self._group = await self._stack.enter_async_context(anyio.create_task_group())
        if self._weights is not None:
            try:
                digest, self.size = await to_thread.run_sync(_read_weights, self._weights)
            except OSError as error:
                self._failure = Misconfigured(f"model {self._name}: {error.filename or self._weights}: {error.strerror or error}")
            else:
                self.identity = f"{self._identity}|{digest}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._group is not None:
            self._group.cancel_scope.cancel()
        await self._stack.aclose()

    async def call(self, request: Request) -> Response:
        """Ask the server; the first call starts it. Raises what a hosted provider raises, and Withdrawn."""
        self.capabilities.check(request)
        while True:
            standing = await self.stand()
            try:
                return await self._ask(standing, request)
            except ServerDied:
                continue

    async def release(self) -> None:
        """Stop the server, and return once it is gone. The next call starts another one."""
        standing = self._standing
        if standing is not None:
            await standing.server.stop()
            await standing.over.wait()

    def withdraw(self) -> None:
        """Give up the calls that wait for the server: they raise Withdrawn, as do later calls."""
        self._withdrawn = True
        if self._standing is not None:
            self._standing.settled.set()

    # -------------------------------------------------------- asking

    async def _ask(self, standing: Standing, request: Request) -> Response:
        """The answer. Raises ServerDied if the server ended instead, Rejected if it ended of this request alone."""
        alone = bool(self._suspects)
        async with self._alone if alone else AsyncExitStack():
            if standing.server.ended.is_set():
                raise ServerDied
            if self._withdrawn:
                raise Withdrawn("the run was asked to stop")
            assert standing.asking is not None
            died = False
            try:
                response = await standing.asking.call(request)
            except Transient as error:
                died = await _has_died(standing.server, error)
                if not died:
                    raise
                if alone:
                    raise Rejected(f"asked this alone, {standing.server.words}") from None
                raise ServerDied from None
            finally:
                self._note_suspect(request, died and not alone)
        self.reported = standing.asking.reported
        standing.server.answered += 1
        return response

    def _note_suspect(self, request: Request, suspected: bool) -> None:
        """Note whether the server may have ended of a request; as long as there is one, all are asked one at a time."""
        if suspected:
            self._suspects.add(request.canonical)
        elif self._suspects:
            self._suspects.discard(request.canonical)

    async def stand(self) -> Standing:
        """The server, ready. Raises Misconfigured if it cannot be started, Withdrawn if the run is stopping."""
        while True:
            if self._failure is not None:
                raise self._failure
            if self._withdrawn:
                raise Withdrawn("the run was asked to stop")
            standing = self._standing or self._begin()
            if standing.asking is not None and not standing.server.ended.is_set():
                return standing
            await (standing.over if standing.server.ended.is_set() else standing.settled).wait()

    # -------------------------------------------------------- the server

    def _begin(self) -> Standing:
        assert self._group is not None, "enter the provider first"
        standing = self._standing = Standing(Server(self._start, self._name, self._hear))
        now = time.monotonic()
        self.status = DeviceStatus(state="loading", log=str(standing.server.log.path), began=now, heard=now)
        self._group.start_soon(self._keep, standing)
        return standing

    def _hear(self, words: str) -> None:
        self.status.said, self.status.heard = words, time.monotonic()

    async def _keep(self, standing: Standing) -> None:
        """Run a server to its end, with the provider that asks it, and note how it ended."""
        server = standing.server
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(server.run)
                group.start_soon(self._open, standing, group.cancel_scope)
                await server.ended.wait()
                group.cancel_scope.cancel()
        finally:
            self._note_end(standing)
            standing.settled.set()
            standing.over.set()

    async def _open(self, standing: Standing, scope: anyio.CancelScope) -> None:
        """Open the provider that asks the server, once that is ready, and hold it open."""
        await standing.server.ready.wait()
        try:
            async with self._asking_at(standing.server.url) as asking:
                standing.asking = asking
                self.status.state, self.status.places = "ready", self.devices
                self.status.load_seconds = time.monotonic() - self.status.began
                standing.settled.set()
                await standing.server.ended.wait()
        except Misconfigured as error:
            self._failure = error
            scope.cancel()

    @asynccontextmanager
    async def _asking_at(self, url: str) -> AsyncIterator[Provider]:
        async with self._ask_at(url) as asking:
            yield asking

    def _note_end(self, standing: Standing) -> None:
        """Forget a server that is gone; the model is given up if it could not be started, or ends without ever answering."""
        server = standing.server
        self._keep_notes(standing)
        self._standing = None
        self.status.state = "unloaded"
        if server.stopped:
            return
        if server.ready.is_set():
            self._ended += 1
            self._deaths = 0 if server.answered else self._deaths + 1
        if server.failure:
            self._failure = Misconfigured(server.failure)
        elif self._deaths >= DEATHS:
            self._failure = Misconfigured(f"{DEATHS} times in a row without an answer, {server.words}")
        if self._failure is not None:
            self.status.state = "failed"

    def _keep_notes(self, standing: Standing | None) -> None:
        if standing is not None and isinstance(standing.asking, Noting):
            self._notes |= dict.fromkeys(standing.asking.notes)


class Standing:
    """A server with the provider that asks it.

    Attributes:
        asking: asks the server; None until it is ready.
        settled: set once it is ready or gone, or nobody shall wait for it any more.
        over: set once it is gone and its end was noted.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.asking: Provider | None = None
        self.settled = anyio.Event()
        self.over = anyio.Event()


async def _has_died(server: Server, error: Transient) -> bool:
    """Whether a failed call failed because the server has ended; a complete answer and a timeout are no sign of that."""
    if isinstance(error, Malformed | Timeout):
        return server.ended.is_set()
    with anyio.move_on_after(GRACE):
        await server.ended.wait()
    return server.ended.is_set()


def _read_weights(path: Path) -> tuple[str, int]:
    """The digest of a model's file or folder, and its bytes. Raises OSError."""
    files = list_files(path)
    return digest_of_files(files), sum(file.stat().st_size for file in files)
