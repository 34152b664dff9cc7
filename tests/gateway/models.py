"""What the tests of the gateway share: models that do as they are told, and asking them for many things at once."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, Self

import anyio
from unisafe_cache import Store
from unisafe_providers import Capabilities, Image, Limits, ProviderError, Request, Response, Text
from virtual_time import VirtualTime

from unisafe_async.gateway import AdaptiveConcurrency, Asked, Budget, Endpoint, Gateway, RateLimits

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR4nGOoWHACK2IYWhIAz3p4Aasum28AAAAASUVORK5CYII=")
PICTURE = Image.from_bytes(PNG)
"""A sound picture of 8 x 8 pixels."""


class Told:
    """A provider whose `says` makes the answer to a request, or the error; each call takes so many turns of the event loop.

    Attributes:
        calls: what it was asked, in order.
        most_at_once: calls under way at the same time, at most.
    """

    identity = "told|model"
    capabilities = Capabilities(image_in=True, image_out=True, edit=True)
    reported = Limits()

    def __init__(self, says: Callable[[Request], Response | ProviderError], turns: int = 3) -> None:
        self.calls: list[str] = []
        self.most_at_once = self._at_once = 0
        self._says, self._turns = says, turns

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def call(self, request: Request) -> Response:
        self.calls.append(request.text)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            for _ in range(self._turns):
                await anyio.lowlevel.checkpoint()
            said = self._says(request)
        finally:
            self._at_once -= 1
        if isinstance(said, ProviderError):
            raise said
        return said


def endpoint_of(gateway: Gateway, provider: Any, *, most: int = 32, **options: Any) -> Endpoint:
    limits = RateLimits(None, None, None, gateway.sleep, gateway.now)
    return Endpoint(name="model", provider=provider, concurrency=AdaptiveConcurrency(most), rates=limits, **options)


def gateway_of(store: Store, *, budget: float | None = None, time: VirtualTime | None = None) -> Gateway:
    return Gateway(store, Budget(budget), "run", 0, time or VirtualTime())


def chat(text: object, *images: Image, max_tokens: int | None = 100) -> Request:
    return Request(kind="chat", parts=(*images, Text(str(text))), max_tokens=max_tokens)


async def all_of(gateway: Gateway, endpoint: Endpoint, requests: Sequence[Request]) -> list[str]:
    """What each of `requests` got, asked at once: the text of its answer, or the kind of its error and its words."""
    results = [""] * len(requests)

    async def ask(number: int, request: Request) -> None:
        try:
            asked: Asked = await gateway.ask(endpoint, request)
            results[number] = asked.response.text
        except Exception as error:
            results[number] = f"{type(error).__name__}: {error}"

    async with anyio.create_task_group() as group:
        for number, request in enumerate(requests):
            group.start_soon(ask, number, request)
    return results
