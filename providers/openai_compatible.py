"""Any endpoint that speaks OpenAI's chat completions and images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Unpack
from urllib.parse import urlsplit

import httpx2

from providers import openai_wire as wire
from providers.base import Capabilities, Image, Limits, Request, Response
from providers.http import HostedOptions, HostedProvider, error_body, media_type_of, parsed, reading
from providers.outcomes import block_of
from providers.rate_headers import limits_of

CHAT, GENERATIONS, EDITS = "chat/completions", "images/generations", "images/edits"


class OpenAICompatible(HostedProvider):
    """One model at an OpenAI-compatible endpoint.

    Args:
        model: its name at the endpoint.
        base_url: up to and with `/v1`.
        api_key: sent as a bearer token; never part of `identity`, and cut out of every error message.
        capabilities: what the model takes and gives.
        image_api: how it is asked for an image: by `images.generate` and `images.edit`, or in a `chat` message.
        key_header: where the key goes: as a bearer token, or in the `api-key` header that Azure OpenAI takes.
        structured: whether a request's schema is sent as `response_format`; an endpoint that refuses it is asked without.
        api_version: `api-version` of an Azure deployment's own address; None everywhere else.
        seed_key: what the vendor calls `seed` in a chat's body.
        edit_body: how it takes images to edit: in a form, or as data URLs in JSON.
        image_leaves_out: what it refuses in requests for images.
        options: HostedOptions; its `extra` is such as `{"chat_template_kwargs": {...}}`.
    """

    API = ""
    """What tells a class that asks in another way than chat completions in `identity`."""

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        image_api: Literal["images", "chat"] = "images",
        key_header: Literal["authorization", "api-key"] = "authorization",
        structured: bool = True,
        api_version: str | None = None,
        seed_key: str = "seed",
        edit_body: Literal["form", "json"] = "form",
        image_leaves_out: Sequence[Literal["seed", "size"]] = (),
        **options: Unpack[HostedOptions],
    ) -> None:
        super().__init__(
            f"openai|{base_url.rstrip('/')}|{model}|{self.API or image_api}" + (f"|{api_version}" if api_version else ""),
            model,
            base_url,
            api_key,
            {"api-key": api_key} if key_header == "api-key" else {"authorization": f"Bearer {api_key}"},
            capabilities,
            query=f"?api-version={api_version}" if api_version else "",
            **options,
        )
        self._image_api = image_api
        self._structured = structured
        self._image_seed = True
        self._seed_key, self._edit_body, self._image_leaves_out = seed_key, edit_body, image_leaves_out
        self._tokens_key = "max_completion_tokens" if urlsplit(base_url).hostname == "api.openai.com" else "max_tokens"

    async def _answer(self, request: Request) -> Response:
        if request.kind == "chat" or self._image_api == "chat":
            return await self._chat(request)
        return await self._images(request)

    def _limits_of(self, headers: httpx2.Headers) -> Limits | None:
        if any(name[:11].lower() == b"x-ratelimit" for name, _ in headers.raw):
            return limits_of(headers)
        return None

    async def _chat(self, request: Request) -> Response:
        """One chat completion; asked again only where the endpoint says that it does not know a parameter."""
        while True:
            tokens_key, structured, sent = self._tokens_key, self._structured, self._without(request)
            body = await wire.chat_body(
                self.model, sent, image_out=request.kind != "chat", tokens_key=tokens_key, structured=structured
            )
            answer = await self._post(CHAT, self._in_dialect(body), kind=request.kind)
            if answer.status_code == 200:
                with reading():
                    return wire.chat_response(parsed(self._content(answer)))
            body_of_error = error_body(self._content(answer))
            unsupported = wire.unsupported_parameter(answer.status_code, body_of_error)
            if unsupported == "response_format" and structured and request.schema is not None:
                self._structured = False
            elif unsupported == "max_tokens" and tokens_key == "max_tokens":
                self._tokens_key = "max_completion_tokens"
            elif not self._leaves_out(unsupported, sent):
                return self._blocked_or_raise(answer.status_code, body_of_error, answer.headers)

    async def _images(self, request: Request) -> Response:
        """One image by `images/generations`, or by `images/edits` when an image is given."""
        request = self._drawable(request)
        body: wire.Json = {"model": self.model, "prompt": request.text, "n": 1}
        if request.size:
            body["size"] = request.size
        if request.seed is not None and self._image_seed:
            body["seed"] = request.seed
        if request.kind == "image":
            answer = await self._post(GENERATIONS, body, kind="image")
        else:
            answer = await self._edit(request, body)
        if answer.status_code != 200:
            body_of_error = error_body(self._content(answer))
            if "seed" in body and wire.unsupported_parameter(answer.status_code, body_of_error) == "seed":
                self._image_seed = False
                return await self._images(request)
            return self._blocked_or_raise(answer.status_code, body_of_error, answer.headers)
        with reading():
            body_of_answer = parsed(self._content(answer))
            found = wire.image_data(body_of_answer)
            usage = wire.usage_of(body_of_answer, len(found))
        images = [data if data is not None else await self._download(str(url)) for data, url in found]
        return Response(images=tuple(Image.from_bytes(data, media_type_of(data)) for data in images), usage=usage)

    async def _edit(self, request: Request, body: wire.Json) -> httpx2.Response:
        """Send an edit as the vendor takes it: its images in a form, or as data URLs in JSON."""
        if self._edit_body == "json":
            return await self._post(EDITS, body | await wire.images_to_edit(request.images), kind="edit")
        name = "image" if len(request.images) == 1 else "image[]"
        files = [(name, (image.file_name, await image.read(), image.media_type)) for image in request.images]
        return await self._post(EDITS, body, files, kind="edit")

    def _drawable(self, request: Request) -> Request:
        """`request` for images without what the vendor refuses there."""
        for field in self._image_leaves_out:
            if getattr(request, field) is not None:
                self._left_out[f"image {field}"] = f"{self.title} takes no {field} for images: it was left out"
        size = None if "size" in self._image_leaves_out else request.size
        return replace(request, size=size, seed=None if "seed" in self._image_leaves_out else request.seed)

    def _in_dialect(self, body: wire.Json) -> wire.Json:
        """A chat's body in the vendor's own words."""
        if "seed" in body:
            body[self._seed_key] = body.pop("seed")
        return body

    def _blocked_or_raise(self, status: int, body: object, headers: httpx2.Headers) -> Response:
        with reading():
            blocked = block_of(status, body)
            error = self._error(status, body, headers)
        if blocked is None:
            raise error
        return blocked
