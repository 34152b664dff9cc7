"""Anthropic's Messages API: text and images in, text out.

Shapes: docs.claude.com, "Messages", "Handling stop reasons", "Streaming refusals", "Errors" and "Rate limits".
"""

from __future__ import annotations

import base64
from typing import Unpack

from unisafe_providers.anatomy import ONLY_THOUGHTS, TOOL_CALL, attach_partial
from unisafe_providers.base import Capabilities, Malformed, Rejected, Request, Response, Text, clean
from unisafe_providers.hosted.bodies import Json, find_usage, schema_of
from unisafe_providers.hosted.endings import ending_of_message
from unisafe_providers.hosted.http import HostedOptions, HostedProvider
from unisafe_providers.hosted.openai_wire import apply_ending, apply_guardrail, find_texts, read_served_name
from unisafe_providers.hosted.usage import usage_of

VERSION = "2023-06-01"
MOST_TOKENS = 4_096
"""The value of `max_tokens` if the request sets none: this API has no default."""


class Anthropic(HostedProvider):
    """One model of the Messages API; arguments as in HostedProvider."""

    TITLE = "Anthropic"
    LIST_QUERY = "?limit=1000"
    LIST_CURSOR = "after_id"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        **options: Unpack[HostedOptions],
    ) -> None:
        super().__init__(
            f"anthropic|{base_url.rstrip('/')}|{model}",
            model,
            base_url,
            api_key,
            {"x-api-key": api_key, "anthropic-version": VERSION},
            capabilities,
            **options,
        )

    async def _answer(self, request: Request) -> Response:
        if request.image_due:
            raise Rejected("Anthropic's models draw no images")
        return await self._exchange(request, "messages", self._build_messages_body, read_message_response, wire="anthropic")

    async def _build_messages_body(self, request: Request) -> Json:
        return await build_messages_body(self.model, request)


async def build_messages_body(model: str, request: Request) -> Json:
    """The body of POST /messages for `request`. `seed` has no place in this API and is left out."""
    content: list[Json] = []
    for part in request.parts:
        if isinstance(part, Text):
            content.append({"type": "text", "text": part.text})
        else:
            data = base64.b64encode(await part.read()).decode()
            content.append({"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": data}})
    body: Json = {
        "model": model,
        "max_tokens": MOST_TOKENS if request.max_tokens is None else request.max_tokens,
        "messages": [{"role": "user", "content": content}],
    }
    if request.system:
        body["system"] = request.system
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema_of(request.schema[1])}}
    return body


def read_message_response(body: Json) -> Response:
    """A Response from a message. Text before a classifier's stop is kept. Raises Malformed when the body is no message."""
    blocks = body.get("content")
    if not isinstance(blocks, list):
        raise Malformed("the endpoint answered without any content")
    text = clean("".join(str(block.get("text") or "") for block in blocks if block.get("type") == "text"))
    thoughts = clean("\n\n".join(words for block in blocks if block.get("type") == "thinking" for words in find_texts(block)))
    kinds = {block.get("type") for block in blocks}
    sealed = "redacted_thinking" in kinds and body.get("stop_reason") != "max_tokens"
    missing = TOOL_CALL if "tool_use" in kinds else ONLY_THOUGHTS if sealed else ""
    came = Response(text=text, usage=usage_of(find_usage(body)), thoughts=thoughts, missing=missing, model=read_served_name(body))
    with attach_partial(came):
        return apply_guardrail(apply_ending(came, ending_of_message(body, text)), body)
