"""Anthropic's Messages API of the simulated models. Shapes as in unisafe_providers/hosted/anthropic.py, which names its sources."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from aiohttp import web
from unisafe_providers.base import Image, Part, Request, Response, Text, digest_of

from unisafe_async.simulate.shape import Asked

ENDINGS = {"length": "max_tokens", "blocked": "refusal"}
TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class AnthropicShape:
    """POST /anthropic/v1/messages."""

    PATH = "/anthropic/v1/messages"

    def __init__(self) -> None:
        self.paths = {self.PATH: self.message}
        self.listing = "/anthropic/v1/models"

    def key_of(self, request: web.Request) -> str:
        return request.headers.get("x-api-key", "")

    def models(self, names: list[str]) -> dict[str, object]:
        return {"data": [{"type": "model", "id": name, "display_name": name} for name in names], "has_more": False}

    def error(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
        body = {"type": "error", "error": {"type": TYPES.get(status, "api_error"), "message": message}}
        return web.json_response(body, status=status, headers=headers)

    def answer(self, path: str, asked: Asked, response: Response) -> web.Response:
        """A block in this vendor's form: `stop_reason: refusal`, with the categories of its classifier."""
        body: dict[str, object] = {
            "id": "msg_simulated",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": [{"type": "text", "text": response.text}] if response.text else [],
            "stop_reason": ENDINGS.get(response.finish, "end_turn"),
            "usage": {"input_tokens": response.usage.tokens_in, "output_tokens": response.usage.tokens_out},
        }
        if response.block is not None:
            category = next((name for name, _ in response.block.categories), None)
            body["stop_details"] = {"type": "refusal", "category": category, "explanation": "stopped (simulated)"}
        return web.json_response(body)

    async def message(self, request: web.Request) -> Asked:
        return self.read_message(await request.read())

    def read_message(self, raw: bytes) -> Asked:
        """The body of a request, online or in a batch job."""
        body = json.loads(raw)
        parts: list[Part] = []
        for message in body["messages"]:
            content = message["content"]
            parts += [Text(content)] if isinstance(content, str) else [_part(one) for one in content]
        schema = None
        if "output_config" in body:
            schema = ("verdict", json.dumps(body["output_config"]["format"]["schema"]))
        asked = Request(kind="chat", parts=tuple(parts), system=str(body.get("system") or ""), schema=schema)
        return Asked(str(body["model"]), asked, digest_of(raw))


def _part(content: Mapping[str, object]) -> Part:
    if content["type"] == "text":
        return Text(str(content["text"]))
    source = content["source"]
    assert isinstance(source, dict)
    return Image.from_bytes(base64.b64decode(source["data"]), source["media_type"])
