"""A recipe's script under way: what a test writes to it, line by line, and what it answers."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import forked_worker

RECIPES = Path(__file__).parents[2] / "recipes"
STUBS = Path(__file__).parent / "stubs"
SILENCE_S = 60.0
"""Seconds without a line after which a script counts as stuck."""


class Stuck(Exception):
    """The script said nothing for too long; its errors are in the message."""


@dataclass
class Served:
    """A script that was greeted; `ready` is what it said of itself."""

    asked: IO[bytes]
    answers: IO[bytes]
    errors: Path
    ready: dict[str, Any]

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request's answer; every line between must be progress."""
        self.asked.write(json.dumps({"id": 1, **request}).encode() + b"\n")
        self.asked.flush()
        answer = self.read()
        assert answer["id"] == request.get("id", 1)
        return answer

    def chat(self, text: str, *pictures: Path, **more: Any) -> str:
        """The words of an answer."""
        answer = self.ask(kind="chat", text=text, images=[{"path": str(picture)} for picture in pictures], **more)
        assert "error" not in answer, answer
        return str(answer["text"])

    def draw(self, text: str, **more: Any) -> bytes:
        """The picture of an answer, as the file that it stands in."""
        answer = self.ask(kind="image", text=text, **more)
        assert "error" not in answer, answer
        (picture,) = answer["images"]
        return Path(picture["path"]).read_bytes()

    def read(self) -> dict[str, Any]:
        """The next line that is no progress; fails for a line that is not of the protocol."""
        while True:
            if not select.select([self.answers], [], [], SILENCE_S)[0]:
                raise Stuck(self.errors.read_text())
            line = self.answers.readline()
            if not line:
                raise Stuck(f"the script has ended: {self.errors.read_text()[-3000:]}")
            said: dict[str, Any] = json.loads(line)
            if "progress" not in said:
                return said


@contextmanager
def serve(
    command: Sequence[str], imported: Sequence[Path], options: dict[str, Any], folder: Path, hello: dict[str, Any] | None = None
) -> Iterator[Served]:
    """Start a script in an empty folder of its own, greet it, and in the end close its stdin: it has to end with 0.

    Args:
        command: the script and its arguments.
        imported: what stands first on its path of imports.
        options: the options of its entry in bench.toml.
        folder: where it works, where its pictures go and its errors are kept.
        hello: further keys of the greeting.
    """
    (folder / "elsewhere").mkdir(parents=True)
    pictures = folder / "pictures"
    pictures.mkdir()
    errors = folder / "stderr.txt"
    process = _Process(command, imported, folder / "elsewhere", errors)
    try:
        served = Served(process.stdin, process.stdout, errors, {})
        greeting = {"protocol": 1, "options": options, "device": "cpu", "images": "paths", "folder": str(pictures), **(hello or {})}
        process.stdin.write(json.dumps({"hello": greeting}).encode() + b"\n")
        process.stdin.flush()
        served.ready.update(served.read())
        yield served
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait() == 0, errors.read_text()
    finally:
        process.end()


class _Process:
    """The script as a process: forked from the server of local models' processes where pytest has started it."""

    def __init__(self, command: Sequence[str], imported: Sequence[Path], cwd: Path, errors: Path) -> None:
        given, self.stdin = _pipe(write=True)
        self.stdout, taken = _pipe(write=False)
        arguments = [os.pathsep.join(map(str, imported)), *command]
        with errors.open("wb") as log:
            if forked_worker.SOCKET in os.environ:
                request = {
                    "command": ["recipe_process", *arguments],
                    "cwd": str(cwd),
                    "env": dict(os.environ),
                    "path": [str(STUBS.parent)],
                }
                connection, self._pid = forked_worker.ask(os.environ[forked_worker.SOCKET], request, [given, taken, log.fileno()])
                self._connection, self._popen = connection, None
            else:
                line = [sys.executable, str(STUBS.parent / "recipe_process.py"), *arguments]
                self._popen = subprocess.Popen(line, cwd=cwd, stdin=given, stdout=taken, stderr=log, start_new_session=True)
        os.close(given)
        os.close(taken)

    def wait(self) -> int:
        """Its exit code."""
        if self._popen is not None:
            return self._popen.wait(SILENCE_S)
        return int(forked_worker.read_line(self._connection))

    def end(self) -> None:
        """Close what is open; a forked process is killed when its connection closes."""
        self.stdin.close()
        self.stdout.close()
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
        else:
            self._connection.close()


def _pipe(*, write: bool) -> tuple[Any, Any]:
    """A pipe: the end for the script as a descriptor, ours as a file."""
    reading, writing = os.pipe()
    return (reading, os.fdopen(writing, "wb")) if write else (os.fdopen(reading, "rb", buffering=0), writing)
