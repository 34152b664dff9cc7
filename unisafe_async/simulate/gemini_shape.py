"""Gemini's generateContent of the simulated models. Shapes as in unisafe_providers/hosted/gemini.py, which names its sources."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from aiohttp import web
from unisafe_providers.base import Image, Kind, Part, Request, Response, Text, digest_of

from unisafe_async.simulate.shape import Asked, encode_image

STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
METHOD = ":generateContent"


class GeminiShape:
    """POST /v1beta/models/MODEL:generateContent."""

    def __init__(self) -> None:
        self.paths = {"/v1beta/models/{call}": self.generate}
        self.listing = "/v1beta/models"

    def key_of(self, request: web.Request) -> str:
        return request.headers.get("x-goog-api-key", "")

    def models(self, names: list[str]) -> dict[str, object]:
        return {"models": [{"name": f"models/{name}", "displayName": name} for name in names]}

    def error(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
        body = {"error": {"code": status, "message": message, "status": STATUSES.get(status, "INTERNAL")}}
        return web.json_response(body, status=status, headers=headers)

    def answer(self, path: str, asked: Asked, response: Response) -> web.Response:
        """A block in this vendor's form: `promptFeedback` for the prompt, the finish reason for the response."""
        usage = {"promptTokenCount": response.usage.tokens_in, "candidatesTokenCount": response.usage.tokens_out}
        block = response.block
        ratings = [
            {"category": name, "probability": severity.upper() or "HIGH", "blocked": True}
            for name, severity in (block.categories if block else ())
        ]
        if block is not None and block.stage == "request":
            return web.json_response(
                {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": ratings}, "usageMetadata": usage}
            )
        parts: list[dict[str, object]] = [{"text": response.text}] if response.text else []
        parts += [{"inlineData": {"mimeType": image.media_type, "data": encode_image(image)}} for image in response.images]
        finish = {"length": "MAX_TOKENS", "blocked": "SAFETY"}.get(response.finish, "STOP")
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": finish, "safetyRatings": ratings, "index": 0}
        return web.json_response({"candidates": [candidate], "usageMetadata": usage})

    async def generate(self, request: web.Request) -> Asked:
        call = request.match_info["call"]
        if not call.endswith(METHOD):
            raise ValueError(f"{call} is none of the methods that are simulated")
        raw = await request.read()
        body = json.loads(raw)
        parts = [_part(part) for content in body["contents"] for part in content["parts"]]
        config = body.get("generationConfig") or {}
        kind: Kind = "chat"
        if "IMAGE" in config.get("responseModalities", []):
            kind = "edit" if any(isinstance(part, Image) for part in parts) else "image"
        system = "".join(str(part["text"]) for part in (body.get("systemInstruction") or {}).get("parts", []))
        schema = ("verdict", json.dumps(config["responseJsonSchema"])) if "responseJsonSchema" in config else None
        asked = Request(kind=kind, parts=tuple(parts), system=system, seed=config.get("seed"), schema=schema)
        return Asked(call.removesuffix(METHOD), asked, digest_of(call.encode() + raw))


def _part(content: Mapping[str, object]) -> Part:
    if "text" in content:
        return Text(str(content["text"]))
    data = content["inlineData"]
    assert isinstance(data, dict)
    return Image.from_bytes(base64.b64decode(data["data"]), data["mimeType"])
