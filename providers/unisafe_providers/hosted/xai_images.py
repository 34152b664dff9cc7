"""xAI's models: chats as OpenAI's, and images whose size is told as an aspect ratio and a resolution.

Source: docs.x.ai, "Image generation"; recorded answers of ruby_llm and rig (respect_moderation, cost_in_usd_ticks).
"""

from __future__ import annotations

from typing import Literal, Unpack

from unisafe_providers.base import Capabilities, Response
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.http import HostedOptions
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.hosted.openai_wire import read_images_response
from unisafe_providers.hosted.sizes import find_ratio, read_size

RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9", "2:3", "3:2", "9:19.5", "19.5:9", "9:20", "20:9", "1:2", "2:1")
LEAVES_OUT: tuple[Literal["seed"]] = ("seed",)
LARGE = 1536
"""From this longer edge on, in pixels, the higher of the two resolutions is nearer."""


class XAI(OpenAICompatible):
    """One model of xAI's; arguments as in HostedProvider. Its images take no seed."""

    TITLE = "xAI"

    def __init__(
        self, model: str, base_url: str, api_key: str, capabilities: Capabilities, **options: Unpack[HostedOptions]
    ) -> None:
        super().__init__(model, base_url, api_key, capabilities, edit_body="json", image_leaves_out=LEAVES_OUT, **options)

    def _tell_size(self, size: str) -> Json:
        told: Json = {"aspect_ratio": find_ratio(size, RATIOS, self.title)}
        return told | {"resolution": "2k"} if max(read_size(size)) >= LARGE else told

    def _read_images(self, body: Json) -> Response:
        return read_images_response(body, self._fetch_picture, empty_fails=True)
