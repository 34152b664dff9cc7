"""A worker that is a process of ours on this machine, and is spoken to in frames over its pipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
import orjson
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from unisafe_providers.base import Rejected
from unisafe_providers.local.frames import PREFIX, pack, pack_request, unpack_response
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.workers.environment import pick_environment
from unisafe_providers.workers.processes import end_process, start_process
from unisafe_providers.workers.worker import Call, Ended, Worker, describe_end

ROOT = str(Path(__file__).resolve().parents[2])
COMMAND = (sys.executable, "-P", "-m", "unisafe_providers.local.worker")
"""The command for each model and device; `-P` keeps modules of the user's working folder from replacing ours."""
STDERR_KEPT = 2_000
STOP_PATIENCE = 5.0


class WorkerProcess(Worker):
    """One model in one process on one device.

    Args:
        settings, device, size: what to load, on which device, and its bytes as far as known.
        on_event: called with each frame that is no answer (`ready`, `batch`, `done`, `halved`).
    """

    def __init__(
        self, *, settings: LocalSettings, device: str, size: int, on_event: Callable[[Worker, dict[str, Any]], None]
    ) -> None:
        super().__init__(f"the process that ran {settings.model}", device, on_event)
        self._settings = settings
        self._size = size
        self._started = anyio.Event()
        self._sending = anyio.Lock()
        self._process: Process | None = None
        self._stderr = b""

    async def run(self) -> None:
        """Start the process and read its frames until it ends; if this is cancelled, the process is ended."""
        code: int | None = None
        try:
            path = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH", "")]))
            async with start_process(COMMAND, pick_environment(beside={"PYTHONPATH": path}), patience=STOP_PATIENCE) as process:
                self._process = process
                assert process.stdout is not None
                async with anyio.create_task_group() as group:
                    group.start_soon(self._keep_stderr)
                    group.start_soon(self._load)
                    await self._read(process.stdout)
                    with anyio.move_on_after(STOP_PATIENCE):
                        code = await process.wait()
                    group.cancel_scope.cancel()
        except OSError as error:
            self.failure = self.failure or f"the model's process cannot be started: {error}"
        finally:
            said = self._stderr.decode("utf-8", "replace").strip().splitlines()
            self.finish(describe_end(self.title, code, said[-1] if said else ""))
            self._started.set()

    async def hand_over(self, call: Call) -> None:
        await self._send(await pack_request(call.identifier, call.request, call.alone))

    async def forget(self) -> None:
        await self._send(pack({"type": "withdraw"}))

    async def stop(self) -> None:
        """End the process and wait until it is gone and its memory is free."""
        await self._started.wait()
        if self._process is not None:
            await end_process(self._process, STOP_PATIENCE)
        await self.ended.wait()

    # -------------------------------------------------------- inside

    async def _load(self) -> None:
        settings = {**asdict(self._settings), "extra": dict(self._settings.extra)}
        with suppress(Ended):
            await self._write(pack({"type": "load", "settings": settings, "device": self.device, "size": self._size}))
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

    async def _read(self, frames: ByteReceiveStream) -> None:
        stream = BufferedByteReceiveStream(frames)
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
                self.answer(head["id"], unpack_response(head, blobs))
            case "error":
                self.answer(head["id"], Rejected(head["error"]))
            case "failed":
                self.failure = head["error"]
            case _:
                self.report(head)

    async def _keep_stderr(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for chunk in self._process.stderr:
            self._stderr = (self._stderr + chunk)[-STDERR_KEPT:]
