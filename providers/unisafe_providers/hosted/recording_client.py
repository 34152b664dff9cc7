"""The way to an endpoint that also writes every exchange to a tape: JSON, forms, lists of models and downloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from unisafe_providers.hosted.bodies import read_whole
from unisafe_providers.hosted.transport import EndpointClient, Reply
from unisafe_providers.recording import Exchange, Tape, find_tape

UNPACKED = ("content-encoding", "content-length", "transfer-encoding")
"""Headers that are not true of a body that was unpacked."""


def open_client(
    base_url: str, headers: Mapping[str, str], *, timeout: float, max_connections: int, direct: bool, hide: Callable[[bytes], bytes]
) -> EndpointClient:
    """The client of one endpoint; it writes to a tape if one is set. `hide` removes the provider's keys from what is written."""
    tape = find_tape()
    if tape is None:
        return EndpointClient(base_url, headers, timeout=timeout, max_connections=max_connections, direct=direct)
    client = RecordingClient(base_url, headers, timeout=timeout, max_connections=max_connections, direct=direct)
    client.record_to(tape, base_url, hide)
    return client


class RecordingClient(EndpointClient):
    """An EndpointClient whose exchanges are written to a tape. Every body is read whole, so it is for tiny calls only."""

    def record_to(self, tape: Tape, base_url: str, hide: Callable[[bytes], bytes]) -> None:
        self._tape = tape
        self._address = base_url
        self._hide_keys = hide

    async def post_json(self, url: str, body: bytes, *more: Any, **options: Any) -> Reply:  # noqa: ANN401 passed on as they are
        if self._session is None:  # it goes through `send`, which writes it
            return await super().post_json(url, body, *more, **options)
        asked = httpx2.Request("POST", url, content=body, headers=self._json_headers)
        try:
            reply = await super().post_json(url, body, *more, **options)
        except BaseException as error:  # a timeout cancels it
            self._keep(asked, failure=type(error).__name__)
            raise
        self._keep(asked, reply.status, reply.headers, reply.content)
        return reply

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:  # noqa: ANN401 passed on as they are
        try:
            answer = await super().send(request, **{**options, "stream": True})
            content = await read_whole(answer)
        except BaseException as error:  # a timeout cancels it
            self._keep(request, failure=type(error).__name__)
            raise
        self._keep(request, answer.status_code, answer.headers, content)
        headers = [(name, value) for name, value in answer.headers.multi_items() if name.lower() not in UNPACKED]
        return httpx2.Response(answer.status_code, headers=headers, content=content, request=request)

    def _keep(
        self,
        asked: httpx2.Request,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        received: bytes = b"",
        failure: str = "",
    ) -> None:
        self._tape.exchanges.append(
            Exchange(
                asked_for=self._tape.asked_for,
                base_url=self._address,
                method=asked.method,
                url=self._hide_in(str(asked.url)),
                sent_with=tuple(sorted({name.lower() for name in asked.headers})),
                sent_type=self._hide_in(asked.headers.get("content-type", "")),
                sent=self._hide_keys(_read_sent(asked)),
                status=status,
                headers=tuple((name.lower(), self._hide_in(value)) for name, value in (headers or {}).items()),
                received=self._hide_keys(received),
                failure=failure,
            )
        )

    def _hide_in(self, text: str) -> str:
        return self._hide_keys(text.encode()).decode()


def _read_sent(asked: httpx2.Request) -> bytes:
    """The body of a call; nothing of one that was streamed from a file."""
    try:
        return asked.content
    except httpx2.RequestNotRead:
        return b""
