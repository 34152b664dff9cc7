"""A server on loopback that plays an endpoint at its best and at its worst, in a thread of its own.

It answers each request with what the suite sets: the text or picture that belongs to the marker in the request, or a fault. Being
in another thread, it goes on answering when a provider holds up the event loop.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Self

import anyio
import orjson
from aiohttp import web
from anyio.from_thread import start_blocking_portal

MARKER = re.compile(rb"conformance-(\d+)")
LONGEST = 4.0
"""Seconds after which a stalled request is dropped, so that a provider that cannot be cancelled does not hold up the suite."""
GATHERING = 2.0

Body = Callable[[str], object]
Picture = Callable[[bytes], object]


@dataclass(frozen=True)
class Play:
    """The server's reaction to a request: it sends a status and a body, drops the connection, cuts the body, or stalls.

    `of_answer` says that it is the reaction to what asks for the answer: of an endpoint that takes requests for later, to a poll.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    does: str = "answers"
    of_answer: bool = False


class Server:
    """Use it in a `with` block; `url` is its address.

    Args:
        says, draws: return the body with which the endpoint sends a text, and a picture.
        takes: returns the body with which the endpoint takes a request for later, from the name of its job.

    Attributes:
        play: the reaction to requests; None answers them.
        gather: the server holds this many requests until all are there, and answers them in reverse order.
        seen: numbers of the markers in requests, in order of arrival.
        most_at_once: the most requests that the server held at once.
    """

    def __init__(self, says: Body | None, draws: Picture | None, takes: Body | None = None) -> None:
        self.play: Play | None = None
        self.gather = 0
        self.seen: list[int] = []
        self.most_at_once = 0
        self.kind = "chat"
        self._says, self._draws, self._takes = says, draws, takes
        self._held: list[anyio.Event] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._portal.call(self._start)
        self._stack.callback(lambda: self._portal.call(self._runner.cleanup))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def takes_jobs(self) -> bool:
        """Whether it takes requests for later."""
        return self._takes is not None

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._runner.server.connections) if self._runner.server else 0

    async def _start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        marker = MARKER.search(await request.read())
        if marker is None:
            return self._answer_poll(request)
        number = int(marker.group(1))
        self.seen.append(number)
        play = self.play
        if play is None or (self._takes is not None and play.of_answer):
            if self.gather:
                await self._hold()
            body = self._body(number) if self._takes is None else encode_body(self._takes(f"conformance-{number}"))
            return web.Response(body=body, content_type="application/json")
        if play.does == "stalls":
            await anyio.sleep(LONGEST)
        if play.does in ("stalls", "drops"):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        if play.does == "cuts":
            body = self._body(number)
            answer = web.StreamResponse(headers={"content-length": str(len(body)), "content-type": "application/json"})
            await answer.prepare(request)
            with suppress(ConnectionError):
                await answer.write(body[: len(body) // 2])
            if request.transport is not None:
                request.transport.close()
            return answer
        return web.Response(status=play.status, body=play.body, headers=play.headers, content_type="application/json")

    def _answer_poll(self, request: web.Request) -> web.Response:
        """The answer to a request without a marker in its body: to a poll, whose address names the job."""
        named = MARKER.search(request.raw_path.encode())
        if self.play is not None and self.play.of_answer:
            return web.Response(status=self.play.status, body=self.play.body, content_type="application/json")
        return web.Response(body=self._body(int(named.group(1)) if named else 0), content_type="application/json")

    async def _hold(self) -> None:
        """Wait until `gather` requests are held, then go in reverse order of arrival; after a while go anyway."""
        mine = anyio.Event()
        self._held.append(mine)
        self.most_at_once = max(self.most_at_once, len(self._held))
        if len(self._held) == self.gather:
            for event in reversed(self._held):
                event.set()
                await anyio.sleep(0.002)
        with anyio.move_on_after(GATHERING):
            await mine.wait()
        if not mine.is_set():
            self.gather = 0

    def _body(self, number: int) -> bytes:
        """The endpoint's body for the request with marker `number`, with its text or its picture."""
        return encode_body(self.body_of(build_text(number)) if self.kind == "chat" else self.picture_body(draw_picture(number)))

    def body_of(self, text: str) -> object:
        """The body with which the endpoint sends `text`."""
        return self._says(text) if self._says else {}

    def picture_body(self, data: bytes) -> object:
        """The body with which the endpoint sends a picture."""
        return self._draws(data) if self._draws else {}


def encode_body(body: object) -> bytes:
    """A body as it is sent: bytes and text as they are, else JSON."""
    return body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else orjson.dumps(body)


def build_text(number: int) -> str:
    """The text that belongs to a marker."""
    return f"The answer is said-{number}-said."


def draw_picture(number: int) -> bytes:
    """The picture that belongs to a marker: a PNG of 64 x 64 pixels in a colour of its own."""
    colour = (number * 37 % 256, number * 101 % 256, number // 256 % 256)
    pixels = zlib.compress((b"\0" + bytes(colour) * 64) * 64)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
