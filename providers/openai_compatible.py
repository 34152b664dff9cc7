"""Any OpenAI-compatible endpoint, through the openai package and its aiohttp transport.

Images go through the package's own methods. Chat, nearly all of the traffic, goes through the package's HTTP client without the
layers of option and model copies above it: that halves the CPU of a call and more (benchmarks/cpu_per_call.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
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
    Misconfigured,
    ProviderError,
    Request,
    Response,
    Timeout,
    Transient,
    Usage,
)

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
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        limits = httpx2.Limits(max_connections=self._max_connections, max_keepalive_connections=self._max_connections)
        http = openai.DefaultAioHttpClient(
            limits=limits, timeout=httpx2.Timeout(self._timeout, connect=min(10.0, self._timeout)), follow_redirects=False
        )
        self._http = await self._stack.enter_async_context(http)
        self._client = openai.AsyncOpenAI(
            api_key=self._api_key, base_url=self.base_url, http_client=http, max_retries=0, timeout=self._timeout
        )
        self._url = httpx2.URL(f"{self.base_url}/chat/completions")
        self._headers = {"authorization": f"Bearer {self._api_key}", "content-type": "application/json"}
        self._extensions = {"timeout": httpx2.Timeout(self._timeout, connect=min(10.0, self._timeout)).as_dict()}
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with anyio.CancelScope(shield=True):
            await self._stack.aclose()

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
        except (TimeoutError, httpx2.TimeoutException, openai.APITimeoutError):
            raise Timeout(f"no answer within {self._timeout:g} s") from None
        except (httpx2.TransportError, openai.APIConnectionError) as error:
            raise Transient(f"connection failed: {error or type(error).__name__}") from None
        except httpx2.InvalidURL as error:
            raise Misconfigured(f"base_url {self.base_url} is no address: {error}") from None
        return Response(
            response.text, response.images, response.finish, response.reason, response.usage, time.perf_counter() - started
        )

    async def _chat(self, request: Request) -> Response:
        """One chat completion; asked again only where the endpoint says that it does not know a parameter."""
        while True:
            tokens_key, structured = self._tokens_key, self._structured
            body = await wire.chat_body(
                self.model, request, image_out=request.kind != "chat", tokens_key=tokens_key, structured=structured
            )
            body.update(self._extra)
            answer = await self._http.send(
                httpx2.Request("POST", self._url, content=orjson.dumps(body), headers=self._headers, extensions=self._extensions)
            )
            self.reported = wire.limits_of(answer.headers)
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
        """One image by `images.generate`, or by `images.edit` when an image is given."""
        options: dict[str, object] = {**self._extra, **({"size": request.size} if request.size else {})}
        try:
            if request.kind == "image":
                raw = await self._client.images.with_raw_response.generate(
                    model=self.model, prompt=request.text, n=1, extra_body=options or None
                )
            else:
                files = [
                    (f"image.{image.media_type.rsplit('/', 1)[-1]}", await image.read(), image.media_type)
                    for image in request.images
                ]
                raw = await self._client.images.with_raw_response.edit(
                    model=self.model, prompt=request.text, image=files, n=1, extra_body=options or None
                )
        except openai.APIStatusError as error:
            self.reported = wire.limits_of(error.response.headers)
            return self._blocked_or_raise(error.status_code, _error_body(error.response.content), error.response.headers)
        self.reported = wire.limits_of(raw.headers)
        body = _parsed(raw.content)
        images = [data if data is not None else await self._download(str(url)) for data, url in wire.image_data(body)]
        usage = wire.usage_of(body, len(images))
        return Response(images=tuple(Image.from_bytes(data, media_type_of(data)) for data in images), usage=usage)

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
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise Transient("the endpoint's answer is no JSON") from None
    if not isinstance(body, dict):
        raise Transient("the endpoint's answer is no JSON object")
    return body


def _error_body(content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode("utf-8", "replace")[:500]


def media_type_of(data: bytes) -> str:
    """The media type that an image file's first bytes tell; `image/png` when they tell none."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/png"
