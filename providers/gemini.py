"""Google's Gemini API, generateContent: text and images in, text and (of image models) images out.

Shapes: ai.google.dev/api/generate-content (GenerateContentResponse, FinishReason, BlockReason, SafetyRating, SafetySetting) and
ai.google.dev/gemini-api/docs/troubleshooting (errors).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import httpx2
import orjson

from providers.base import (
    Capabilities,
    Finish,
    Image,
    Misconfigured,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Response,
    Text,
    Transient,
    Usage,
    clean,
)
from providers.http import HostedProvider, Json, error_body, media_type_of, parsed, reading
from providers.openai_wire import error_message
from providers.rate_headers import duration, retry_after

BLOCKED_ENDINGS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
    }
)
"""Finish reasons of the platform's filters. `IMAGE_OTHER`, `NO_IMAGE` and `OTHER` say no more than that nothing came out."""


class Gemini(HostedProvider):
    """One model of generateContent; arguments as in HostedProvider.

    Args:
        safety: threshold by harm category, such as `{"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"}`; part of `identity`.
        structured: whether a request's schema is sent as `responseJsonSchema`; an endpoint that refuses it is asked without.
    """

    LIST_QUERY = "?pageSize=1000"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        safety: Mapping[str, str] | None = None,
        timeout: float = 120.0,
        max_connections: int = 64,
        extra: Mapping[str, object] | None = None,
        structured: bool = True,
    ) -> None:
        settings = f"|safety={orjson.dumps(dict(safety), option=orjson.OPT_SORT_KEYS).decode()}" if safety else ""
        super().__init__(
            f"gemini|{base_url.rstrip('/')}|{model}{settings}",
            model,
            base_url,
            api_key,
            {"x-goog-api-key": api_key},
            capabilities,
            timeout=timeout,
            max_connections=max_connections,
            extra=extra,
        )
        self._safety = [{"category": category, "threshold": threshold} for category, threshold in sorted((safety or {}).items())]
        self._structured = structured

    async def _answer(self, request: Request) -> Response:
        path = f"models/{self.model.removeprefix('models/')}:generateContent"
        while True:
            structured = self._structured and request.schema is not None
            answer = await self._post(path, await content_body(request, self._safety, structured=structured))
            if answer.status_code == 200:
                with reading():
                    return content_response(parsed(self._content(answer)))
            failed = error_body(self._content(answer))
            if structured and answer.status_code == 400 and _about_schema(error_message(failed)):
                self._structured = False
                continue
            with reading():
                error = error_of(answer.status_code, failed, answer.headers, self.model)
            raise error

    def _error(self, status: int, body: object, headers: httpx2.Headers) -> ProviderError:
        return error_of(status, body, headers, self.model)


def _about_schema(message: str) -> bool:
    return any(word in message.lower() for word in ("responsejsonschema", "response_json_schema", "json mode", "responsemimetype"))


async def content_body(request: Request, safety: list[Json], *, structured: bool) -> Json:
    """The body of POST models/MODEL:generateContent for `request`; one for an image or an edit asks for an image beside text."""
    parts: list[Json] = []
    for part in request.parts:
        if isinstance(part, Text):
            parts.append({"text": part.text})
        else:
            data = base64.b64encode(await part.read()).decode()
            parts.append({"inlineData": {"mimeType": part.media_type, "data": data}})
    config: Json = {}
    for key, value in (
        ("maxOutputTokens", request.max_tokens),
        ("temperature", request.temperature),
        ("topP", request.top_p),
        ("seed", request.seed),
    ):
        if value is not None:
            config[key] = value
    if request.kind != "chat":
        config["responseModalities"] = ["TEXT", "IMAGE"]
    if structured and request.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": json.loads(request.schema[1])}
    body: Json = {"contents": [{"role": "user", "parts": parts}]}
    if request.system:
        body["systemInstruction"] = {"parts": [{"text": request.system}]}
    if config:
        body["generationConfig"] = config
    if safety:
        body["safetySettings"] = safety
    return body


def content_response(body: Json) -> Response:
    """A Response from generateContent's answer.

    A `promptFeedback.blockReason` is a blocked request, a filter's finish reason a blocked response; what came before it is kept.
    Raises Transient when there is neither a candidate nor a block.
    """
    feedback = body.get("promptFeedback") or {}
    candidates = body.get("candidates") or []
    if not candidates:
        if feedback.get("blockReason"):
            return Response(finish="blocked", reason=_reason("prompt", feedback["blockReason"], feedback), usage=_usage(body, 0))
        raise Transient("the endpoint answered without any candidate and without saying why")
    candidate = candidates[0]
    texts: list[str] = []
    images: list[Image] = []
    for part in (candidate.get("content") or {}).get("parts") or []:
        if part.get("thought"):
            continue
        inline = part.get("inlineData") or part.get("inline_data")
        if inline:
            images.append(_image(inline))
        texts.append(str(part.get("text") or ""))
    ending = str(candidate.get("finishReason") or "STOP")
    finish: Finish = "blocked" if ending in BLOCKED_ENDINGS else "length" if ending == "MAX_TOKENS" else "stop"
    reason = "" if ending in ("STOP", "MAX_TOKENS") else _reason("response", ending, candidate)
    return Response(clean("".join(texts)), tuple(images), finish, clean(reason), _usage(body, len(images)))


def _image(inline: Json) -> Image:
    try:
        data = base64.b64decode(inline["data"], validate=True)
    except binascii.Error:
        raise Transient("the endpoint answered with an image that is not base64") from None
    return Image.from_bytes(data, str(inline.get("mimeType") or inline.get("mime_type") or media_type_of(data)))


def _reason(what: str, word: str, place: Mapping[str, Any]) -> str:
    """The filter's word, the categories that it names with their probability, and its message."""
    ratings = [
        f"{str(rating.get('category')).removeprefix('HARM_CATEGORY_').lower()}: {str(rating.get('probability', 'blocked')).lower()}"
        for rating in place.get("safetyRatings") or []
        if rating.get("blocked") or str(rating.get("probability")) in ("MEDIUM", "HIGH")
    ]
    message = str(place.get("finishMessage") or place.get("blockReasonMessage") or "")
    return f"{what} {word}" + (f" ({', '.join(ratings)})" if ratings else "") + (f": {message}" if message else "")


def _usage(body: Json, images: int) -> Usage:
    usage = body.get("usageMetadata") or {}
    tokens_out = int(usage.get("candidatesTokenCount") or 0) + int(usage.get("thoughtsTokenCount") or 0)
    return Usage(int(usage.get("promptTokenCount") or 0), tokens_out, images)


def error_of(status: int, body: object, headers: Mapping[str, str], model: str) -> ProviderError:
    """The error that a status stands for, with words that say what to change."""
    message = error_message(body)
    error = body.get("error") if isinstance(body, dict) else None
    details = [entry for entry in (error.get("details") or []) if isinstance(entry, dict)] if isinstance(error, dict) else []
    if any(entry.get("reason") in ("API_KEY_INVALID", "API_KEY_EXPIRED") for entry in details) or status == 401:
        return Misconfigured(f"Gemini refused the key ({status}): {message}; check the variable named by `key_env`")
    if status == 400 and "location is not supported" in message:
        return Misconfigured(f"Gemini is not offered in this region (400): {message}")
    if status == 403:
        return Misconfigured(f"Gemini denies access (403): {message}; check the key's project and restrictions")
    if status == 404:
        return Misconfigured(f"not found (404): {message}; check `model` ({model}) and `base_url`")
    if status == 429:
        asked = next((duration(str(entry["retryDelay"])) for entry in details if entry.get("retryDelay")), None)
        return RateLimited(f"429: {message}", asked if asked is not None else retry_after(headers))
    if status in (408, 409) or status >= 500:
        return Transient(f"{status}: {message}", retry_after(headers))
    return Rejected(f"{status}: {message}")
