"""One server from its start to its end: a free port, its log, when it is ready, and that it is surely gone."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import httpx2
from anyio.abc import Process

from unisafe_providers.base import Misconfigured
from unisafe_providers.served.command import HOST, Start, find_program
from unisafe_providers.workers.environment import pick_environment
from unisafe_providers.workers.processes import Log, end_process, start_process

PORTS = 4
"""Ports that are tried where somebody else takes the free one first."""
OCCUPIED = re.compile(
    rb"address (is )?already in use|EADDRINUSE|Errno (98|48)\b|WinError 10048|only one usage of each socket"
    rb"|(couldn'?t|could not|cannot|failed to) bind|port \d+ is (already )?(in use|occupied|not available)",
    re.I,
)
RESERVED: set[int] = set()
"""The ports of servers that live or start."""
POLL = 0.1
LONGEST_POLL = 1.0
TAIL = 4_000
WATCHDOG = str(Path(__file__).with_name("watchdog.py"))


class Server:
    """A server's process.

    Args:
        start: what is started.
        name: the model's name, for the log's.
        on_words: called with the log's last line whenever the server printed something.

    Attributes:
        url: where it takes requests, up to and with `/v1`.
        ready: set once it takes requests.
        ended: set once it is gone, with all that it started.
        failure: why it could not be started; empty for a server that was ready.
        words: how it ended.
        stopped: whether it ended because it was stopped.
        answered: how many requests it answered.
        log: what it printed.
    """

    def __init__(self, start: Start, name: str, on_words: Callable[[str], None]) -> None:
        self.url = ""
        self.ready = anyio.Event()
        self.ended = anyio.Event()
        self.failure = ""
        self.words = ""
        self.stopped = False
        self.answered = 0
        self.log = Log(name)
        self._start = start
        self._on_words = on_words
        self._heard = 0.0
        self._tail = b""
        self._occupied = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Start it and return when it has ended; it is stopped where this is cancelled."""
        try:
            with self._scope:
                program = find_program(self._start.command[0], self._start.folder, self._start.environment)
                for _ in range(PORTS):
                    self._occupied = anyio.Event()
                    with reserve_port() as port:
                        await self._run_at(port, program)
                    if not self._occupied.is_set():
                        break
        except Misconfigured as error:
            self.words = str(error)
        except OSError as error:
            self.words = f"the server cannot be started: {error}"
        finally:
            if not self.ready.is_set():
                self.failure = self.words
            self.log.close()
            self.ended.set()

    async def stop(self) -> None:
        """End it, and return when it is gone."""
        self.stopped = True
        self._scope.cancel()
        await self.ended.wait()

    # -------------------------------------------------------- inside

    async def _run_at(self, port: int, program: str) -> None:
        """Run it at a port until it ends, or until it is known that the port is taken."""
        command = [program, *(word.replace("{port}", str(port)) for word in self._start.command[1:])]
        self._heard, self._tail = time.monotonic(), b""
        async with (
            start_process(command, self._start.environment, self._start.folder, self._start.leave, reads=False) as process,
            guard(process, self._start.leave),
            anyio.create_task_group() as group,
        ):
            group.start_soon(self._read, process)
            group.start_soon(self._await_ready, process, port)
            group.start_soon(self._await_occupied, group.cancel_scope)
            await process.wait()
            with anyio.move_on_after(POLL):  # its last words, unless a child of it holds the pipe
                await self._occupied.wait()
            group.cancel_scope.cancel()
        self.words = self._describe_end(process.returncode)

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for chunk in process.stdout:
                self._heard = time.monotonic()
                self.log.write(chunk)
                self._on_words(self.log.last)
                self._tail = (self._tail + chunk)[-TAIL:]
                if not self.ready.is_set() and OCCUPIED.search(self._tail):
                    self._occupied.set()

    async def _await_occupied(self, scope: anyio.CancelScope) -> None:
        await self._occupied.wait()
        scope.cancel()

    async def _await_ready(self, process: Process, port: int) -> None:
        """Ask until it is ready; a server that is silent for too long is ended."""
        pause = POLL
        async with httpx2.AsyncClient(trust_env=False, timeout=5.0) as client:
            while not await _is_ready(client, f"http://{HOST}:{port}{self._start.ready}"):
                if time.monotonic() - self._heard > self._start.patience:
                    self.words = (
                        f"the server was not ready and its log said nothing for {self._start.patience:g} s "
                        f"(serve.patience_s){self._quote_log()}"
                    )
                    self._scope.cancel()
                await anyio.sleep(pause)
                pause = min(LONGEST_POLL, pause * 1.5)
        if process.returncode is None and not self._occupied.is_set():  # else somebody else answers at this port
            self.url = f"http://{HOST}:{port}/v1"
            self.ready.set()

    def _describe_end(self, code: int | None) -> str:
        how = f"by signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        killed = ", as the kernel does when memory runs out" if code == -9 else ""
        early = "" if self.ready.is_set() else " before it was ready"
        return f"the server ended {how}{killed}{early}{self._quote_log()}"

    def _quote_log(self) -> str:
        return f": {self.log.last}; its log: {self.log.path}" if self.log.last else ", and it printed nothing"


async def _is_ready(client: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx2.RequestError:
        return False


@contextmanager
def reserve_port() -> Iterator[int]:
    """A port of this machine where nobody listens now, and that no other server of this process gets in the block.

    One may bind its port minutes later: whoever answers there meanwhile would be taken for it.
    """
    port = next(port for port in iter(find_free_port, 0) if port not in RESERVED)
    RESERVED.add(port)
    try:
        yield port
    finally:
        RESERVED.discard(port)


def find_free_port() -> int:
    """A port of this machine where nobody listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def guard(process: Process, leave: float) -> AsyncIterator[None]:
    """A block that ends `process`. Meanwhile another process waits whether this one is killed, and then does that (watchdog.py)."""
    watchdog = await anyio.open_process(
        [sys.executable, "-I", "-S", WATCHDOG, str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=pick_environment(),
        start_new_session=True,
    )
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await end_process(process, leave)
            watchdog.kill()
            await watchdog.aclose()
