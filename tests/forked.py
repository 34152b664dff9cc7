"""The command as a process of its own, forked from one that has imported the program: as real as `python -m`, and quicker.

Each command gets its own folder, environment, streams and session. What depends on how Python itself starts (locales, `-c`, limits
of a shell, signals that are ignored) is to be run with `subprocess`; so is what depends on a module that is not found, since the
server has imported it. Where pytest has started no server (tests/conftest.py), one starts here and ends when this process does.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Self

import forked_worker

PROGRAM = "unisafe_async.cli"


class Process:
    """A command under way: as much of `subprocess.Popen` as the tests need.

    Args:
        arguments: what stands after `unisafe`.
        streams: its standard input, output and errors, as descriptors; they stay open here.
        env: its whole environment; this process's where None.
        program: the module whose `main` is run.
        terminal: whether standard input is the terminal whose Ctrl-C and hang-up it gets.
        closed: streams that it does not have.
        encoding: of its standard input and output.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        streams: tuple[int, int, int],
        env: Mapping[str, str] | None = None,
        program: str = PROGRAM,
        terminal: bool = False,
        closed: tuple[int, ...] = (),
        encoding: str = "utf-8",
    ) -> None:
        known = dict(os.environ if env is None else env)
        given = {
            "command": [program, *arguments],
            "called": "unisafe",
            "cwd": str(cwd),
            "env": known,
            "path": [str(cwd), *filter(None, known.get("PYTHONPATH", "").split(os.pathsep))],
            "terminal": terminal,
            "closed": closed,
            "encoding": encoding,
        }
        self.args = ["unisafe", *arguments]
        self.returncode: int | None = None
        self._connection, self.pid = forked_worker.ask(_server(), given, list(streams))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self.returncode if self.returncode is not None else self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises TimeoutExpired."""
        code = self.returncode if self.returncode is not None else self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing happens to a process that has ended, also if its end has not been told yet."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if select.select([self._connection], [], [], timeout)[0]:
            self.returncode = int(forked_worker.read_line(self._connection) or -signal.SIGKILL)
            self._connection.close()
        return self.returncode


class Output:
    """A pipe that is read to its end, in a thread; `end` is handed over, and then closed here."""

    def __init__(self) -> None:
        here, self.end = os.pipe()
        self._content = b""
        self._thread = threading.Thread(target=self._read, args=(here,))
        self._thread.start()

    def all(self) -> bytes:
        self._thread.join()
        return self._content

    def _read(self, here: int) -> None:
        with os.fdopen(here, "rb") as file:
            self._content = file.read()


def unisafe(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = 120.0,
    streams: Mapping[int, str] | None = None,
    encoding: str = "utf-8",
    typed: bytes = b"",
) -> subprocess.CompletedProcess[str]:
    """`unisafe ARGUMENTS` in folder `cwd`. Raises TimeoutExpired after `timeout` seconds.

    Args:
        streams: of 0, 1 and 2, those that are a file of that path, or are closed: an empty path. Output elsewhere is read.
        encoding: of standard input and output.
        typed: all that stands in standard input.
    """
    given = streams or {}
    out, err, opened = (
        Output(),
        Output(),
        {0: _holding(typed), **{of: os.open(path, os.O_RDWR) for of, path in given.items() if path}},
    )
    ends = {1: out.end, 2: err.end, **opened}
    try:
        closed = tuple(of for of, path in given.items() if not path)
        process = Process(*arguments, cwd=cwd, streams=(ends[0], ends[1], ends[2]), env=env, closed=closed, encoding=encoding)
    finally:
        for end in (out.end, err.end, *opened.values()):
            os.close(end)
    with process:
        code = process.wait(timeout)
    return subprocess.CompletedProcess(process.args, code, out.all().decode(encoding), err.all().decode())


def _holding(typed: bytes) -> int:
    """A pipe's end to read from, with these few bytes in it."""
    here, there = os.pipe()
    with os.fdopen(there, "wb") as file:
        file.write(typed)
    return here


@contextmanager
def begun(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, program: str = PROGRAM, timeout: float = 120.0
) -> Iterator[tuple[Process, IO[str]]]:
    """The command under way, and what it prints, errors too; it is killed after `timeout` seconds, or where the block ends
    first.
    """
    here, there = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    with open(here, encoding="utf-8") as printed:
        try:
            process = Process(*arguments, cwd=cwd, streams=(nothing, there, there), env=env, program=program)
        finally:
            os.close(nothing)
            os.close(there)
        killer = threading.Timer(timeout, os.kill, (process.pid, signal.SIGKILL))
        killer.start()
        try:
            with process:
                yield process, printed
        finally:
            killer.cancel()


def left_to_end(process: Process, printed: IO[str]) -> tuple[int, str]:
    """Exit code, and what was printed and not read yet, of a command that ends by itself."""
    output = printed.read()
    return process.wait(), output


# ---------------------------------------------------------------- the server


def _server() -> str:
    """The socket of the server that commands are forked from."""
    return os.environ.get(forked_worker.COMMANDS) or _own_server()


@cache
def _own_server() -> str:
    path, end = forked_worker.start("commands")
    atexit.register(end)
    return path
