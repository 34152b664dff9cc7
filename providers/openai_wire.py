"""The OpenAI wire format, without a network: bodies from requests, responses from bodies; what words mean is in outcomes.py.

Shapes follow OpenAI's API reference (chat completions, images) and OpenRouter's image output (`message.images`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from providers.base import Image, ProviderError, Request, Response, Text, Transient, Usage, clean
from providers.failures import failure_of
from providers.outcomes import block_of, error_message, of_choice

Json = dict[str, Any]

SAMPLING = re.compile(
    r"\b(temperature|top_p)\b.{0,60}(not supported|does not support|unsupported|deprecated|cannot both|not allowed)", re.I | re.S
)
DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]+);base64,([A-Za-z0-9+/=\s]+)")


# ---------------------------------------------------------------- out


async def chat_body(model: str, request: Request, *, image_out: bool, tokens_key: str, structured: bool) -> Json:
    """The body of POST /chat/completions for `request`; with `image_out` the answer is asked to hold an image."""
    messages: list[Json] = []
    if request.system:
        messages.append({"role": "system", "content": request.system})
    messages.append({"role": "user", "content": await content_of(request)})
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


async def content_of(request: Request) -> str | list[Json]:
    """A user turn's content: its text alone, or a list of parts, images as data URLs."""
    if len(request.parts) == 1 and isinstance(request.parts[0], Text):
        return request.parts[0].text
    content: list[Json] = []
    for part in request.parts:
        if isinstance(part, Text):
            content.append({"type": "text", "text": part.text})
        else:
            content.append({"type": "image_url", "image_url": {"url": await data_url(part)}})
    return content


async def images_to_edit(images: Sequence[Image]) -> Json:
    """What an edit in JSON holds of its images, as xAI takes them: one under `image`, several under `images`."""
    entries = [{"url": await data_url(image), "type": "image_url"} for image in images]
    return {"image": entries[0]} if len(entries) == 1 else {"images": entries}


async def data_url(image: Image) -> str:
    """An image's bytes as an address."""
    return f"data:{image.media_type};base64,{base64.b64encode(await image.read()).decode()}"


# ---------------------------------------------------------------- in


def chat_response(body: Json) -> Response:
    """A Response from a chat completion's body. Raises Transient when the body is not one, or tells of an error."""
    if body.get("error") and not body.get("choices"):
        return blocked_or_failed(body)
    try:
        choice = body["choices"][0]
        message = choice.get("message")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Transient("the endpoint answered without any choice") from None
    if not isinstance(message, dict):
        raise Transient("the endpoint answered with a choice that holds no message")
    text, images = _message_parts(message)
    if choice.get("error") and not text.strip() and not images:
        return blocked_or_failed(choice)
    ending = of_choice(choice, message)
    text = clean(str(message["refusal"]) if ending.finish == "refused" else text)
    return Response(text, tuple(images), ending.finish, ending.reason, usage_of(body, len(images)), block=ending.block)


def blocked_or_failed(body: Json) -> Response:
    """What an error inside a body that came with status 200 stands for: a block, or another try."""
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    blocked = block_of(code if isinstance(code, int) else 400, body)
    if blocked is None:
        raise Transient(f"the endpoint answered 200 with an error: {error_message(body)}")
    return blocked


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
    if not found and ("data" not in body or body["data"]):
        raise Transient("the endpoint answered without any image data")
    return found


def usage_of(body: Json, images: int) -> Usage:
    usage = body.get("usage") or {}
    tokens_in = usage.get("prompt_tokens", usage.get("input_tokens")) or 0
    tokens_out = usage.get("completion_tokens", usage.get("output_tokens")) or 0
    cost = usage.get("cost")
    return Usage(int(tokens_in), int(tokens_out), images, float(cost) if isinstance(cost, int | float) else None)


def error_of(status: int, body: object, headers: Mapping[str, str], model: str) -> ProviderError:
    """The error that a status stands for, with words that say what to change."""
    return failure_of("the endpoint", status, body, headers, model)


def unsupported_parameter(status: int, body: object) -> str | None:
    """`response_format`, `max_tokens`, `temperature`, `top_p` or `seed` when an error says that the endpoint does not take it."""
    if status not in (400, 404, 422, 501):
        return None
    text = json.dumps(body).lower() if not isinstance(body, str) else body.lower()
    if "max_completion_tokens" in text and "max_tokens" in text:
        return "max_tokens"
    for word in ("response_format", "json_schema", "structured output", "guided_json", "text.format"):
        if word in text:
            return "response_format"
    return unsupported_sampling(text) or ("seed" if re.search(r"['\"`]seed['\"`]", text) else None)


def unsupported_sampling(text: str) -> str | None:
    """`temperature` or `top_p` when `text` says that the model does not take it, or not beside the other one."""
    found = SAMPLING.search(text)
    return found[1] if found else None
