"""A worker that is a command: it has an environment of its own, reads requests as lines and writes answers as lines."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import anyio
import orjson
from anyio import to_thread
from anyio.abc import ByteReceiveStream, Process

from unisafe_providers.base import Malformed, Rejected, Request, Transient, clean
from unisafe_providers.command.lines import (
    HELLO,
    MemoryRanOut,
    Ready,
    build_hello,
    build_request,
    read_answer,
    read_id,
    read_line,
    read_ready,
)
from unisafe_providers.command.settings import CommandSettings
from unisafe_providers.gpus import Machine
from unisafe_providers.programs import explain_start
from unisafe_providers.workers.batches import BatchSizes, Pool, Waiting
from unisafe_providers.workers.environment import pick_environment
from unisafe_providers.workers.folders import picture_folder
from unisafe_providers.workers.processes import PATIENCE, Log, end_process, hear_process, kill_group, start_process
from unisafe_providers.workers.worker import Call, Ended, Worker, describe_end

LINGER = 0.03
"""Seconds that a batch with room waits for the next request."""
LONGEST_LINE = 512 * 1024 * 1024
"""The most bytes of a line that a command may write."""
LONGEST_NOISE = 10_000
"""The most bytes that the log keeps of a line on stdout that is no answer."""
IMAGE_LENGTH = 1_000
"""What an image counts among the letters of a request, when a batch of similar ones is chosen."""
DEFAULT_BATCH = 8
"""Requests in a batch, where the command takes batches and bench.toml names no `batch_size`."""


class CommandWorker(Worker):
    """One command.

    Args:
        settings: how to start it.
        device: told to it; empty where bench.toml names none.
        on_event: as of Worker.
        accept: looks at what it says when it is ready, and returns why it will not do; empty if it will.
    """

    def __init__(
        self,
        settings: CommandSettings,
        device: str,
        on_event: Callable[[Worker, dict[str, Any]], None],
        accept: Callable[[Ready], str],
    ) -> None:
        super().__init__(f"`{shlex.join(settings.command)}`", device, on_event)
        self._settings = settings
        self._accept = accept
        self._process: Process | None = None
        self._log: Log | None = None
        self._place = device
        self._began = anyio.Event()
        self._waiting = Pool()
        self._came = anyio.Event()
        self._sizes = BatchSizes(1, 1, 1)
        self._ready: Ready | None = None
        self._strays = 0
        self._batch: dict[int, Waiting] = {}
        self._batch_done = anyio.Event()
        self._started = 0.0
        self._asked = self._out_of_memory = self._tokens = self._images = 0

    async def run(self) -> None:
        code: int | None = None
        said = ""
        try:
            with closing(Log(self._settings.name)) as log, picture_folder() as self._folder:
                self._log = log
                self.on_event(self, {"type": "log", "path": str(log.path)})
                try:
                    code = await self._run_process()
                finally:
                    said = log.last
                    if self._loading and self.failure is None and code is not None and code >= 0:
                        why = f": {said}{self.quote_log(last_line=False)}" if said else ", and it printed nothing"
                        self.failure = f"{self.title} ended before it was ready{why}"
        except OSError as error:
            why = explain_start(error, self._settings.command[0], self._settings.folder)
            self.failure = self.failure or f"{self.title} cannot be started: {why}"
        finally:
            self.finish(describe_end(self.title, code, said))
            self._began.set()

    async def _run_process(self) -> int | None:
        """Start the command and hear it until it ends; its exit code, None if it did not end by itself."""
        environment = await to_thread.run_sync(self._build_environment)
        async with start_process(self._settings.command, environment, self._settings.folder) as process:
            self._process = process
            self._began.set()
            return await self._hear(process)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def hand_over(self, call: Call) -> None:
        if self.ended.is_set():
            raise Ended
        self._waiting.add(
            Waiting(
                identifier=call.identifier,
                group=_group(call.request),
                length=len(call.request.text) + IMAGE_LENGTH * len(call.request.images),
                room=0,
                payload=call,
                alone=call.alone,
            )
        )
        self._came.set()

    async def forget(self) -> None:
        self._waiting.clear()

    def drop(self, call: Call) -> None:
        self._waiting.discard(call.identifier)

    async def stop(self) -> None:
        await self._began.wait()
        if self._process is not None:
            self.needed = await end_process(self._process, self._settings.leave)
        await self.ended.wait()

    def _build_environment(self) -> dict[str, str]:
        """Its variables; on this machine it sees its own GPUs alone, and `_place` is what they are called there."""
        beside: dict[str, str] = {}
        if self.device and self._settings.images == "paths":
            view = Machine().show(self.device)
            self._place, beside = view.place, dict(view.variables)
        if self._place:
            beside["UNISAFE_DEVICE"] = self._place
        beside["PYTHONUNBUFFERED"] = "1"  # a script that forgets to flush would seem to hang
        return pick_environment(self._settings.variables, beside)

    def quote_log(self, *, last_line: bool) -> str:
        log = self._log
        if log is None:
            return ""
        if not log.last:
            return "; it printed nothing, or does not flush what it prints"
        if not last_line:
            return f"; its log: {log.path}"
        stray = f"; lines on its standard output that are not of the protocol: {self._strays:,}" if self._strays else ""
        return f"{stray}; its last line: {log.last}; its log: {log.path}"

    # -------------------------------------------------------- its words

    async def _hear(self, process: Process) -> int | None:
        """Speak with the process until it ends; its exit code, None if it did not end by itself."""
        assert process.stdout is not None
        assert process.stderr is not None
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_log, process.stderr)
            group.start_soon(self.watch_silence, self._settings.patience, lambda: kill_group(process))
            group.start_soon(self._ask_batches, process)
            await hear_process(process, partial(self._read_lines, process.stdout))
            if self.failure is None:
                with anyio.move_on_after(PATIENCE):
                    await process.wait()
            group.cancel_scope.cancel()
        return process.returncode

    async def _keep_log(self, stderr: ByteReceiveStream) -> None:
        async for chunk in stderr:
            self._note_noise(chunk)

    def _note_noise(self, chunk: bytes) -> None:
        assert self._log is not None
        self._log.write(chunk)
        self.report({"type": "said", "words": self._log.last})

    async def _read_lines(self, stdout: ByteReceiveStream) -> None:
        rest = bytearray()
        async for chunk in stdout:
            self.heard = time.monotonic()
            rest += chunk
            if b"\n" not in chunk:
                if len(rest) > LONGEST_LINE:
                    self.failure = f"{self.title} wrote a line of more than {LONGEST_LINE // 2**20} MiB"
                    return
                continue
            *lines, last = bytes(rest).split(b"\n")
            rest = bytearray(last)
            for line in lines:
                if not await self._take(line):
                    return

    async def _take(self, line: bytes) -> bool:
        """Take a line; whether the command may go on."""
        said = read_line(line)
        if said is None:
            if line.strip():
                self._note_stray(line)
        elif said.get("ready") is True and self._ready is None:
            return self._note_ready(said)
        elif isinstance(said.get("progress"), str):
            self.report({"type": "said", "words": " ".join(clean(said["progress"]).split())[:300]})
        elif (number := read_id(said)) in self._batch:
            await self._take_answer(number, said)
        elif number != HELLO:
            self._note_stray(line)
        return True

    def _note_stray(self, line: bytes) -> None:
        self._strays += 1
        self._note_noise(line[:LONGEST_NOISE] + b"\n")

    def _note_ready(self, said: dict[str, Any]) -> bool:
        try:
            self._ready = read_ready(said)
            wrong = self._accept(self._ready)
        except ValueError as error:
            wrong = str(error)
        if wrong:
            self.failure = f"{self.title}: {wrong}"
            return False
        assert self._ready is not None
        size = (self._settings.batch_size or DEFAULT_BATCH) if self._ready.batches else 1
        self._sizes = BatchSizes(size, size, size)
        self.report({"type": "ready", "device": self.device, "seconds": time.monotonic() - self._started, "memory": (0, 0)})
        self._came.set()
        return True

    async def _take_answer(self, identifier: int, said: dict[str, Any]) -> None:
        waiting = self._batch.pop(identifier)
        try:
            response = await read_answer(said, self._folder)
        except MemoryRanOut as error:
            if self._asked > 1:
                self._out_of_memory += 1
                self.put_back([identifier])
                if identifier in self._calls and not waiting.payload.done.is_set():
                    self._waiting.add(waiting)
            else:
                self.answer(identifier, Rejected(f"memory ran out with this request alone: {error}"))
        except (Transient, Rejected, Malformed) as error:
            error.answered = True
            self.answer(identifier, error)
        else:
            self.answered += 1
            self._tokens += response.usage.tokens_out
            self._images += len(response.images)
            self.answer(identifier, response)
        if not self._batch:
            self._batch_done.set()

    # -------------------------------------------------------- its work

    async def _ask_batches(self, process: Process) -> None:
        """Give the command one batch after the other."""
        assert process.stdin is not None
        self._started = self.heard = time.monotonic()
        settings = self._settings
        try:
            await process.stdin.send(_line(build_hello(settings.options, self._place, settings.images, self._folder)))
            while True:
                await self._wait_for_work()
                batch = self._waiting.take(self._sizes.size(self._waiting.next_group))
                await self._ask_batch(process, batch)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
            return  # it has ended, or will; _hear finds out why

    async def _wait_for_work(self) -> None:
        """Return when the command is ready and a batch is full, or nothing more has come for a while."""
        while self._ready is None or not self._waiting:
            self._came = anyio.Event()
            await self._came.wait()
        while self._waiting.count(self._waiting.next_group) < self._sizes.size(self._waiting.next_group):
            self._came = anyio.Event()
            with anyio.move_on_after(LINGER) as waited:
                await self._came.wait()
            if waited.cancelled_caught or not self._waiting:
                break
        if not self._waiting:
            await self._wait_for_work()

    async def _ask_batch(self, process: Process, batch: Sequence[Waiting]) -> None:
        """Ask, and return when every request of the batch has its answer."""
        assert process.stdin is not None
        lines = {}
        for waiting in batch:
            if waiting.payload.done.is_set():  # given up while the lines of others were built
                continue
            try:
                lines[waiting.identifier] = await build_request(
                    waiting.identifier, waiting.payload.request, self._settings.images, self._folder
                )
            except OSError as error:
                self.answer(waiting.identifier, error)
        self._batch = {waiting.identifier: waiting for waiting in batch if waiting.identifier in lines}
        if not self._batch:
            return
        self._asked, self._out_of_memory, self._tokens, self._images = len(self._batch), 0, 0, 0
        self._batch_done = anyio.Event()
        self.report({"type": "batch", "ids": list(lines)})
        started = time.monotonic()
        asked = list(lines.values())
        assert self._ready is not None
        await process.stdin.send(_line({"batch": asked} if self._ready.batches else asked[0]))
        await self._batch_done.wait()
        if self._out_of_memory:
            self._sizes.note_failure(batch[0].group, self._asked)
            self.report({"type": "halved"})
        seconds = time.monotonic() - started
        self.report({"type": "done", "tokens": self._tokens, "images": self._images, "seconds": seconds, "memory": (0, 0)})


def _line(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)


def _group(request: Request) -> tuple[object, ...]:
    """Requests of one group can share a batch."""
    return (request.kind, bool(request.images), request.max_tokens, request.temperature, request.top_p, request.size)
