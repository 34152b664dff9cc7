"""A worker that is spoken to in frames, wherever it runs: the process of a local model, here or on another machine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio

from unisafe_providers.base import Rejected
from unisafe_providers.workers.frames import pack, pack_request, unpack_response
from unisafe_providers.workers.worker import Call, Ended, Worker


class FramedWorker(Worker):
    """A worker that reads and writes frames (frames.py).

    Args:
        title, device, on_event: as of Worker.
        load: the first frame, which says what to load.
        inline: whether pictures go as bytes, because the worker does not see this machine's files.

    Attributes:
        patience: seconds without a sign of life after which a worker that loads or works is ended.
    """

    patience = 1_800.0

    def __init__(
        self, *, title: str, device: str, on_event: Callable[[Worker, dict[str, Any]], None], load: bytes, inline: bool = False
    ) -> None:
        super().__init__(title, device, on_event)
        self._load = load
        self._inline = inline
        self._started = anyio.Event()
        self._sending = anyio.Lock()

    @abstractmethod
    async def write(self, frame: bytes) -> None:
        """Give a frame to the worker. Raises OSError or an anyio error when it is gone."""

    async def hand_over(self, call: Call) -> None:
        await self._send(await pack_request(call.identifier, call.request, call.alone, inline=self._inline))

    async def forget(self) -> None:
        await self._send(pack({"type": "withdraw"}))

    async def start_loading(self) -> None:
        """Send the first frame; then requests may follow."""
        with suppress(Ended):
            await self._write_in_turn(self._load)
        self._started.set()

    async def _send(self, frame: bytes) -> None:
        await self._started.wait()
        if self.ended.is_set():
            raise Ended
        await self._write_in_turn(frame)

    async def _write_in_turn(self, frame: bytes) -> None:
        try:
            async with self._sending:
                await self.write(frame)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
            await self.ended.wait()
            raise Ended from None

    def take(self, head: dict[str, Any], blobs: list[bytes]) -> None:
        """Take a frame that came."""
        match head["type"]:
            case "answer":
                self.answered += 1
                self.answer(head["id"], unpack_response(head, blobs))
            case "error":
                self.answer(head["id"], Rejected(head["error"]))
            case "failed":
                self.failure = head["error"]
            case _:
                self.report(head)

    def finish(self, words: str) -> None:
        super().finish(words)
        self._started.set()
