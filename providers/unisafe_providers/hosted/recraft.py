"""Recraft's models: pictures from text, and from a picture and text; answers say how many API units were paid.

Shapes: recraft.ai/docs, "Image generation", "Image to image", "Image inputs and results" and "Pricing".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from unisafe_providers.base import Capabilities, Request, Response
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.http import File, HostedOptions
from unisafe_providers.hosted.openai_wire import read_images_response
from unisafe_providers.hosted.picture_provider import PictureProvider
from unisafe_providers.hosted.usage import read_dollars

CREDITS = 1000
"""API units in a US dollar (recraft.ai/docs, "Pricing")."""
EDITS = "images/imageToImage"


class Recraft(PictureProvider):
    """One model of Recraft's; arguments as in PictureProvider.

    Args:
        strength: how far an edit may move from its picture: 0 keeps it, 1 hardly looks at it.
    """

    TITLE = "Recraft"
    NAME = "recraft"
    PATH = "images/generations"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        strength: float = 0.5,
        **options: Unpack[HostedOptions],
    ) -> None:
        super().__init__(model, base_url, api_key, capabilities, **options)
        self.identity += f"|strength={strength:g}"
        self._strength = strength

    async def _answer(self, request: Request) -> Response:
        if request.kind == "edit":
            return await self._exchange(request, EDITS, self._build_body, self._read_pictures, files=self._build_files)
        return await super()._answer(request)

    async def _build_body(self, request: Request) -> Json:
        body: Json = {"model": self.model, "prompt": request.text, "n": 1, "response_format": "b64_json"}
        if request.seed is not None:
            body["random_seed"] = request.seed
        if request.kind == "edit":
            if request.size is not None:
                self._tell(f"{self.title} draws edits in a size of its own: image_size was left out")
            return body | {"strength": self._strength}
        return body if request.size is None else body | {"size": request.size}

    async def _build_files(self, request: Request) -> list[File]:
        return [("image", (image.file_name, await image.read(), image.media_type)) for image in request.images]

    def _read_pictures(self, body: Json) -> Response:
        one = body.get("image")  # its tools answer with one picture, and no list
        entries = body if "data" in body or not isinstance(one, dict) else {**body, "data": [one]}
        response = read_images_response(entries, self._fetch_picture, empty_fails=True)
        credits = read_dollars(body.get("credits"))
        if credits is None:
            return response
        return replace(response, usage=replace(response.usage, cost=credits / CREDITS, reported=True))
