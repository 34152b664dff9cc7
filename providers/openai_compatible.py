"""Any OpenAI-compatible endpoint, through the openai package's HTTP client with its aiohttp transport.

The package's layers of option and model copies above that client are left out: that halves the CPU of a call and more
(benchmarks/cpu_per_call.py).
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

import anyio
import httpx2
import openai
import orjson

from providers import openai_wire as wire
from providers.base import (
    Capabilities,
    Image,
    Limits,
    ProviderError,
    Request,
    Response,
    Timeout,
    Transient,
    Usage,
)

CHAT, GENERATIONS, EDITS = "chat/completions", "images/generations", "images/edits"
File = tuple[str, tuple[str, bytes, str]]
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
        self._api_key = api_key
        self._image_api = image_api
        self._timeout = timeout
        self._max_connections = max_connections
        self._extra = dict(extra or {})
        self._structured = structured
        self._tokens_key = "max_completion_tokens" if urlsplit(base_url).hostname == "api.openai.com" else "max_tokens"

    async def __aenter__(self) -> Self:
        limits = httpx2.Limits(max_connections=self._max_connections, max_keepalive_connections=self._max_connections)
        timeout = httpx2.Timeout(self._timeout, connect=min(10.0, self._timeout), pool=None)
        self._http = openai.DefaultAioHttpClient(limits=limits, timeout=timeout, follow_redirects=False, verify=_tls())
        await self._http.__aenter__()
        self._urls = {path: httpx2.URL(f"{self.base_url}/{path}") for path in (CHAT, GENERATIONS, EDITS)}
        self._authorization = {"authorization": f"Bearer {self._api_key}"}
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
        except ProviderError as error:
            raise self._without_key(error) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise Transient(f"cannot connect to {self.base_url}: {error or type(error).__name__}", unreachable=True) from None
        except (TimeoutError, httpx2.TimeoutException):
            raise Timeout(f"no answer within {self._timeout:g} s") from None
        except httpx2.TransportError as error:
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
                return wire.chat_response(_parsed(answer.content))
            error_body = _error_body(answer.content)
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
        if request.kind == "image":
            answer = await self._post(GENERATIONS, body)
        else:
            files = [("image", (image.file_name, await image.read(), image.media_type)) for image in request.images]
            answer = await self._post(EDITS, body, files)
        if answer.status_code != 200:
            return self._blocked_or_raise(answer.status_code, _error_body(answer.content), answer.headers)
        parsed = _parsed(answer.content)
        images = [data if data is not None else await self._download(str(url)) for data, url in wire.image_data(parsed)]
        usage = wire.usage_of(parsed, len(images))
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
        if urlsplit(url).scheme not in ("http", "https"):
            raise Transient("the endpoint answered with an image at no web address")
        async with self._http.stream("GET", url) as answer:
            if answer.status_code != 200:
                raise Transient(f"the image's address answered {answer.status_code}")
            data = bytearray()
            async for chunk in answer.aiter_bytes():
                data += chunk
                if len(data) > MAX_IMAGE_BYTES:
                    raise Transient("the image is larger than 64 MiB")
        return bytes(data)

    def _blocked_or_raise(self, status: int, body: object, headers: Mapping[str, str]) -> Response:
        blocked = wire.block_of(status, body)
        if blocked is None:
            raise wire.error_of(status, body, headers, self.model)
        return Response(finish="blocked", reason=self._cut_key(blocked.reason), usage=Usage())

    def _cut_key(self, text: str) -> str:
        return text.replace(self._api_key, "[key]") if len(self._api_key) > 3 else text

    def _without_key(self, error: ProviderError) -> ProviderError:
        error.args = tuple(self._cut_key(str(argument)) for argument in error.args)
        return error


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
