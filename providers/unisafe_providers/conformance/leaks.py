"""Finds what a provider left behind: tasks, connections, open files, objects that were not closed."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import anyio.lowlevel

FILES = Path("/dev/fd")
SETTLING = 2.0
"""Seconds to wait until closed things are gone: the other side of a connection notices a little later."""


class Leaks:
    """Create it before the code that may leak, run that code within `watch`, and call `describe` afterwards.

    Files count from `note_files` on: before that, files that are opened once and kept (a cache, a library's device) are opened.
    """

    def __init__(self) -> None:
        self._tasks = set(asyncio.all_tasks())
        self._files: set[tuple[int, int, int]] = set()
        self._said: list[str] = []

    def note_files(self) -> None:
        self._files = _open_files()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Collect warnings of unclosed resources and errors that nobody handled."""
        loop = asyncio.get_running_loop()
        handler, hook = loop.get_exception_handler(), sys.unraisablehook
        loop.set_exception_handler(lambda _, context: self._said.append(str(context.get("message"))))
        gc.collect()
        sys.unraisablehook = lambda seen: self._said.append(f"{seen.exc_value}")
        try:
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                self._heard = heard
                yield
        finally:
            loop.set_exception_handler(handler)
            sys.unraisablehook = hook

    async def describe(self, rounds: int, connections: Callable[[], int]) -> str:
        """What is left behind, in words; empty if nothing is.

        Args:
            rounds: how often the provider was opened since `note_files`; a leak leaves at least one file for each time.
            connections: returns how many connections the endpoint still has.
        """
        with anyio.move_on_after(SETTLING):
            while connections() or self._list_new_tasks():  # noqa: ASYNC110 nothing tells when a task or a connection is gone
                await anyio.sleep(0.01)
        tasks = self._list_new_tasks()
        if tasks:
            return f"a task goes on after the block: {tasks[0].get_name()} in {_describe_task(tasks[0])}"
        if connections():
            return f"{connections()} connections are still open after the block"
        for _ in range(3):
            gc.collect()
            await anyio.lowlevel.checkpoint()
        unclosed = [str(one.message) for one in self._heard if issubclass(one.category, ResourceWarning)]
        if unclosed or self._said:
            return f"something was not closed: {[*unclosed, *self._said][0]}"
        files = len(_open_files() - self._files)
        return f"{files} files or sockets more are open after the block than before" if files >= rounds else ""

    def _list_new_tasks(self) -> list[asyncio.Task[object]]:
        return [task for task in asyncio.all_tasks() - self._tasks if not task.done()]


def _open_files() -> set[tuple[int, int, int]]:
    """Each open file's number and identity, so that a file closed elsewhere does not hide a file that was left open."""
    found = set()
    for number in map(int, os.listdir(FILES) if FILES.exists() else ()):
        with suppress(OSError):  # the listing's own file is closed by now
            identity = os.fstat(number)
            found.add((number, identity.st_dev, identity.st_ino))
    return found


def _describe_task(task: asyncio.Task[object]) -> str:
    return getattr(task.get_coro(), "__qualname__", "a coroutine")
