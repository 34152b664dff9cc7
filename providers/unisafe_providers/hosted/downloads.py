"""Fetches pictures that an endpoint keeps at an address of the web: without the key, and only from public addresses.

An address comes from an answer, so it may be anybody's: it must not lead to this machine, its network or a cloud's metadata, unless
the endpoint itself is there. What counts is the address that a connection is made to, whatever names, redirects and resolvers say.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection
from typing import NamedTuple

import aiohttp
import httpx2
from anyio import to_thread
from yarl import URL

from unisafe_providers.base import Rejected, Transient
from unisafe_providers.environment import find_proxy_address, load_certificates
from unisafe_providers.hosted.addresses import Address, Neighbourhood, is_local_name, kind_of, read_address
from unisafe_providers.hosted.bodies import read_whole
from unisafe_providers.hosted.transport import CHUNK, CONNECT_SECONDS, KEPT_SECONDS
from unisafe_providers.pictures import Broken, NotAPicture, open_picture

REDIRECTS = 3
"""The most redirects that are followed to a picture."""
MOVED = frozenset({301, 302, 303, 307, 308})
HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "unisafe-async"}
RULE = "pictures are fetched from public addresses only, or from where the endpoint is"
NOWHERE = Neighbourhood()
Connecting = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
"""What the resolver says of one address: family, type, protocol, name, and the address itself."""


class Closed(OSError):
    """An address that pictures are not fetched from; for a connector it is one without a connection."""


class Way(NamedTuple):
    """How an address is reached: over a proxy, or straight; and whether the endpoint's neighbourhood is open to it."""

    proxy: str | None
    near: bool


class Downloads:
    """The pictures of one endpoint. Use `fetch`, and at the end `close`.

    Args:
        base_url: the endpoint's address.
        timeout: seconds for a connection, at most.
        direct: whether proxies of the environment are left out.
        reached: the addresses that connections to the endpoint were made to.
    """

    def __init__(self, base_url: str, *, timeout: float, direct: bool, reached: Callable[[], Collection[str]]) -> None:
        self._endpoint = URL(base_url)
        self._connect = min(CONNECT_SECONDS, timeout)
        self._direct = direct
        self._reached = reached
        self._looked_up: frozenset[Address] = frozenset()
        self._sessions: dict[Way, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def fetch(self, address: str) -> bytes:
        """The picture file at an address of the web.

        Raises Rejected for an address that is not public, Transient for one that gives no picture now.
        """
        try:
            data = await self._follow(URL(address))
        except Closed as error:
            raise Rejected(str(error)) from None
        except (aiohttp.ClientError, httpx2.RequestError, ValueError) as error:
            if isinstance(error, aiohttp.ClientConnectorError) and RULE in str(error.os_error):
                raise Rejected(_cut_rule(str(error.os_error))) from None
            why = str(error).replace(address, _show(address)) or type(error).__name__
            raise Transient(f"it cannot be fetched from {_show(address)}: {why}") from None
        try:
            await to_thread.run_sync(_look_at, data)
        except NotAPicture as error:
            raise Transient(f"its address gave {error}") from None
        return data

    async def _follow(self, url: URL) -> bytes:
        """The body at the end of a few redirects, each of which is checked as the first address is."""
        for _ in range(REDIRECTS + 1):
            if url.scheme not in ("http", "https") or not url.host:
                raise Closed(f"its address leads to {_show(str(url))}, which is no address of the web")
            way = await self._find_way(url)
            async with self._open_session(way).get(url, allow_redirects=False, proxy=way.proxy, headers=HEADERS) as answer:
                if answer.status in MOVED and "location" in answer.headers:
                    url = url.join(URL(answer.headers["location"]))
                    continue
                if answer.status != 200:
                    raise Transient(f"its address answered {answer.status}")
                return await read_whole(
                    httpx2.Response(answer.status, headers=answer.raw_headers, content=answer.content.iter_chunked(CHUNK))
                )
        raise Closed(f"its address leads on more than {REDIRECTS} times")

    async def _find_way(self, url: URL) -> Way:
        """The way to an address, whose spelling is checked here; where a name leads is checked when the connection is made.

        Behind a proxy the proxy resolves names, so that only their spelling can be checked.
        """
        host = url.host or ""
        proxy = None if self._direct else find_proxy_address(str(url))
        near = url.scheme == "https" or self._endpoint.scheme != "https"
        await self._look_up_endpoint()
        address = read_address(host)
        if address is not None:
            self._check(address, near)
        elif proxy is not None and is_local_name(host) and not (near and host == self._endpoint.host):
            raise Closed(f"its address leads to {host[:100]}, a name of this machine or its network: {RULE}")
        return Way(proxy, near)

    def _check(self, address: Address, near: bool) -> None:
        around = self._find_neighbourhood() if near else NOWHERE
        if not around.holds(address):
            raise Closed(f"its address leads to {address}, {kind_of(address)}: {RULE}")

    def _find_neighbourhood(self) -> Neighbourhood:
        """The endpoint's: by its own spelling, by the connections to it, and where none was made straight, by its name."""
        address = read_address(self._endpoint.host or "")
        if address is not None:
            return Neighbourhood.of([address])
        reached = frozenset(found for host in self._reached() if (found := read_address(host)) is not None)
        return Neighbourhood.of(reached or self._looked_up)

    async def _look_up_endpoint(self) -> None:
        """Resolve the endpoint's name if nothing else tells where it is, as where a file of certificates was named."""
        host = self._endpoint.host or ""
        if self._looked_up or self._reached() or read_address(host) is not None:
            return
        if not self._direct and find_proxy_address(str(self._endpoint)) is not None:
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, self._endpoint.port, type=socket.SOCK_STREAM)
        except OSError:
            return
        self._looked_up = frozenset(address for entry in found if (address := read_address(str(entry[4][0]))) is not None)

    def _open_session(self, way: Way) -> aiohttp.ClientSession:
        if way not in self._sessions:

            def connect(entry: Connecting) -> socket.socket:
                """The last moment before a connection: no resolver can change the address any more."""
                family, kind, protocol, _, place = entry
                address = read_address(place[0])
                if address is None:
                    raise Closed(f"its address leads to {place[0]}: {RULE}")
                self._check(address, way.near)
                return socket.socket(family, kind, protocol)

            connector = aiohttp.TCPConnector(
                ssl=load_certificates(), keepalive_timeout=KEPT_SECONDS, socket_factory=None if way.proxy else connect
            )
            self._sessions[way] = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._sessions[way]


def _look_at(data: bytes) -> None:
    """Raises NotAPicture for bytes of no picture, whatever their header says; a broken one is the examination's (anatomy.py)."""
    try:
        with open_picture(data):
            pass
    except Broken:
        pass


def _cut_rule(words: str) -> str:
    """The first of several reasons, each of which ends in the rule."""
    return "its address leads to" + words.split("its address leads to", 1)[-1].split(RULE, 1)[0] + RULE


def _show(address: str) -> str:
    """An address without its query, which may hold a signature."""
    return address.partition("?")[0][:200]
