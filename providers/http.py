"""What every hosted provider shares: one HTTP client with the aiohttp transport, a key that never leaves, errors by name.

The client is the openai package's; its layers of option and model copies above that client are left out, as are other vendors'
packages: that halves the CPU of a call and more (benchmarks/cpu_per_call.py).
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack
from urllib.parse import urlsplit

import aiohttp
import anyio
import httpx2
import openai
import orjson

from providers.additions import Additions, Cutter, form_fields
from providers.base import Capabilities, Kind, Limits, Misconfigured, ProviderError, Rejected, Request, Response, Timeout, Transient
from providers.failures import failure_of
from providers.images import Fitting, ImageLimits
from providers.listing import PAGES, cannot_be_listed, names_in, next_page

Json = dict[str, Any]
File = tuple[str, tuple[str, bytes, str]]
SAMPLING = ("temperature", "top_p")
"""What newer reasoning models do not take; a request is then sent without, and `notes` says so."""
MAX_IMAGE_BYTES = 64 * 1024 * 1024


class HostedOptions(TypedDict, total=False):
    """What every hosted provider may be given by keyword.

    timeout: seconds for one call, from connecting to the last byte; 120 unless told.
    max_connections: connections kept open at most; 64 unless told.
    extra: further keys for every body; they are part of `identity`.
    extra_by_kind: further keys for bodies of one kind of request, over those of `extra`; they are part of `identity`.
    more_headers: further headers of every call; they are part of `identity`.
    secret_headers: such headers whose values are never shown, stored or part of `identity`.
    title: what people call the vendor, for messages.
    images: what images it takes; others are made to fit, and `notes` says so.
    """

    timeout: float
    max_connections: int
    extra: Mapping[str, object] | None
    extra_by_kind: Mapping[Kind, Mapping[str, object]]
    more_headers: Mapping[str, str]
    secret_headers: Mapping[str, str]
    title: str
    images: ImageLimits | None


class HostedProvider:
    """One model at an HTTP endpoint; a vendor's class adds `_answer` and its own limits.

    Args:
        model: its name at the endpoint.
        base_url: what every path is appended to.
        api_key: never part of `identity`, and cut out of every error message; nothing is sent for an empty one.
        headers: sent with every call, such as the one that carries the key.
        capabilities: what the model takes and gives.
        query: what every address ends with, such as `?api-version=2024-10-21`.
        options: HostedOptions.
    """

    TITLE = "the endpoint"

    LIST_QUERY = ""
    """What makes the first page of the list of models hold as many of them as it can."""

    LIST_CURSOR = "after"
    """What the next page is asked for by, with the last model of this one."""

    def __init__(
        self,
        identity: str,
        model: str,
        base_url: str,
        api_key: str,
        headers: Mapping[str, str],
        capabilities: Capabilities,
        *,
        query: str = "",
        **options: Unpack[HostedOptions],
    ) -> None:
        images = options.get("images")
        added = Additions(
            options.get("extra") or {},
            options.get("extra_by_kind", {}),
            options.get("more_headers", {}),
            options.get("secret_headers", {}),
        )
        self.model = model
        self.title = options.get("title", self.TITLE)
        self.base_url = base_url.rstrip("/")
        self.capabilities = capabilities
        self.reported = Limits()
        self.identity = identity + added.identity
        if not api_key.isascii() or not api_key.isprintable():
            raise Misconfigured("the key holds a character that no HTTP header can; check the variable named by `key_env`")
        self._added = added
        self._cut = Cutter(api_key, *added.secrets.values())
        self._own_headers = added.beside(headers)
        self._timeout = options.get("timeout", 120.0)
        self._max_connections = options.get("max_connections", 64)
        self._extra = dict(added.extra)
        self._query = query
        self._fitting = Fitting(self.title, images) if images is not None else None
        self._left_out: dict[str, str] = {}

    @property
    def notes(self) -> list[str]:
        """What was done to requests that the user should know of: images made to fit, parameters that the model does not take."""
        changed = self._fitting.notes if self._fitting is not None else []
        return [*self._left_out.values(), *changed]

    async def __aenter__(self) -> Self:
        limits = httpx2.Limits(max_connections=self._max_connections, max_keepalive_connections=self._max_connections)
        timeout = httpx2.Timeout(self._timeout, connect=min(10.0, self._timeout), pool=None)
        try:
            httpx2.URL(self.base_url)
        except (httpx2.InvalidURL, ValueError) as error:
            raise Misconfigured(f"base_url {self.base_url} is no address: {error}") from None
        self._urls: dict[str, httpx2.URL] = {}
        self._headers = {**self._own_headers, "content-type": "application/json"}
        self._extensions = {"timeout": timeout.as_dict()}
        self._http = openai.DefaultAioHttpClient(limits=limits, timeout=timeout, follow_redirects=False, verify=_tls())
        await self._http.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with anyio.CancelScope(shield=True):
            await self._http.__aexit__(None, None, None)

    async def call(self, request: Request) -> Response:
        self.capabilities.check(request)
        started = time.perf_counter()
        with self._network():
            request = await self.fitted(request)
            with anyio.fail_after(self._timeout):
                response = await self._answer(request)
        return replace(response, latency=time.perf_counter() - started)

    async def fitted(self, request: Request) -> Request:
        """`request` with images that the vendor takes. Raises Rejected for too many, or one that cannot be read."""
        return await self._fitting.fit(request) if self._fitting is not None and request.images else request

    def _leaves_out(self, parameter: str | None, sent: Request) -> bool:
        """Leave a sampling parameter that was sent out from now on; whether that is worth another try."""
        if parameter not in SAMPLING or getattr(sent, parameter) is None:
            return False
        self._left_out[parameter] = f"{self.model} takes no {parameter} such as {getattr(sent, parameter):g}: it was left out"
        return True

    def _without(self, request: Request) -> Request:
        """`request` without what the model does not take."""
        if not self._left_out:
            return request
        temperature = None if "temperature" in self._left_out else request.temperature
        return replace(request, temperature=temperature, top_p=None if "top_p" in self._left_out else request.top_p)

    async def models(self) -> list[str]:
        """The names of the endpoint's models, of all pages of its list. Raises as `call` does; Rejected where it lists none."""
        url: str | None = f"{self.base_url}/models{self._query or self.LIST_QUERY}"
        names: dict[str, None] = {}
        with self._network(), anyio.fail_after(self._timeout):
            for _ in range(PAGES):
                assert url is not None
                answer = await self._http.get(url, headers=self._own_headers)
                if answer.status_code != 200:
                    raise self._listing_error(answer)
                page, before = error_body(self._content(answer)), len(names)
                with reading():
                    names.update(dict.fromkeys(names_in(page)))
                    url = next_page(page, url, self.LIST_CURSOR)
                if url is None or len(names) == before:
                    break
        return list(names)

    def _listing_error(self, answer: httpx2.Response) -> ProviderError:
        """What a status other than 200 means where models are listed: a list that is not there is no mistake."""
        body = error_body(self._content(answer))
        if cannot_be_listed(answer.status_code, body):
            return Rejected(f"{answer.status_code}")
        return self._error(answer.status_code, body, answer.headers)

    def _error(self, status: int, body: object, headers: httpx2.Headers) -> ProviderError:
        """The error that a status stands for."""
        return failure_of(self.title, status, body, headers, self.model)

    @contextmanager
    def _network(self) -> Iterator[None]:
        """Errors of the network by name."""
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            if not isinstance(error.__cause__, aiohttp.ClientConnectorError):
                raise Transient(f"the connection was dropped: {error or type(error).__name__}") from None
            raise Transient(f"cannot connect to {self.base_url}: {error or type(error).__name__}", unreachable=True) from None
        except (TimeoutError, httpx2.TimeoutException):
            raise Timeout(f"no answer within {self._timeout:g} s") from None
        except OSError as error:
            raise Rejected(f"an image of the request cannot be read: {error}") from None
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise Transient(f"connection failed: {error or type(error).__name__}") from None

    async def _answer(self, request: Request) -> Response:
        """The vendor's way to ask; the errors of the network are mapped by `call`."""
        raise NotImplementedError

    def _limits_of(self, headers: httpx2.Headers) -> Limits | None:
        """What the vendor's headers say of its limits; None where they say nothing."""
        return None

    async def _post(self, path: str, body: Json, files: list[File] | None = None, *, kind: Kind = "chat") -> httpx2.Response:
        """Send `body`, for a request of `kind`, as JSON, or as a form with `files`."""
        body = self._added.over(body, kind)
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = httpx2.URL(f"{self.base_url}/{path}{self._query}")
        if files is None:
            request = httpx2.Request("POST", url, content=orjson.dumps(body), headers=self._headers, extensions=self._extensions)
        else:
            form = form_fields(body)
            request = httpx2.Request("POST", url, data=form, files=files, headers=self._own_headers, extensions=self._extensions)
            await request.aread()
        answer = await self._http.send(request)
        self.reported = self._limits_of(answer.headers) or self.reported
        return answer

    async def _download(self, url: str) -> bytes:
        """An image that the endpoint keeps at a URL; the key is not sent there."""
        with reading():
            web = urlsplit(url).scheme in ("http", "https")
        if not web:
            raise Transient("the endpoint answered with an image at no web address")
        data = bytearray()
        try:
            async with self._http.stream("GET", url) as answer:
                if answer.status_code != 200:
                    raise Transient(f"the image's address answered {answer.status_code}")
                async for chunk in answer.aiter_bytes():
                    data += chunk
                    if len(data) > MAX_IMAGE_BYTES:
                        raise Transient("the image is larger than 64 MiB")
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise Transient(f"the image cannot be fetched from {url[:200]}: {error or type(error).__name__}") from None
        return bytes(data)

    def _content(self, answer: httpx2.Response) -> bytes:
        """The body, with the key cut out of it where the endpoint repeats it."""
        return self._cut(answer.content)


def parsed(content: bytes) -> Json:
    """The JSON object; the standard parser has a second try, since it takes escaped lone surrogates."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            body = json.loads(content)
        except ValueError:
            body = None
    if body is None:
        raise Transient("the endpoint's answer is no JSON") from None
    if not isinstance(body, dict):
        raise Transient("the endpoint's answer is no JSON object")
    return body


def error_body(content: bytes) -> object:
    """An error's body as JSON, else its first words."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode("utf-8", "replace")[:500]


@contextmanager
def reading() -> Iterator[None]:
    """What an endpoint answers may have any shape: one that is not its vendor's is worth another try."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise Transient(f"the endpoint's answer has a shape of its own ({type(error).__name__}: {error})"[:300]) from None


@cache
def _tls() -> ssl.SSLContext:
    """One for all providers: reading the certificates takes 30 ms."""
    return httpx2.create_ssl_context()


def media_type_of(data: bytes) -> str:
    """The media type that an image file's first bytes tell; `image/png` when they tell none."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/png"
