"""A worker that is a process of ours on this machine, and is spoken to in frames over its pipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from anyio.abc import ByteReceiveStream, Process

from unisafe_providers.gpus import PLACE, Machine
from unisafe_providers.workers.environment import pick_environment
from unisafe_providers.workers.framed import FramedWorker
from unisafe_providers.workers.frames import Frames
from unisafe_providers.workers.processes import end_process, hear_process, kill_group, start_process
from unisafe_providers.workers.worker import Ended, Worker, describe_end

ROOT = str(Path(__file__).resolve().parents[2])
COMMAND = (sys.executable, "-P", "-m", "unisafe_providers.local.worker")
"""The command for each model and device; `-P` keeps modules of the user's working folder from replacing ours."""
STDERR_KEPT = 2_000
STOP_PATIENCE = 5.0


class WorkerProcess(FramedWorker):
    """One model in one process on one device, or spread over several; the process sees no others. Arguments as of FramedWorker."""

    def __init__(self, *, title: str, device: str, on_event: Callable[[Worker, dict[str, Any]], None], load: bytes) -> None:
        super().__init__(title=title, device=device, on_event=on_event, load=load)
        self._process: Process | None = None
        self._stderr = b""

    async def run(self) -> None:
        """Start the process and read its frames until it ends; if this is cancelled, the process is ended."""
        code: int | None = None
        try:
            path = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH", "")]))
            view = await to_thread.run_sync(Machine().show, self.device)
            environment = pick_environment(beside={**view.variables, PLACE: view.place, "PYTHONPATH": path})
            async with start_process(COMMAND, environment, patience=STOP_PATIENCE) as process:
                self._process = process
                code = await self._hear(process)
        except OSError as error:
            self.failure = self.failure or f"the model's process cannot be started: {error}"
        finally:
            said = self._stderr.decode("utf-8", "replace").strip().splitlines()
            self.finish(describe_end(self.title, code, said[-1] if said else ""))

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def write(self, frame: bytes) -> None:
        if self._process is None:
            raise Ended
        assert self._process.stdin is not None
        await self._process.stdin.send(frame)

    async def stop(self) -> None:
        """End the process and wait until it is gone and its memory is free."""
        await self._started.wait()
        if self._process is not None:
            await end_process(self._process, STOP_PATIENCE)
        await self.ended.wait()

    async def _hear(self, process: Process) -> int | None:
        """Take the process's frames until it ends; its exit code, None if it did not end by itself."""
        assert process.stdout is not None
        assert process.stderr is not None
        code: int | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_stderr, process.stderr)
            group.start_soon(self.start_loading)
            group.start_soon(self.watch_silence, self.patience, lambda: kill_group(process))
            await hear_process(process, partial(self._read_frames, process.stdout))
            with anyio.move_on_after(STOP_PATIENCE):
                code = await process.wait()
            group.cancel_scope.cancel()
        return code

    async def _read_frames(self, stdout: ByteReceiveStream) -> None:
        frames = Frames()
        async for piece in stdout:
            for head, blobs in frames.feed(piece):
                self.take(head, blobs)

    async def _keep_stderr(self, stderr: ByteReceiveStream) -> None:
        async for chunk in stderr:
            self._stderr = (self._stderr + chunk)[-STDERR_KEPT:]
