"""The OpenAI shape of the simulated models: chat completions and images; as Azure OpenAI serves it too.

Shapes as in unisafe_providers/hosted/openai_wire.py, which names its sources.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from aiohttp import web
from unisafe_providers.base import Image, Part, Request, Response, Text, digest_of
from unisafe_providers.pictures import decode_picture

from unisafe_async.simulate.shape import Asked, encode_image


class OpenAIShape:
    """Chat completions and images under `prefix`; the key stands in `key_header`.

    Args:
        azure: whether a block has Azure OpenAI's form, with categories and severities.
    """

    def __init__(self, prefix: str = "/v1", *, azure: bool = False) -> None:
        self.azure, self.prefix = azure, prefix
        self.paths = {
            f"{prefix}/chat/completions": self.chat,
            f"{prefix}/images/generations": self.image,
            f"{prefix}/images/edits": self.edit,
        }
        self.listing = f"{prefix}/models"

    def key_of(self, request: web.Request) -> str:
        if self.azure:
            return request.headers.get("api-key", "")
        return request.headers.get("authorization", "").removeprefix("Bearer ")

    def models(self, names: list[str]) -> dict[str, object]:
        data = [{"id": name, "object": "model", "owned_by": "unisafe-simulated"} for name in names]
        return {"object": "list", "data": data}

    def error(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
        return web.json_response({"error": {"message": message, "type": code, "code": code}}, status=status, headers=headers)

    def answer(self, path: str, asked: Asked, response: Response) -> web.Response:
        chat = path.endswith("/chat/completions")
        block = response.block
        if block is not None and (block.stage == "request" or not chat):
            return self._build_blocked(dict(block.categories))
        if not chat and response.text and not response.images:
            return self._build_blocked({})  # this address has no place for words
        return web.json_response(self._chat_body(response, asked.model) if chat else _image_body(response))

    def _build_blocked(self, categories: dict[str, str]) -> web.Response:
        message = "Rejected by the content policy (simulated)"
        if not self.azure:
            return self.error(400, "content_policy_violation", message)
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _build_filtered(categories)}
        return web.json_response({"error": {"message": message, "code": "content_filter", "innererror": inner}}, status=400)

    # -------------------------------------------------------- from the wire to a Request

    async def chat(self, request: web.Request) -> Asked:
        return self.read_chat(await request.read())

    def read_chat(self, raw: bytes) -> Asked:
        """The body of a chat completion, online or in a batch job."""
        body = json.loads(raw)
        system = "\n".join(str(one["content"]) for one in body["messages"] if one["role"] == "system")
        parts: list[Part] = []
        for message in body["messages"]:
            if message["role"] == "user":
                content = message["content"]
                parts += [Text(content)] if isinstance(content, str) else [_part(one) for one in content]
        kind = "chat"
        if "image" in (body.get("modalities") or []):
            kind = "edit" if any(isinstance(part, Image) for part in parts) else "image"
        form = body.get("response_format") or {}
        schema = (str(form["json_schema"]["name"]), json.dumps(form["json_schema"]["schema"])) if "json_schema" in form else None
        asked = Request(kind=kind, parts=tuple(parts), system=system, seed=body.get("seed"), schema=schema)  # type: ignore[arg-type]
        return Asked(str(body["model"]), asked, digest_of(raw))

    async def image(self, request: web.Request) -> Asked:
        raw = await request.read()
        body = json.loads(raw)
        asked = Request(kind="image", parts=(Text(str(body["prompt"])),), seed=body.get("seed"))
        return Asked(str(body["model"]), asked, digest_of(raw))

    async def edit(self, request: web.Request) -> Asked:
        form = await request.post()
        images = []
        for name, value in form.items():
            if name.startswith("image") and isinstance(value, web.FileField):
                data = value.file.read()
                images.append(Image.from_bytes(data, decode_picture(data).media_type))
        seed = int(str(form["seed"])) if "seed" in form else None
        asked = Request(kind="edit", parts=(*images, Text(str(form["prompt"]))), seed=seed)
        return Asked(str(form["model"]), asked, digest_of(asked.canonical + str(form["model"]).encode()))

    def _chat_body(self, response: Response, model: str) -> dict[str, object]:
        message: dict[str, object] = {"role": "assistant", "content": response.text}
        if response.finish == "refused":
            message |= {"content": None, "refusal": response.text}
        if response.thoughts:
            message["reasoning_content"] = response.thoughts
        if response.images:
            message["images"] = [
                {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{encode_image(image)}"}}
                for image in response.images
            ]
        finish = {"blocked": "content_filter", "length": "length"}.get(response.finish, "stop")
        choice: dict[str, object] = {"index": 0, "finish_reason": finish, "message": message}
        if response.block is not None and self.azure:
            choice["content_filter_results"] = _build_filtered(dict(response.block.categories))
        return {
            "id": "simulated",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [choice],
            "usage": _usage(response),
        }


def _part(content: Mapping[str, object]) -> Part:
    if content["type"] == "text":
        return Text(str(content["text"]))
    url = str(content["image_url"]["url"])  # type: ignore[index]
    head, _, data = url.partition(";base64,")
    return Image.from_bytes(base64.b64decode(data), head.removeprefix("data:"))


def _build_filtered(categories: dict[str, str]) -> dict[str, object]:
    return {name: {"filtered": True, "severity": severity} for name, severity in categories.items()}


def _image_body(response: Response) -> dict[str, object]:
    return {"created": 1, "data": [{"b64_json": encode_image(image)} for image in response.images], "usage": _usage(response)}


def _usage(response: Response) -> dict[str, int]:
    usage = response.usage
    return {
        "prompt_tokens": usage.tokens_in,
        "completion_tokens": usage.tokens_out,
        "total_tokens": usage.tokens_in + usage.tokens_out,
    }
