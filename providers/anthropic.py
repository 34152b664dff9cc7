"""Anthropic's Messages API: text and images in, text out.

Shapes: docs.claude.com, "Messages", "Handling stop reasons", "Streaming refusals", "Errors" and "Rate limits".
"""

from __future__ import annotations

import base64
import json
from typing import Unpack

import httpx2

from providers.base import Capabilities, Limits, Rejected, Request, Response, Text, Transient, Usage, clean
from providers.http import HostedOptions, HostedProvider, Json, error_body, parsed, reading
from providers.openai_wire import unsupported_sampling
from providers.outcomes import error_message, of_message
from providers.rate_headers import anthropic_limits_of

VERSION = "2023-06-01"
MOST_TOKENS = 4_096
"""What `max_tokens` is when the request leaves it open: this API has no default."""


class Anthropic(HostedProvider):
    """One model of the Messages API; arguments as in HostedProvider.

    Args:
        structured: whether a request's schema is sent as `output_config`; an endpoint that refuses it is asked without.
    """

    TITLE = "Anthropic"
    LIST_QUERY = "?limit=1000"
    LIST_CURSOR = "after_id"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        structured: bool = True,
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
        self._structured = structured

    async def _answer(self, request: Request) -> Response:
        if request.kind != "chat":
            raise Rejected("Anthropic's models draw no images")
        while True:
            structured, sent = self._structured and request.schema is not None, self._without(request)
            answer = await self._post("messages", await messages_body(self.model, sent, structured=structured))
            if answer.status_code == 200:
                with reading():
                    return message_response(parsed(self._content(answer)))
            failed = error_body(self._content(answer))
            if answer.status_code == 400:
                message = error_message(failed)
                if structured and "output_config" in message:
                    self._structured = False
                    continue
                if self._leaves_out(unsupported_sampling(message), sent):
                    continue
            with reading():
                error = self._error(answer.status_code, failed, answer.headers)
            raise error

    def _limits_of(self, headers: httpx2.Headers) -> Limits | None:
        if any(name[:20].lower() == b"anthropic-ratelimit-" for name, _ in headers.raw):
            return anthropic_limits_of(headers)
        return None


async def messages_body(model: str, request: Request, *, structured: bool) -> Json:
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
    if structured and request.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": json.loads(request.schema[1])}}
    return body


def message_response(body: Json) -> Response:
    """A Response from a message. Text before a classifier's stop is kept. Raises Transient when the body is no message."""
    if not isinstance(body.get("content"), list):
        raise Transient("the endpoint answered without any content")
    text = "".join(str(block.get("text") or "") for block in body["content"] if block.get("type") == "text")
    usage = body.get("usage") or {}
    cached = (usage.get("cache_creation_input_tokens") or 0) + (usage.get("cache_read_input_tokens") or 0)
    tokens_in, tokens_out = int(usage.get("input_tokens") or 0) + int(cached), int(usage.get("output_tokens") or 0)
    ending = of_message(body, text)
    return Response(clean(text), (), ending.finish, ending.reason, Usage(tokens_in, tokens_out), block=ending.block)
