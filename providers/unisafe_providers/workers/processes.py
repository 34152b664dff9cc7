"""Processes that hold a model: each is the head of a group of its own, and ends with all of its group.

A server forks engines, and a script starts helpers; so signals go to the group. Closing standard input is the first word that a
process gets, because that is what reaches the other side of `ssh` and `docker run -i` too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import Process

PATIENCE = 10.0
"""Seconds that a process gets after its standard input was closed, and again after SIGTERM, before SIGKILL."""
LAST_WORDS = 5.0
"""Seconds in which what a process printed is read after its end, where a process that it left holds its pipe."""
HURRY = 1.0
"""The same where the block that holds it was left by an error, or because the run is stopped at once."""


@asynccontextmanager
async def start_process(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path | None = None,
    patience: float = PATIENCE,
    *,
    reads: bool = True,
) -> AsyncIterator[Process]:
    """A process with three pipes, at the head of a group of its own; the group is gone when the block is left.

    Without `reads`, as for a server, it has one pipe for all that it prints, and SIGTERM is the first word that it gets.
    Raises OSError if it cannot be started.
    """
    process = await anyio.open_process(
        list(command),
        stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if reads else subprocess.STDOUT,
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
    )
    hurried = True
    try:
        yield process
        hurried = False
    finally:
        with anyio.CancelScope(shield=True):
            await end_process(process, min(patience, HURRY) if hurried else patience)
            await process.aclose()


async def end_process(process: Process, patience: float = PATIENCE) -> str:
    """End a process and its group: close its standard input, if it reads one, then SIGTERM, then SIGKILL, each after `patience`
    seconds.

    Returns the last signal that it needed, such as `SIGTERM`; empty if it ended by itself.
    """
    needed = ""
    try:
        if process.stdin is not None:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                await process.stdin.aclose()
        if process.stdin is None or not await _wait(process, patience):
            signal_group(process, signal.SIGTERM)
            needed = "SIGTERM" if await _wait(process, patience) else "SIGKILL"
    finally:
        kill_group(process)  # also where its head is gone: children of its own may be left; also where this wait is cut short
    await process.wait()
    return needed


async def hear_process(process: Process, read: Callable[[], Awaitable[None]]) -> None:
    """Run `read`, which reads what a process prints, until that ends; when the process has ended, all that it started is ended.

    Else a child that was left, and that holds the pipe, would be waited for. A child in a group of its own is waited for some
    seconds only.
    """

    async def end_with_head(scope: anyio.CancelScope) -> None:
        await process.wait()
        kill_group(process)
        await anyio.sleep(LAST_WORDS)
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(end_with_head, group.cancel_scope)
        await read()
        group.cancel_scope.cancel()


async def _wait(process: Process, seconds: float) -> bool:
    with anyio.move_on_after(seconds):
        await process.wait()
    return process.returncode is not None


def signal_group(process: Process, number: signal.Signals) -> None:
    """Send a signal to a process and to all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.terminate()
        else:
            os.killpg(process.pid, number)


def kill_group(process: Process) -> None:
    """End a process and all that it started at once."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


# ---------------------------------------------------------------- what they print


def _own_folder(temporary: Path) -> Path:
    """A folder for logs that belongs to this user alone."""
    user = os.getuid() if hasattr(os, "getuid") else -1
    folder = temporary / f"unisafe-logs-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if user >= 0 and (found.st_uid != user or not folder.is_dir() or folder.is_symlink()):
        return Path(tempfile.mkdtemp(prefix="unisafe-logs-", dir=temporary))
    return folder


class Log:
    """What a process printed, in a file that only its user can read; it stays there when the process is gone.

    Args:
        name: the model's name, for the file's.
        most: bytes of the file; when it is longer, it begins anew, and says so.
    """

    def __init__(self, name: str, most: int = 16_000_000) -> None:
        folder = _own_folder(Path(tempfile.gettempdir()))
        words = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in name)[:60]
        descriptor, path = tempfile.mkstemp(".log", f"{words}-", folder)
        self.path = Path(path)
        self.last = ""
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._most = most
        self._size = 0
        self._line = b""

    def write(self, chunk: bytes) -> None:
        """Keep a piece of what was printed; `last` is its last line with words."""
        with suppress(OSError):  # a full disk costs the log, and no answer
            self._keep(chunk)
        lines = (self._line + chunk)[-4_000:].replace(b"\r", b"\n").split(b"\n")
        self._line = lines[-1]
        for line in reversed(lines):
            if words := line.decode("utf-8", "replace").strip():
                self.last = words[:300]
                return

    def _keep(self, chunk: bytes) -> None:
        if self._size > self._most:
            self._file.seek(0)
            self._file.truncate()
            self._size = self._file.write(b"(earlier lines were dropped)\n")
        self._size += self._file.write(chunk)

    def close(self) -> None:
        """Close the file, and remove it if nothing was printed."""
        self._file.close()
        if self._size == 0:
            self.path.unlink(missing_ok=True)
