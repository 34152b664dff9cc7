"""Cohere's Chat API, version 2: text and images in, text out.

Shapes: docs.cohere.com, "Chat" (v2), "Errors", "Safety modes", "Image inputs" and "Different types of API keys and rate limits";
the types of its package 7.3.
"""

from __future__ import annotations

from typing import Unpack
from urllib.parse import urlsplit

from unisafe_providers.anatomy import ONLY_THOUGHTS, TOOL_CALL, attach_partial
from unisafe_providers.base import Capabilities, Malformed, Rejected, Request, Response, clean
from unisafe_providers.hosted.bodies import Json, find_usage, schema_of
from unisafe_providers.hosted.endings import ending_of_word
from unisafe_providers.hosted.http import HostedOptions, HostedProvider
from unisafe_providers.hosted.openai_wire import apply_ending, content_of, read_served_name, split_message
from unisafe_providers.hosted.usage import usage_of


class Cohere(HostedProvider):
    """One model of Cohere's chats; arguments as in HostedProvider.

    Args:
        safety_mode: `CONTEXTUAL`, `STRICT` or `OFF`; empty for Cohere's own choice. It is part of `identity`.
    """

    TITLE = "Cohere"
    LIST_QUERY = "?page_size=1000&endpoint=chat"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        safety_mode: str = "",
        **options: Unpack[HostedOptions],
    ) -> None:
        settings = f"|safety_mode={safety_mode}" if safety_mode else ""
        super().__init__(
            f"cohere|{base_url.rstrip('/')}|{model}{settings}",
            model,
            base_url,
            api_key,
            {"authorization": f"Bearer {api_key}"},
            capabilities,
            **options,
        )
        self._safety_mode = safety_mode

    async def _answer(self, request: Request) -> Response:
        if request.image_due:
            raise Rejected("Cohere's models draw no images")
        return await self._exchange(request, "chat", self._build_body, read_chat_response, wire="cohere")

    async def _build_body(self, request: Request) -> Json:
        return await build_chat_body(self.model, request, self._safety_mode)

    def _locate_list(self) -> str:
        """Models are listed by version 1 of the API alone."""
        parts = urlsplit(self.base_url)
        root = self.base_url.removesuffix("/v2") + "/v1" if parts.path.endswith("/v2") else self.base_url
        return f"{root}/models{self.LIST_QUERY}"


async def build_chat_body(model: str, request: Request, safety_mode: str = "") -> Json:
    """The body of POST /v2/chat for `request`."""
    messages: list[Json] = [{"role": "system", "content": request.system}] if request.system else []
    body: Json = {"model": model, "messages": [*messages, {"role": "user", "content": await content_of(request)}]}
    for key, value in (
        ("max_tokens", request.max_tokens),
        ("temperature", request.temperature),
        ("p", request.top_p),
        ("seed", request.seed),
        ("safety_mode", safety_mode or None),
    ):
        if value is not None:
            body[key] = value
    if request.schema is not None:
        body["response_format"] = {"type": "json_object", "json_schema": schema_of(request.schema[1])}
    return body


def read_chat_response(body: Json) -> Response:
    """A Response from a chat. Raises Malformed if the body holds no message, Transient if its ending names a failure."""
    message = body.get("message")
    if not isinstance(message, dict):
        raise Malformed("the endpoint answered without any message")
    texts, thoughts, _ = split_message(message)
    text, thought = clean("".join(texts)), clean("".join(thoughts))
    missing = TOOL_CALL if message.get("tool_calls") else ONLY_THOUGHTS if thought and not text.strip() else ""
    usage = usage_of(find_usage(body))
    came = Response(text=text, usage=usage, thoughts=thought, missing=missing, model=read_served_name(body))
    with attach_partial(came):
        return apply_ending(came, ending_of_word(str(body.get("finish_reason") or ""), nothing=not text.strip() and not missing))
