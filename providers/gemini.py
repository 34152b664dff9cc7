"""Google's Gemini API, generateContent: text and images in, text and (of image models) images out.

Shapes: ai.google.dev/api/generate-content (GenerateContentResponse, FinishReason, BlockReason, SafetyRating, SafetySetting) and
ai.google.dev/gemini-api/docs/troubleshooting (errors).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Unpack

import orjson

from providers.base import Capabilities, Image, Rejected, Request, Response, Text, Transient, Usage, clean
from providers.http import HostedOptions, HostedProvider, Json, error_body, media_type_of, parsed, reading
from providers.outcomes import error_message, of_candidate, of_prompt

RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
"""Aspect ratios that image models of this API draw in (ai.google.dev, "Gemini image generation", imageConfig)."""


class Gemini(HostedProvider):
    """One model of generateContent; arguments as in HostedProvider.

    Args:
        safety: threshold by harm category, such as `{"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"}`; part of `identity`.
        structured: whether a request's schema is sent as `responseJsonSchema`; an endpoint that refuses it is asked without.
    """

    TITLE = "Google Gemini"
    LIST_QUERY = "?pageSize=1000"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        safety: Mapping[str, str] | None = None,
        structured: bool = True,
        **options: Unpack[HostedOptions],
    ) -> None:
        settings = f"|safety={orjson.dumps(dict(safety), option=orjson.OPT_SORT_KEYS).decode()}" if safety else ""
        super().__init__(
            f"gemini|{base_url.rstrip('/')}|{model}{settings}",
            model,
            base_url,
            api_key,
            {"x-goog-api-key": api_key},
            capabilities,
            **options,
        )
        self._safety = [{"category": category, "threshold": threshold} for category, threshold in sorted((safety or {}).items())]
        self._structured = structured

    async def _answer(self, request: Request) -> Response:
        path = f"models/{self.model.removeprefix('models/')}:generateContent"
        while True:
            structured = self._structured and request.schema is not None
            answer = await self._post(path, await content_body(request, self._safety, structured=structured), kind=request.kind)
            if answer.status_code == 200:
                with reading():
                    return content_response(parsed(self._content(answer)))
            failed = error_body(self._content(answer))
            if structured and answer.status_code == 400 and _about_schema(error_message(failed)):
                self._structured = False
                continue
            with reading():
                error = self._error(answer.status_code, failed, answer.headers)
            raise error


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
        if request.size:
            config["imageConfig"] = {"aspectRatio": ratio_of(request.size)}
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


def ratio_of(size: str) -> str:
    """The aspect ratio of `WIDTHxHEIGHT`. Raises Rejected for one that this API does not draw in."""
    width, height = (int(side) for side in size.split("x"))
    shared = math.gcd(width, height) or 1
    ratio = f"{width // shared}:{height // shared}"
    if ratio not in RATIOS:
        raise Rejected(f"Gemini draws no image of {size}: its ratios are {', '.join(RATIOS)}; change generation.image_size")
    return ratio


def content_response(body: Json) -> Response:
    """A Response from generateContent's answer.

    A `promptFeedback.blockReason` is a blocked request, a filter's finish reason a blocked response; what came before it is kept.
    Raises Transient when there is neither a candidate nor a block.
    """
    candidates = body.get("candidates") or []
    blocked = of_prompt(body.get("promptFeedback") or {})
    if blocked is not None and not candidates:
        return Response(finish=blocked.finish, reason=blocked.reason, usage=_usage(body, 0), block=blocked.block)
    if not candidates:
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
    text = clean("".join(texts))
    ending = of_candidate(candidate, nothing=not text.strip() and not images)
    return Response(text, tuple(images), ending.finish, ending.reason, _usage(body, len(images)), block=ending.block)


def _image(inline: Json) -> Image:
    try:
        data = base64.b64decode(inline["data"], validate=True)
    except binascii.Error:
        raise Transient("the endpoint answered with an image that is not base64") from None
    return Image.from_bytes(data, str(inline.get("mimeType") or inline.get("mime_type") or media_type_of(data)))


def _usage(body: Json, images: int) -> Usage:
    usage = body.get("usageMetadata") or {}
    tokens_out = int(usage.get("candidatesTokenCount") or 0) + int(usage.get("thoughtsTokenCount") or 0)
    return Usage(int(usage.get("promptTokenCount") or 0), tokens_out, images)
