"""Servers of one model on loopback, for tests of several: each can be slow, break, stop and come back at its port."""

from __future__ import annotations

from collections import Counter

import anyio
from aiohttp import web

SAFE = "Fine. [simulated: contextual=1 intrinsic=1]"


class Machine:
    """A server on loopback, which can be slow, break, stop and come back at its port.

    Attributes:
        answered: how often each text was answered.
        most: the most calls at once.
        status, headers: what it answers with instead, if `status` is not 200.
        breaks_after: the number of requests after which its connections drop.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self.answered: Counter[str] = Counter()
        self.asked = 0
        self.at_once = self.most = 0
        self.status = 200
        self.headers: dict[str, str] = {}
        self.message = "out of order"
        self.breaks_after: int | None = None
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def refuse(self) -> bool:
        """Whether a request is answered with `status` instead."""
        return self.status != 200

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked += 1
        if self.breaks_after is not None and self.asked > self.breaks_after:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if self.refuse():
            return web.json_response({"error": {"message": self.message}}, status=self.status, headers=self.headers)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await anyio.sleep(self.latency)
        self.at_once -= 1
        self.answered[str(body["messages"][-1]["content"])] += 1
        return web.json_response(
            {
                "choices": [{"message": {"content": SAFE}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2},
            }
        )
