"""The way to one endpoint: an httpx2 client, and for the JSON of one call the aiohttp session below it.

Most of what a run sends is one JSON body and one JSON answer. For that, the layers of httpx2 above aiohttp cost as much CPU as
aiohttp itself (benchmarks/cpu_per_call.py). Forms, lists of models and batch files go through httpx2. So does all JSON
if a proxy or a certificate file of the environment is on the way: httpx2 knows all forms of them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai
from aiohttp import hdrs
from httpx_aiohttp.httpx2 import AiohttpTransport
from yarl import URL

from unisafe_providers.environment import load_certificates, proxy_of
from unisafe_providers.hosted.bodies import join_chunks, read_whole

CONNECT_SECONDS = 10.0
"""The most seconds for a new connection."""
KEPT_SECONDS = 5.0
"""An idle connection is kept so long; many servers close theirs after five seconds too."""
CHUNK = 16 * 1024
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that httpx2 takes certificates from."""


class Reply(NamedTuple):
    """An endpoint's answer: its status, headers and the whole unpacked body. What a provider passes on holds no key.

    `tells_limits` says that a header's name contains a limit; it uses the raw names, because parsed headers cost time.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    tells_limits: bool = False


def find_detour(url: str) -> str:
    """The variable of the environment for which JSON for `url` goes through httpx2; empty if it goes straight to aiohttp."""
    proxy = proxy_of(url)
    if proxy is not None:
        return str(proxy)
    if urlsplit(url).scheme == "https":
        return next((f"{name}={os.environ[name]}" for name in CERTIFICATES if os.environ.get(name)), "")
    return ""


class EndpointClient(openai.DefaultAioHttpClient):
    """openai's httpx2 client on aiohttp; `post_json` goes straight to the aiohttp session if the environment allows it.

    Both have one pool of connections to the endpoint. Redirects are not followed. `aclose` closes everything.

    Args:
        base_url: the endpoint's address.
        headers: for each JSON body.
        timeout: seconds for one request; the caller keeps to it where `post_json` goes straight.
        max_connections: connections kept open at most.
        direct: whether proxies of the environment are left out.

    Attributes:
        reached: the addresses of the endpoint that connections were made to; empty where all goes through httpx2.
    """

    def __init__(
        self, base_url: str, headers: Mapping[str, str], *, timeout: float, max_connections: int, direct: bool = False
    ) -> None:
        connect = min(CONNECT_SECONDS, timeout)
        limits = httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
        timeouts = httpx2.Timeout(timeout, connect=connect, pool=None)
        certificates = load_certificates()
        self.detour = "" if direct else find_detour(base_url)
        self.extensions = {"timeout": timeouts.as_dict()}
        self._json_headers = dict(headers)
        self._session: aiohttp.ClientSession | None = None
        self.reached: set[str] = set()
        mounts: dict[str, httpx2.AsyncBaseTransport] = {}
        if not self.detour:
            connector = aiohttp.TCPConnector(
                limit=max_connections, keepalive_timeout=KEPT_SECONDS, ssl=certificates, socket_factory=self._note_reached
            )
            patience = aiohttp.ClientTimeout(sock_connect=connect)
            self._session = aiohttp.ClientSession(connector=connector, timeout=patience, auto_decompress=False)
            mounts[_origin_of(base_url)] = AiohttpTransport(client=self._session, verify=certificates)
        super().__init__(
            limits=limits, timeout=timeouts, follow_redirects=False, verify=certificates, mounts=mounts, trust_env=not direct
        )

    async def post_json(self, url: str, body: bytes, more: Mapping[str, str] | None = None) -> Reply:
        """Send a JSON body and read the whole answer; `more` are headers of this call alone, in small letters.

        `url` is sent as it is (`write_address`).

        Raises aiohttp.ClientError or httpx2.RequestError, and Malformed for an answer of more than MAX_BYTES.
        """
        headers = {**self._json_headers, **more} if more else self._json_headers
        if self._session is None:
            return await self.exchange(httpx2.Request("POST", url, content=body, headers=headers, extensions=self.extensions))
        async with self._session.post(URL(url, encoded=True), data=body, headers=headers, allow_redirects=False) as answer:
            content = await _read_body(answer)
        return _build_reply(answer.status, answer.headers, answer.raw_headers, content)

    def note_download(self, url: str, data: bytes) -> None:
        """Told of each picture that was fetched at an address, for a client that keeps what it hears (recording_client.py)."""

    async def exchange(self, request: httpx2.Request) -> Reply:
        """Send any request through httpx2 and read the whole answer; raises as `post_json`."""
        answer = await self.send(request, stream=True)
        content = await read_whole(answer)
        return _build_reply(answer.status_code, answer.headers, answer.headers.raw, content)

    def _note_reached(self, entry: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]) -> socket.socket:
        """A socket for one address that the endpoint's name has."""
        family, kind, protocol, _, place = entry
        self.reached.add(place[0])
        return socket.socket(family, kind, protocol)


async def _read_body(answer: aiohttp.ClientResponse) -> bytes:
    """The whole body; httpx2 unpacks it if it is compressed."""
    if hdrs.CONTENT_ENCODING not in answer.headers:
        return await join_chunks(answer.content.iter_any())
    return await read_whole(httpx2.Response(answer.status, headers=answer.raw_headers, content=answer.content.iter_chunked(CHUNK)))


def _build_reply(status: int, headers: Mapping[str, str], raw: Sequence[tuple[bytes, bytes]], content: bytes) -> Reply:
    """The answer. Headers that will be read go through httpx2, which joins repeated ones; in most answers none will be."""
    tells_limits = b"limit" in b" ".join([name for name, _ in raw]).lower()
    return Reply(status, httpx2.Headers(raw) if tells_limits or status != 200 else headers, content, tells_limits)


def write_address(url: str) -> str:
    """An address as every request is sent to it: aiohttp writes a quoted `:` of a path plainly, and leaves a quoted `/` so."""
    return str(URL(str(httpx2.URL(url))))


def _origin_of(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = httpx2.URL(url)
    return f"{parts.scheme}://{parts.netloc.decode()}"
