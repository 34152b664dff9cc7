"""`view`: serves the page about a cache until Ctrl-C."""

from __future__ import annotations

import getpass
import webbrowser
from pathlib import Path

import anyio
from anyio import to_thread
from unisafe_cache import read_file

from unisafe_async.commands.session import run_loop
from unisafe_async.errors import UsageError
from unisafe_async.results.listing import read_runs
from unisafe_async.signals import stop_signals
from unisafe_async.text import plain
from unisafe_async.view.guard import Guard
from unisafe_async.view.rating import LabelBook
from unisafe_async.view.server import HOST, Viewer, open_view


def serve_view(cache: Path, config: Path, port: int, labels: Path, by: str | None, *, blind: bool, browser: bool) -> None:
    """Serve the page about `cache` until Ctrl-C. Raises CacheError, LabelError, and UsageError for a port that is taken.

    Args:
        labels: the file that labels go to; by: who labels, else the user's name on this machine.
        blind: hide every verdict until the answer is labelled.
        browser: open the page in the user's browser.
    """
    read_file(cache, read_runs)
    book = LabelBook(labels, by or getpass.getuser())
    book.refresh()

    async def serve() -> None:
        with anyio.open_signal_receiver(*stop_signals()) as signals:
            async with open_view(Viewer(cache, config, book, blind=blind), Guard(), port) as url:
                print(f"{plain(str(cache))} at {url}\nCtrl-C ends it", flush=True)
                if browser:
                    await to_thread.run_sync(webbrowser.open, url)
                async for _ in signals:
                    return

    try:
        run_loop(serve)
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"cannot serve on {HOST}:{port}: {why}; name another --port, or 0 for a free one") from None
