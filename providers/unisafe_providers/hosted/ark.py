"""ByteDance's image models (Seedream) at Ark and ModelArk: one address draws and edits; the watermark is off.

Shapes: docs.byteplus.com/ModelArk, "Image generation API"; vercel/ai packages/bytedance; ComfyUI nodes_bytedance.
"""

from __future__ import annotations

from unisafe_providers.base import Request
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.openai_wire import build_data_url
from unisafe_providers.hosted.picture_provider import PictureProvider


class Ark(PictureProvider):
    """One Seedream model; arguments as in PictureProvider. An entry of an answer may be an error of its own."""

    TITLE = "ByteDance Ark"
    NAME = "ark"
    PATH = "images/generations"

    async def _build_body(self, request: Request) -> Json:
        body: Json = {"model": self.model, "prompt": request.text, "response_format": "b64_json", "watermark": False}
        for name in ("size", "seed"):
            value = getattr(request, name)
            if value is not None:
                body[name] = value
        if request.images:
            urls = [await build_data_url(image) for image in request.images]
            body["image"] = urls[0] if len(urls) == 1 else urls
        return body
