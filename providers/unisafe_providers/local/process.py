"""The program's side of one worker: starting it, calls that wait for it, and its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import anyio
import orjson
from anyio import to_thread
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from unisafe_providers.base import Misconfigured, Rejected, Request, Response, Transient, Withdrawn
from unisafe_providers.local.frames import PREFIX, pack, pack_request, unpack_response
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.workers.environment import pick_environment
from unisafe_providers.workers.gpus import Machine

ROOT = str(Path(__file__).resolve().parents[2])
COMMAND = (sys.executable, "-P", "-m", "unisafe_providers.local.worker")
"""The command for each model and device; `-P` keeps modules of the user's working folder from replacing ours."""
STDERR_KEPT = 2_000
STOP_PATIENCE = 5.0


class Ended(Exception):
    """The process is gone; a request that was in no batch yet can be sent again."""


@dataclass(slots=True, kw_only=True)
class _Call:
    alone: bool
    done: anyio.Event = field(default_factory=anyio.Event)
    begun: bool = False
    response: Response | None = None
    error: Exception | None = None


@dataclass(kw_only=True)
class WorkerProcess:
    """One model in one process on one device, or spread over several.

    Args:
        settings, device, size: what to load, on which device (`cuda:0+cuda:1` are two), and its bytes as far as known.
        on_event: called with each frame that is no answer (`ready`, `batch`, `done`, `halved`).

    Attributes:
        ended_alone: whether the process ended while it ran one request that was to be run alone: it ended of that request.
    """

    settings: LocalSettings
    device: str
    size: int
    on_event: Callable[[WorkerProcess, dict[str, Any]], None]
    ended: anyio.Event = field(default_factory=anyio.Event)
    failure: str | None = None
    words: str = ""
    answered: int = 0
    ended_alone: bool = False
    _started: anyio.Event = field(default_factory=anyio.Event)
    _sending: anyio.Lock = field(default_factory=anyio.Lock)
    _process: Process | None = None
    _calls: dict[int, _Call] = field(default_factory=dict)
    _next: int = 0
    _stderr: bytes = b""

    @property
    def waiting(self) -> int:
        """Calls without an answer."""
        return len(self._calls)

    async def run(self) -> None:
        """Start the process and read its frames until it ends; if this is cancelled, the process is killed."""
        code: int | None = None
        try:
            path = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH", "")]))
            view = await to_thread.run_sync(Machine().show, self.device)
            process = self._process = await anyio.open_process(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=pick_environment(beside={**view.variables, "PYTHONPATH": path}),
                start_new_session=True,
            )
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._keep_stderr)
                    group.start_soon(self._load, view.place)
                    await self._read()
                    with anyio.move_on_after(STOP_PATIENCE):
                        code = await process.wait()
                    group.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    if process.returncode is None:
                        process.kill()
                    await process.wait()
                    await process.aclose()
        except OSError as error:
            self.failure = self.failure or f"the model's process cannot be started: {error}"
        finally:
            self._finish(code)

    async def ask(self, request: Request, alone: bool) -> Response:
        """Raises Rejected, Transient, Withdrawn, or Ended for a request that was in no batch yet."""
        self._next += 1
        identifier = self._next
        call = self._calls[identifier] = _Call(alone=alone)
        try:
            await self._send(await pack_request(identifier, request, alone))
            await call.done.wait()
        except Ended:
            if call.error is None:
                raise
        finally:
            self._calls.pop(identifier, None)
        if call.error is not None:
            raise call.error
        assert call.response is not None
        return call.response

    async def withdraw(self) -> None:
        """Give up the requests that are in no batch yet, at once, and tell the process to forget them."""
        for call in self._calls.values():
            if not call.begun and not call.done.is_set():
                call.error = Withdrawn("the run was asked to stop")
                call.done.set()
        await self._send(pack({"type": "withdraw"}))

    async def stop(self) -> None:
        """End the process and wait until it is gone and its memory is free."""
        if self._process is not None and self._process.stdin is not None:
            await self._process.stdin.aclose()
        with anyio.move_on_after(STOP_PATIENCE):
            await self.ended.wait()
        if not self.ended.is_set() and self._process is not None:
            self._process.kill()
            await self.ended.wait()

    # -------------------------------------------------------- inside

    async def _load(self, place: str) -> None:
        """Tell the process what to load; `place` is its device by the name that it has there."""
        settings = {**asdict(self.settings), "extra": dict(self.settings.extra)}
        with suppress(Ended):
            await self._write(
                pack({"type": "load", "settings": settings, "device": place, "shown": self.device, "size": self.size})
            )
        self._started.set()

    async def _send(self, frame: bytes) -> None:
        await self._started.wait()
        if self._process is None or self.ended.is_set():
            raise Ended
        await self._write(frame)

    async def _write(self, frame: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            async with self._sending:
                await self._process.stdin.send(frame)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
            await self.ended.wait()
            raise Ended from None

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        stream = BufferedByteReceiveStream(self._process.stdout)
        try:
            while True:
                size, count = PREFIX.unpack(await stream.receive_exactly(PREFIX.size))
                lengths = [int.from_bytes(await stream.receive_exactly(4), "little") for _ in range(count)]
                head = orjson.loads(await stream.receive_exactly(size))
                self._take(head, [await stream.receive_exactly(length) for length in lengths])
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return

    def _take(self, head: dict[str, Any], blobs: list[bytes]) -> None:
        match head["type"]:
            case "answer":
                self.answered += 1
                self._answer(head["id"], unpack_response(head, blobs), None)
            case "error":
                self._answer(head["id"], None, Rejected(head["error"]))
            case "failed":
                self.failure = head["error"]
            case kind:
                if kind == "batch":
                    for identifier in head["ids"]:
                        if identifier in self._calls:
                            self._calls[identifier].begun = True
                self.on_event(self, head)

    def _answer(self, identifier: int, response: Response | None, error: Exception | None) -> None:
        call = self._calls.get(identifier)
        if call is not None and not call.done.is_set():
            call.response, call.error = response, error
            call.done.set()

    async def _keep_stderr(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for chunk in self._process.stderr:
            self._stderr = (self._stderr + chunk)[-STDERR_KEPT:]

    def _finish(self, code: int | None) -> None:
        words = self.explain_end(code)
        begun = [call for call in self._calls.values() if call.begun and not call.done.is_set()]
        self.ended_alone = len(begun) == 1 and begun[0].alone
        for call in self._calls.values():
            if not call.done.is_set():
                if self.failure is not None:
                    call.error = Misconfigured(self.failure)
                else:
                    call.error = Transient(words) if call.begun else Ended(words)
                call.done.set()
        self.words = words
        self._started.set()
        self.ended.set()

    def explain_end(self, code: int | None) -> str:
        """Why the process ended, as far as we can see."""
        if code is not None and code < 0:
            killed = ", as the kernel does when memory runs out" if code == -9 else ""
            return f"the process that ran {self.settings.model} was ended by signal {-code}{killed}"
        said = self._stderr.decode("utf-8", "replace").strip().splitlines()
        return f"the process that ran {self.settings.model} ended{f': {said[-1][:300]}' if said else ''}"
