"""The way to an endpoint that also writes every exchange to a tape: JSON, forms, lists of models and downloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx2

from unisafe_providers.hosted.transport import EndpointClient, Reply
from unisafe_providers.recording import Exchange, Tape, find_tape


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
    """An EndpointClient that writes every exchange to a tape: both its ways, and pictures that were fetched elsewhere."""

    def record_to(self, tape: Tape, address: str, hide: Callable[[bytes], bytes]) -> None:
        self._tape = tape
        self._address = address
        self._hide_keys = hide

    async def post_json(self, url: str, body: bytes, more: Mapping[str, str] | None = None) -> Reply:
        if self._session is None:  # it goes through `exchange`, which writes it
            return await super().post_json(url, body, more)
        asked = httpx2.Request("POST", url, content=body, headers={**self._json_headers, **(more or {})})
        with self._keeping_failures(asked):
            reply = await super().post_json(url, body, more)
        self._keep(asked, reply.status, reply.headers, reply.content)
        return reply

    async def exchange(self, request: httpx2.Request) -> Reply:
        with self._keeping_failures(request):
            reply = await super().exchange(request)
        self._keep(request, reply.status, reply.headers, reply.content)
        return reply

    def note_download(self, url: str, data: bytes) -> None:
        self._keep(httpx2.Request("GET", url, headers={}), 200, {}, data)

    @contextmanager
    def _keeping_failures(self, asked: httpx2.Request) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # a timeout cancels it
            self._keep(asked, failure=type(error).__name__)
            raise

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
