"""MiniMax's image models: pictures by one call; rewriting of prompts is off.

Shapes: platform.minimax.io, "Image Generation" and "Error codes" (base_resp); lobehub createImage. A failure comes with HTTP
200 and a code in `base_resp`; `metadata.failed_count` counts pictures that the filter withheld.
"""

from __future__ import annotations

from dataclasses import replace

from unisafe_providers.base import Block, Malformed, Request, Response
from unisafe_providers.hosted.bodies import Json, find_usage
from unisafe_providers.hosted.endings import Ending
from unisafe_providers.hosted.openai_wire import build_data_url, read_served_name
from unisafe_providers.hosted.picture_provider import PictureProvider
from unisafe_providers.hosted.sizes import find_ratio, read_size
from unisafe_providers.hosted.usage import usage_of
from unisafe_providers.hosted.withheld import build_pictures_response

RATIOS = ("1:1", "16:9", "4:3", "3:2", "2:3", "3:4", "9:16", "21:9")
EDGES = range(512, 2049, 8)
"""Edges in pixels that `width` and `height` may have."""
BY_RATIO_ONLY = "image-01-live"


class MiniMax(PictureProvider):
    """One image model of MiniMax's; arguments as in PictureProvider."""

    TITLE = "MiniMax"
    NAME = "minimax"
    PATH = "image_generation"

    async def _build_body(self, request: Request) -> Json:
        body: Json = {"model": self.model, "prompt": request.text, "n": 1, "response_format": "base64", "prompt_optimizer": False}
        if request.size is not None:
            body |= self._tell_size(request.size)
        if request.seed is not None:
            body["seed"] = request.seed
        if request.images:
            self._tell(f"{self.title} takes a picture as the reference of a character (subject_reference), and does not edit it")
            body["subject_reference"] = [
                {"type": "character", "image_file": await build_data_url(image)} for image in request.images
            ]
        return body

    def _tell_size(self, size: str) -> Json:
        width, height = read_size(size)
        if width in EDGES and height in EDGES and self.model != BY_RATIO_ONLY:
            return {"width": width, "height": height}
        return {"aspect_ratio": find_ratio(size, RATIOS, self.title)}

    def _read_pictures(self, body: Json) -> Response:
        data = body.get("data")
        if not isinstance(data, dict) and not _count_withheld(body):
            raise Malformed(f"{self.title} answered without any image data")
        data = data if isinstance(data, dict) else {}
        places = [*(data.get("image_base64") or []), *(data.get("image_urls") or [])]
        usage = usage_of(find_usage(body), len(places))
        usage = usage if usage.reported else replace(usage, reported=find_usage(body) is None)
        withheld = [Ending("blocked", "failed_count: the filter withheld it", Block("response"))] * _count_withheld(body)
        return build_pictures_response(
            body,
            places,
            self._fetch_picture,
            usage=usage,
            model=read_served_name(body),
            withheld=withheld,
            title=self.title,
        )


def _count_withheld(body: Json) -> int:
    """How many pictures an answer says were withheld; a number or its digits."""
    metadata = body.get("metadata")
    told = str(metadata.get("failed_count")) if isinstance(metadata, dict) else ""
    return min(int(told), 16) if told.isascii() and told.isdigit() else 0
