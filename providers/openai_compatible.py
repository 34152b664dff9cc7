"""Any OpenAI-compatible endpoint, through the openai package's HTTP client with its aiohttp transport.

The package's layers of option and model copies above that client are left out: that halves the CPU of a call and more
(benchmarks/cpu_per_call.py).
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
from typing import Literal, Self
from urllib.parse import urlsplit

import aiohttp
import anyio
import httpx2
import openai
import orjson

from providers import openai_wire as wire
from providers.base import Capabilities, Image, Limits, Misconfigured, Rejected, Request, Response, Timeout, Transient

CHAT, GENERATIONS, EDITS = "chat/completions", "images/generations", "images/edits"
File = tuple[str, tuple[str, bytes, str]]
SHORTEST_KEY = 8
"""Anything shorter is a stand-in such as `none`, and may be part of ordinary words."""
MAX_IMAGE_BYTES = 64 * 1024 * 1024


class OpenAICompatible:
    """One model at an OpenAI-compatible endpoint.

    Args:
        model: its name at the endpoint.
        base_url: up to and with `/v1`.
        api_key: sent as a bearer token; never part of `identity`, and cut out of every error message.
        capabilities: what the model takes and gives.
        image_api: how it is asked for an image: by `images.generate` and `images.edit`, or in a `chat` message.
        timeout: seconds for one call, from connecting to the last byte.
        max_connections: connections kept open at most.
        extra: further keys for every body, such as `{"chat_template_kwargs": {...}}`; they are part of `identity`.
        structured: whether a request's schema is sent as `response_format`; an endpoint that refuses it is asked without.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        image_api: Literal["images", "chat"] = "images",
        timeout: float = 120.0,
        max_connections: int = 64,
        extra: Mapping[str, object] | None = None,
        structured: bool = True,
    ) -> None:
        self.model = model
        self.base_url = base_url.rstrip("/")
        self.capabilities = capabilities
        self.reported = Limits()
        self.identity = f"openai|{self.base_url}|{model}|{image_api}"
        if extra:
            self.identity += "|" + orjson.dumps(dict(extra), option=orjson.OPT_SORT_KEYS).decode()
        if not api_key.isascii() or not api_key.isprintable():
            raise Misconfigured("the key holds a character that no HTTP header can; check the variable named by `key_env`")
        self._secret = api_key.encode() if len(api_key) >= SHORTEST_KEY else b""
        self._authorization = {"authorization": f"Bearer {api_key}"}
        self._image_api = image_api
        self._timeout = timeout
        self._max_connections = max_connections
        self._extra = dict(extra or {})
        self._structured = structured
        self._image_seed = True
        self._tokens_key = "max_completion_tokens" if urlsplit(base_url).hostname == "api.openai.com" else "max_tokens"

    async def __aenter__(self) -> Self:
        limits = httpx2.Limits(max_connections=self._max_connections, max_keepalive_connections=self._max_connections)
        timeout = httpx2.Timeout(self._timeout, connect=min(10.0, self._timeout), pool=None)
        self._http = openai.DefaultAioHttpClient(limits=limits, timeout=timeout, follow_redirects=False, verify=_tls())
        await self._http.__aenter__()
        try:
            self._urls = {path: httpx2.URL(f"{self.base_url}/{path}") for path in (CHAT, GENERATIONS, EDITS)}
        except (httpx2.InvalidURL, ValueError) as error:
            raise Misconfigured(f"base_url {self.base_url} is no address: {error}") from None
        self._headers = {**self._authorization, "content-type": "application/json"}
        self._extensions = {"timeout": timeout.as_dict()}
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with anyio.CancelScope(shield=True):
            await self._http.__aexit__(None, None, None)

    async def call(self, request: Request) -> Response:
        started = time.perf_counter()
        try:
            with anyio.fail_after(self._timeout):
                if request.kind == "chat" or self._image_api == "chat":
                    response = await self._chat(request)
                else:
                    response = await self._images(request)
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
        return replace(response, latency=time.perf_counter() - started)

    async def _chat(self, request: Request) -> Response:
        """One chat completion; asked again only where the endpoint says that it does not know a parameter."""
        while True:
            tokens_key, structured = self._tokens_key, self._structured
            body = await wire.chat_body(
                self.model, request, image_out=request.kind != "chat", tokens_key=tokens_key, structured=structured
            )
            answer = await self._post(CHAT, body)
            if answer.status_code == 200:
                with _reading():
                    return wire.chat_response(_parsed(self._content(answer)))
            error_body = _error_body(self._content(answer))
            unsupported = wire.unsupported_parameter(answer.status_code, error_body)
            if unsupported == "response_format" and structured and request.schema is not None:
                self._structured = False
            elif unsupported == "max_tokens" and tokens_key == "max_tokens":
                self._tokens_key = "max_completion_tokens"
            else:
                return self._blocked_or_raise(answer.status_code, error_body, answer.headers)

    async def _images(self, request: Request) -> Response:
        """One image by `images/generations`, or by `images/edits` when an image is given."""
        body: wire.Json = {"model": self.model, "prompt": request.text, "n": 1}
        if request.size:
            body["size"] = request.size
        if request.seed is not None and self._image_seed:
            body["seed"] = request.seed
        if request.kind == "image":
            answer = await self._post(GENERATIONS, body)
        else:
            files = [("image", (image.file_name, await image.read(), image.media_type)) for image in request.images]
            answer = await self._post(EDITS, body, files)
        if answer.status_code != 200:
            error_body = _error_body(self._content(answer))
            if "seed" in body and wire.unsupported_parameter(answer.status_code, error_body) == "seed":
                self._image_seed = False
                return await self._images(request)
            return self._blocked_or_raise(answer.status_code, error_body, answer.headers)
        with _reading():
            parsed = _parsed(self._content(answer))
            found = wire.image_data(parsed)
            usage = wire.usage_of(parsed, len(found))
        images = [data if data is not None else await self._download(str(url)) for data, url in found]
        return Response(images=tuple(Image.from_bytes(data, media_type_of(data)) for data in images), usage=usage)

    async def _post(self, path: str, body: wire.Json, files: list[File] | None = None) -> httpx2.Response:
        """Send `body` as JSON, or as a form with `files`."""
        body.update(self._extra)
        if files is None:
            request = httpx2.Request(
                "POST", self._urls[path], content=orjson.dumps(body), headers=self._headers, extensions=self._extensions
            )
        else:
            request = httpx2.Request(
                "POST", self._urls[path], data=body, files=files, headers=self._authorization, extensions=self._extensions
            )
            await request.aread()
        answer = await self._http.send(request)
        if any(name[:11].lower() == b"x-ratelimit" for name, _ in answer.headers.raw):
            self.reported = wire.limits_of(answer.headers)
        return answer

    async def _download(self, url: str) -> bytes:
        """An image that the endpoint keeps at a URL; the key is not sent there."""
        with _reading():
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

    def _blocked_or_raise(self, status: int, body: object, headers: Mapping[str, str]) -> Response:
        with _reading():
            blocked = wire.block_of(status, body)
            error = wire.error_of(status, body, headers, self.model)
        if blocked is None:
            raise error
        return blocked

    def _content(self, answer: httpx2.Response) -> bytes:
        """The body, with the key cut out of it where the endpoint repeats it."""
        return answer.content.replace(self._secret, b"[key]") if self._secret else answer.content


def _parsed(content: bytes) -> wire.Json:
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


def _error_body(content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode("utf-8", "replace")[:500]


@contextmanager
def _reading() -> Iterator[None]:
    """What an endpoint answers may have any shape: one that is not OpenAI's is worth another try, and no reason to end the run."""
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
