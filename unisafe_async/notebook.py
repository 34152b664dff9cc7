"""Helps `evaluate` in a notebook: shows progress, and gives a hint if the user forgot `await`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

import anyio
from rich.console import Console

from unisafe_async.run.evaluation import Run
from unisafe_async.screens.notebook import NotebookProgress
from unisafe_async.screens.progress import Progress

P = ParamSpec("P")
T = TypeVar("T")
Show = Callable[[], Awaitable[None]]
log = logging.getLogger(__name__)


def warn_to_await(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """`function`, whose coroutines explain how to run them: when displayed, and in Python's warning about unawaited ones."""
    name = f"unisafe_async.{function.__name__}"
    hint = f"{name}: `await {name}(...)` in a notebook, `asyncio.run({name}(...))` in a script"

    @functools.wraps(function)
    def made(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        coroutine = function(*args, **kwargs)
        coroutine.__qualname__ = hint  # type: ignore[attr-defined]
        return coroutine

    return _mark(made)


def _mark(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, marked as a coroutine function, so that frameworks call it in their loop and not in a thread."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function


def check_asyncio() -> None:
    """Raises RuntimeError in a loop other than asyncio's: hosted models cannot be asked there, and every row would fail."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "unisafe_async.evaluate runs on asyncio, not on trio: asyncio.run(unisafe_async.evaluate(...))"
        ) from None


def is_in_notebook() -> bool:
    """Whether this process is a notebook's kernel, which can show more than text."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


@asynccontextmanager
async def show_progress(run: Run, wanted: bool | None) -> AsyncIterator[None]:
    """Inside the block, show the progress of `run`: in a notebook unless `wanted` is False, elsewhere only if it is True."""
    show = _choose_show(run, wanted)
    if show is None:
        yield
        return
    async with anyio.create_task_group() as group:
        group.start_soon(_keep_showing, show)
        try:
            yield
        finally:
            group.cancel_scope.cancel()


def _choose_show(run: Run, wanted: bool | None) -> Show | None:
    if is_in_notebook():
        return None if wanted is False else NotebookProgress(run).show
    if not wanted:
        return None
    return Progress(Console(stderr=True), run).show


async def _keep_showing(show: Show) -> None:
    """Show until cancelled. An error of the display does not end the run."""
    try:
        await show()
    except Exception as error:
        log.warning("the run's progress cannot be shown: %s: %s", type(error).__name__, error)
