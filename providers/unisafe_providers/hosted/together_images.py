"""Together's models: chats as OpenAI's, and images with a width and a height, and with what is edited beside the prompt.

Source: the types of Together's package 3.1 (`images.generate`, ImageDataB64, ImageDataURL).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from unisafe_providers.base import Capabilities, Image, Request, Response
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.http import HostedOptions
from unisafe_providers.hosted.openai_compatible import GENERATIONS, OpenAICompatible
from unisafe_providers.hosted.openai_wire import build_data_url, read_images_response
from unisafe_providers.hosted.sizes import read_size


class Together(OpenAICompatible):
    """One model at Together; arguments as in HostedProvider. `steps` and `disable_safety_checker` go into `extra`."""

    TITLE = "Together AI"
    EDITS = GENERATIONS

    def __init__(
        self, model: str, base_url: str, api_key: str, capabilities: Capabilities, **options: Unpack[HostedOptions]
    ) -> None:
        super().__init__(model, base_url, api_key, capabilities, edit_body="json", **options)

    async def _build_images_body(self, request: Request) -> Json:
        return {"response_format": "base64"} | await super()._build_images_body(request)

    def _tell_size(self, size: str) -> Json:
        width, height = read_size(size)
        return {"width": width, "height": height}

    async def _build_edit_images(self, images: Sequence[Image]) -> Json:
        urls = [await build_data_url(image) for image in images]
        return {"image_url": urls[0]} if len(urls) == 1 else {"reference_images": urls}

    def _read_images(self, body: Json) -> Response:
        return read_images_response(body, self._fetch_picture, empty_fails=True)
