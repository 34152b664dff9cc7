"""The OpenAI wire format, without a network: bodies from requests, responses and errors from bodies.

Shapes follow OpenAI's API reference (chat completions, images, error codes, rate limit headers), Azure OpenAI's content filter
reference (`content_filter_results`, `ResponsibleAIPolicyViolation`) and OpenRouter's image output (`message.images`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from providers.base import (
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
from providers.rate_headers import retry_after

Json = dict[str, Any]

BLOCK_CODES = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "moderation_blocked",
        "responsibleaipolicyviolation",
        "safety_violation",
        "content_policy",
        "data_inspection_failed",
        "prohibited_content",
    }
)
BLOCK_WORDS = re.compile(
    r"content (management )?polic|safety system|content filter|responsible ai|moderation|flagged as (potentially )?violat",
    re.I,
)
NATIVE_BLOCKS = frozenset(
    {"refusal", "safety", "recitation", "blocklist", "prohibited_content", "spii", "image_safety", "image_prohibited_content"}
)
"""What OpenRouter hands on in `native_finish_reason` when the vendor behind it stopped the answer (Anthropic, Gemini)."""
NO_CREDIT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"})
DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]+);base64,([A-Za-z0-9+/=\s]+)")


# ---------------------------------------------------------------- out


async def chat_body(model: str, request: Request, *, image_out: bool, tokens_key: str, structured: bool) -> Json:
    """The body of POST /chat/completions for `request`; with `image_out` the answer is asked to hold an image."""
    messages: list[Json] = []
    if request.system:
        messages.append({"role": "system", "content": request.system})
    messages.append({"role": "user", "content": await _content(request)})
    body: Json = {"model": model, "messages": messages}
    if request.max_tokens is not None:
        body[tokens_key] = request.max_tokens
    for name in ("temperature", "top_p", "seed"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if image_out:
        body["modalities"] = ["image", "text"]
    if request.schema is not None and structured:
        name, schema = request.schema
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": name, "strict": True, "schema": json.loads(schema)},
        }
    return body


async def _content(request: Request) -> str | list[Json]:
    if len(request.parts) == 1 and isinstance(request.parts[0], Text):
        return request.parts[0].text
    content: list[Json] = []
    for part in request.parts:
        if isinstance(part, Text):
            content.append({"type": "text", "text": part.text})
        else:
            data = base64.b64encode(await part.read()).decode()
            content.append({"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{data}"}})
    return content


# ---------------------------------------------------------------- in


def chat_response(body: Json) -> Response:
    """A Response from a chat completion's body. Raises Transient when the body is not one."""
    if body.get("error") and not body.get("choices"):
        raise Transient(f"the endpoint answered 200 with an error: {error_message(body)}")
    try:
        choice = body["choices"][0]
        message = choice.get("message") or {}
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Transient("the endpoint answered without any choice") from None
    text, images = _message_parts(message)
    text = clean(text)
    finish: Finish = "length" if choice.get("finish_reason") == "length" else "stop"
    reason = ""
    native = str(choice.get("native_finish_reason") or "")
    if choice.get("finish_reason") == "content_filter" or native.lower() in NATIVE_BLOCKS:
        finish, reason = "blocked", filter_reason(choice) or native or "content_filter"
    elif message.get("refusal"):
        finish, text, reason = "refused", clean(str(message["refusal"])), "message.refusal"
    return Response(text=text, images=tuple(images), finish=finish, reason=reason, usage=usage_of(body, len(images)))


def _message_parts(message: Json) -> tuple[str, list[Image]]:
    """Text and images of a message: content as a string or parts, `images` as OpenRouter gives them, data URLs in Markdown."""
    texts: list[str] = []
    images: list[Image] = []
    content = message.get("content")
    parts: list[Any] = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    for part in [*parts, *(message.get("images") or [])]:
        if not isinstance(part, dict):
            continue
        if part.get("type") in ("text", "output_text"):
            texts.append(str(part.get("text") or ""))
        elif isinstance(part.get("image_url"), dict | str):
            url = part["image_url"]
            texts.append(str(url.get("url", "")) if isinstance(url, dict) else url)
    text = "".join(texts)
    if "data:image/" in text:
        for media_type, data in DATA_URL.findall(text):
            try:
                images.append(Image.from_bytes(base64.b64decode(data), media_type))
            except binascii.Error:
                raise Transient("the endpoint answered with an image that is not base64") from None
        text = re.sub(r"!\[[^\]]*\]\(\s*\)", "", DATA_URL.sub("", text))
    return text, images


def image_data(body: Json) -> list[tuple[bytes | None, str | None]]:
    """Of an images answer, each image's bytes or, where the endpoint keeps it, its URL. Raises Transient when there is none."""
    found: list[tuple[bytes | None, str | None]] = []
    for entry in body.get("data") or []:
        if entry.get("b64_json"):
            try:
                found.append((base64.b64decode(entry["b64_json"], validate=True), None))
            except binascii.Error:
                raise Transient("the endpoint answered with an image that is not base64") from None
        elif entry.get("url"):
            found.append((None, str(entry["url"])))
    if not found and "data" not in body:
        raise Transient("the endpoint answered without any image data")
    return found


def usage_of(body: Json, images: int) -> Usage:
    usage = body.get("usage") or {}
    tokens_in = usage.get("prompt_tokens", usage.get("input_tokens")) or 0
    tokens_out = usage.get("completion_tokens", usage.get("output_tokens")) or 0
    cost = usage.get("cost")
    return Usage(int(tokens_in), int(tokens_out), images, float(cost) if isinstance(cost, int | float) else None)


def filter_reason(choice: Json) -> str:
    """Categories and severities of Azure's `content_filter_results`, such as `violence: high`; empty where there are none."""
    results = choice.get("content_filter_results") or choice.get("content_filter_result") or {}
    if not isinstance(results, dict):
        return ""
    hits = [
        f"{category}: {entry.get('severity', 'detected')}"
        for category, entry in results.items()
        if isinstance(entry, dict) and (entry.get("filtered") or entry.get("detected"))
    ]
    return "content_filter (" + ", ".join(hits) + ")" if hits else ""


# ---------------------------------------------------------------- errors


def error_message(body: object) -> str:
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return " ".join(str(error).split())[:500]


def block_of(status: int, body: object) -> Response | None:
    """The blocked Response that an error of `status` stands for, or None when it is no content block."""
    if status not in (400, 403, 422, 451) or not isinstance(body, dict):
        return None
    error = body.get("error", body)
    if not isinstance(error, dict):
        return None
    inner = error.get("innererror") or error.get("inner_error")
    inner = inner if isinstance(inner, dict) else {}
    codes = [str(code) for code in (error.get("code"), error.get("type"), inner.get("code")) if code]
    named = next((code for code in codes if code.lower() in BLOCK_CODES), None)
    message = error_message(body)
    metadata = error.get("metadata")
    flagged = metadata.get("reasons") if isinstance(metadata, dict) else None
    if status == 403 and isinstance(flagged, list) and flagged:
        return Response(finish="blocked", reason=f"moderation ({', '.join(map(str, flagged))}): {message}")
    if named is None and not (status in (400, 451) and BLOCK_WORDS.search(message)):
        return None
    details = filter_reason({"content_filter_result": inner.get("content_filter_result")})
    return Response(finish="blocked", reason=details or ": ".join(filter(None, (named, message))))


def error_of(status: int, body: object, headers: Mapping[str, str], model: str) -> ProviderError:
    """The error that a status stands for, with words that say what to change."""
    message = error_message(body)
    error = body.get("error") if isinstance(body, dict) else None
    code = str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""
    if status == 402 or code in NO_CREDIT_CODES:
        return Misconfigured(f"no credit left at the endpoint ({status} {code}): {message}")
    if status == 429:
        return RateLimited(f"429: {message}", retry_after(headers))
    if status == 401:
        return Misconfigured(f"the endpoint refused the key (401): {message}; check the variable named by `key_env`")
    if status == 403:
        return Misconfigured(f"the endpoint denies access (403): {message}; check the key's rights and region")
    if status in (404, 405):
        return Misconfigured(f"not found ({status}): {message}; check `model` ({model}) and `base_url`")
    if status in (408, 409, 425) or status >= 500:
        return Transient(f"{status}: {message}", retry_after(headers))
    return Rejected(f"{status}: {message}")


def unsupported_parameter(status: int, body: object) -> str | None:
    """`response_format`, `max_tokens` or `seed` when a 400 or 422 says that the endpoint does not take it."""
    if status not in (400, 404, 422, 501):
        return None
    text = json.dumps(body).lower() if not isinstance(body, str) else body.lower()
    if "max_completion_tokens" in text and "max_tokens" in text:
        return "max_tokens"
    for word in ("response_format", "json_schema", "structured output", "guided_json"):
        if word in text:
            return "response_format"
    return "seed" if re.search(r"['\"`]seed['\"`]", text) else None
