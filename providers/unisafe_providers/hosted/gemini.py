"""Google's Gemini API, generateContent: text and images in, text and (of image models) images out.

Shapes: ai.google.dev/api/generate-content (GenerateContentResponse, FinishReason, BlockReason, SafetyRating, SafetySetting) and
ai.google.dev/gemini-api/docs/troubleshooting (errors).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Unpack

import orjson

from unisafe_providers.anatomy import AUDIO, TOOL_CALL, attach_partial, decode_base64_image
from unisafe_providers.base import Capabilities, Malformed, Misconfigured, Request, Response, Text, clean
from unisafe_providers.hosted.bodies import Json, find_usage, schema_of
from unisafe_providers.hosted.endings import ending_of_candidate, ending_of_prompt
from unisafe_providers.hosted.google_numbers import GEMINI_API, Numbering
from unisafe_providers.hosted.http import HostedOptions, HostedProvider
from unisafe_providers.hosted.openai_wire import apply_ending, read_pictures, read_served_name
from unisafe_providers.hosted.usage import usage_of

RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
"""Aspect ratios that image models of this API draw in (ai.google.dev, "Gemini image generation", imageConfig)."""


class Gemini(HostedProvider):
    """One model of generateContent; arguments as in HostedProvider.

    Args:
        safety: threshold by harm category, such as `{"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"}`; part of `identity`.
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
        self._safety = list_safety_settings(safety or {})

    async def _answer(self, request: Request) -> Response:
        path = f"models/{self.model.removeprefix('models/')}:generateContent"
        read = partial(read_content_response, image_due=request.image_due)
        return await self._exchange(request, path, self._build_content_body, read, wire="gemini")

    async def _build_content_body(self, request: Request) -> Json:
        return await build_content_body(request, self._safety)


def list_safety_settings(safety: Mapping[str, str], method: str = "") -> list[Json]:
    """`safetySettings` for thresholds by harm category; `method`, of Vertex AI alone, says what a threshold is compared with."""
    more = {"method": method} if method else {}
    return [{"category": category, "threshold": threshold, **more} for category, threshold in sorted(safety.items())]


async def build_content_body(request: Request, safety: list[Json]) -> Json:
    """The body of POST models/MODEL:generateContent for `request`; for an image or an edit it asks for an image beside text."""
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
    if request.image_due:
        config["responseModalities"] = ["TEXT", "IMAGE"]
        if request.size:
            config["imageConfig"] = {"aspectRatio": ratio_of(request.size)}
    if request.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema_of(request.schema[1])}
    body: Json = {"contents": [{"role": "user", "parts": parts}]}
    if request.system:
        body["systemInstruction"] = {"parts": [{"text": request.system}]}
    if config:
        body["generationConfig"] = config
    if safety:
        body["safetySettings"] = safety
    return body


def ratio_of(size: str, ratios: Sequence[str] = RATIOS, who: str = "Gemini") -> str:
    """The aspect ratio of `WIDTHxHEIGHT`. Raises Misconfigured if `who` does not draw in that ratio."""
    width, height = (int(side) for side in size.split("x"))
    shared = math.gcd(width, height) or 1
    ratio = f"{width // shared}:{height // shared}"
    if ratio not in ratios:
        words = f"{who} draws no image of {size}: its ratios are {', '.join(ratios)}; change generation.image_size"
        raise Misconfigured(words, needs="images out")
    return ratio


def read_content_response(body: Json, *, image_due: bool = True, numbering: Numbering = GEMINI_API) -> Response:
    """A Response from generateContent's answer; `numbering` has the words for numbers.

    A `promptFeedback.blockReason` is a blocked request. A filter's finish reason is a blocked response, and the text before it is
    kept. Raises Malformed when there is neither a candidate nor a block.
    """
    candidates = body.get("candidates") or []
    blocked = ending_of_prompt(body.get("promptFeedback") or {}, numbering)
    usage = usage_of(find_usage(body))
    if blocked is not None and not candidates:
        return apply_ending(Response(usage=usage, model=read_served_name(body)), blocked)
    if not candidates:
        with attach_partial(Response(usage=usage)):
            raise Malformed("the endpoint answered without any candidate and without saying why")
    candidate = candidates[0]
    parts = (candidate.get("content") or {}).get("parts") or []
    said, thought = (
        "".join(str(part.get("text") or "") for part in parts if bool(part.get("thought")) is kind) for kind in (False, True)
    )
    inline = [found for part in parts if not part.get("thought") and (found := part.get("inlineData") or part.get("inline_data"))]
    with attach_partial(Response(usage=usage)):
        images = read_pictures([picture.get("data") for picture in inline], decode_base64_image, image_due=image_due)
    missing = _describe_not_words(parts, inline)
    usage = replace(usage, images=len(images))
    came = Response(
        text=clean(said), images=images, usage=usage, thoughts=clean(thought), missing=missing, model=read_served_name(body)
    )
    with attach_partial(came):
        return apply_ending(came, ending_of_candidate(candidate, nothing=came.empty, numbering=numbering))


def _describe_not_words(parts: list[Json], inline: list[Json]) -> str:
    """What the parts hold instead of words, as text for `Response.missing`."""
    if any(part.get("functionCall") for part in parts):
        return TOOL_CALL
    sounds = any(str(data.get("mimeType") or data.get("mime_type")).startswith("audio/") for data in inline)
    return AUDIO if sounds else ""
