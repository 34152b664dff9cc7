"""What every vendor's server shares: replies in turn, a record of what was asked, and the vendor's own refusal of a wrong call."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

KEY = "key-planted-0123456789abcdef"


@dataclass
class Reply:
    """One answer: JSON, or bytes as they are."""

    body: object
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """One call as it came: a form's fields stand in `body` as bytes."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]


Script = Reply | Callable[[Asked], Reply]


class VendorServer:
    """Give `replies` in turn, the last one over and over; a vendor's class says what it makes of paths and keys.

    Args:
        replies: what is answered, or functions from what was asked to it.
        key: the only key that is taken.
    """

    ROOT = "/v1"
    """What the base address ends with."""

    def __init__(self, *replies: Script, key: str = KEY) -> None:
        self.replies = list(replies)
        self.key = key
        self.asked: list[Asked] = []
        self.url = ""

    def refusal(self, asked: Asked) -> Reply | None:
        """The vendor's answer to a wrong path or key; None for a call that is in order."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=256 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}{self.ROOT}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body: dict[str, Any] = {}
        if request.content_type == "application/json" and raw:
            body = json.loads(raw)
        elif request.content_type == "multipart/form-data":
            body = {"form": raw}
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(request.path, dict(request.query), headers, body)
        reply = self.refusal(asked)
        if reply is None:
            self.asked.append(asked)
            script = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            reply = script if isinstance(script, Reply) else script(asked)
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        return web.Response(status=reply.status, body=content, headers={"content-type": "application/json", **reply.headers})
