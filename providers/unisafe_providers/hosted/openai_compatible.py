"""Any endpoint that speaks OpenAI's chat completions and images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, Unpack
from urllib.parse import urlsplit

from unisafe_providers.base import Capabilities, Image, Request, Response
from unisafe_providers.hosted import openai_wire as wire
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.http import File, HostedOptions, HostedProvider
from unisafe_providers.hosted.responses_wire import read_responses_response
from unisafe_providers.hosted.schema_watch import SchemaWatch

CHAT, GENERATIONS, EDITS = "chat/completions", "images/generations", "images/edits"


class OpenAICompatible(HostedProvider):
    """One model at an OpenAI-compatible endpoint.

    Args:
        model: its name at the endpoint.
        base_url: up to and with `/v1`.
        api_key: sent as a bearer token; never part of `identity`, and cut out of every error message.
        capabilities: what the model takes and gives.
        image_api: how to ask for an image: by `images.generate` and `images.edit`, or in a `chat` message.
        key_header: how the key is sent: as a bearer token, or in the `api-key` header that Azure OpenAI takes.
        names: the vendor's names of parameters, such as `{"seed": "random_seed"}`.
        edit_body: how the vendor takes images to edit: in a form, or as data URLs in JSON.
        image_leaves_out: fields that the vendor refuses in requests for images.
        api_version: `api-version` of an Azure deployment's own address; None everywhere else.
        options: HostedOptions; its `extra` is such as `{"chat_template_kwargs": {...}}`.
    """

    API = ""
    """A class that does not ask by chat completions puts its name of the protocol into `identity` here."""

    EDITS = EDITS
    """The path of edits."""

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        image_api: Literal["images", "chat"] = "images",
        key_header: Literal["authorization", "api-key"] = "authorization",
        api_version: str | None = None,
        names: Mapping[str, str] | None = None,
        edit_body: Literal["form", "json"] = "form",
        image_leaves_out: Collection[Literal["seed", "size"]] = (),
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
        if urlsplit(base_url).hostname == "api.openai.com" and not self.API:
            self._accepted = replace(self._accepted, names={"max_tokens": "max_completion_tokens"})
        if names:
            self._accepted = replace(self._accepted, names={**self._accepted.names, **names})
        self._edit_body = edit_body
        self._schema_watch = SchemaWatch()
        self._image_leaves_out = image_leaves_out

    async def _answer(self, request: Request) -> Response:
        if request.kind == "chat" or self._image_api == "chat":
            response = await self._exchange(
                request, CHAT, self._build_chat_body, partial(self._read_chat_response, image_due=request.image_due)
            )
            if request.schema is not None and self._accepted.structured:
                self._watch_schema(response)
            return response
        if request.kind == "image":
            return await self._exchange(request, GENERATIONS, self._build_images_body, self._read_images)
        files = self._build_form_pictures if self._edit_body == "form" else None
        return await self._exchange(request, self.EDITS, self._build_images_body, self._read_images, files=files)

    def _watch_schema(self, response: Response) -> None:
        self._schema_watch.note_reply(response)
        if self._schema_watch.ignored:
            self._tell(self._schema_watch.describe(self.model))

    async def _build_chat_body(self, request: Request) -> Json:
        return await wire.build_chat_body(self.model, request, self._accepted)

    def _read_chat_response(self, body: Json, *, image_due: bool) -> Response:
        """Reads a chat completion; some servers answer with a Responses object instead."""
        if "choices" not in body and isinstance(body.get("output"), list):
            return read_responses_response(body)
        return wire.read_chat_response(body, self._fetch_picture, image_due=image_due)

    async def _build_images_body(self, request: Request) -> Json:
        body: Json = {"model": self.model, "prompt": request.text, "n": 1}
        for name in ("size", "seed"):
            value = getattr(request, name)
            if value is not None and name in self._image_leaves_out:
                self._tell(f"{self.title} takes no {name} for images: it was left out")
            elif value is not None:
                body |= self._tell_size(value) if name == "size" else {self._accepted.name(name): value}
        if request.kind == "edit" and self._edit_body == "json":
            body |= await self._build_edit_images(request.images)
        return body

    def _tell_size(self, size: str) -> Json:
        """The fields that ask for a size, `WIDTHxHEIGHT`."""
        return {self._accepted.name("size"): size}

    async def _build_edit_images(self, images: Sequence[Image]) -> Json:
        """The fields that carry images to edit in JSON."""
        return await wire.build_edit_images(images)

    def _read_images(self, body: Json) -> Response:
        return wire.read_images_response(body, self._fetch_picture)

    async def _build_form_pictures(self, request: Request) -> list[File]:
        """The images of an edit as files of a form: several go as a list."""
        name = "image" if len(request.images) == 1 else "image[]"
        return [(name, (image.file_name, await image.read(), image.media_type)) for image in request.images]
