"""What models on this machine do while somebody waits for them: a line for each, in a terminal alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import anyio
from rich.console import Console
from rich.text import Text
from unisafe_providers.base import Provider

from unisafe_async.screens.progress import describe_local
from unisafe_async.text import plain

EVERY = 0.25
"""Seconds between two looks."""


@asynccontextmanager
async def show_waiting(console: Console, list_providers: Callable[[], Iterable[tuple[str, Provider]]]) -> AsyncIterator[None]:
    """A block during which the terminal shows how far the models have loaded, by their names; nothing is shown elsewhere."""
    if not console.is_terminal:
        yield
        return
    with console.status("") as status:

        async def look() -> None:
            while True:
                said = [f"{plain(name)}: {words}" for name, provider in list_providers() if (words := describe_local(provider))]
                status.update(Text("\n".join(said)))
                await anyio.sleep(EVERY)

        failure = None
        async with anyio.create_task_group() as group:
            group.start_soon(look)
            try:
                yield
            except Exception as error:
                failure = error  # not in a group: the caller knows its kind
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
