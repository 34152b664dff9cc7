"""The OpenAI wire format, without a network: bodies from requests, responses from bodies; what words mean is in endings.py.

Shapes follow OpenAI's API reference (chat completions, images) and OpenRouter's image output (`message.images`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from unisafe_providers.anatomy import AUDIO, NO_PICTURE, TOOL_CALL, attach_partial, decode_base64_image
from unisafe_providers.base import Image, Malformed, ProviderError, Request, Response, Text, clean
from unisafe_providers.hosted.accepted import Accepted
from unisafe_providers.hosted.blocks import block_of_error
from unisafe_providers.hosted.bodies import Json, find_usage, schema_of
from unisafe_providers.hosted.canned import find_canned
from unisafe_providers.hosted.endings import Ending, ending_of_choice, ending_of_guardrail
from unisafe_providers.hosted.flattened import flatten
from unisafe_providers.hosted.guardrails import find_intervention
from unisafe_providers.hosted.usage import usage_of
from unisafe_providers.hosted.withheld import build_pictures_response, find_withheld_block

# ---------------------------------------------------------------- out


async def build_chat_body(model: str, request: Request, accepted: Accepted) -> Json:
    """The body of POST /chat/completions for `request`, as the endpoint takes it; it asks for an image if one is due."""
    messages: list[Json] = []
    if request.system:
        messages.append({"role": "system", "content": request.system})
    messages.append({"role": "user", "content": await content_of(request, joined=accepted.joins_texts)})
    body: Json = {"model": model, "messages": messages}
    for name in ("max_tokens", "temperature", "top_p", "seed"):
        value = getattr(request, name)
        if value is not None:
            body[accepted.name(name)] = value
    if request.image_due:
        body["modalities"] = ["image", "text"]
    if request.schema is not None:
        body["response_format"] = build_response_format(*request.schema, accepted)
    return body


def build_response_format(name: str, schema: str, accepted: Accepted) -> Json:
    """`response_format` with a schema, as OpenAI takes it, or as llama.cpp's servers do."""
    if accepted.schema_type == "json_object":
        return {"type": "json_object", "schema": schema_of(schema)}
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema_of(schema)}}


async def content_of(request: Request, *, joined: bool = False) -> str | list[Json]:
    """A user turn's content: its text alone, or a list of parts, images as data URLs; with `joined` several texts are one."""
    if joined and not request.images:
        return "\n\n".join(part.text for part in request.parts if isinstance(part, Text))
    if len(request.parts) == 1 and isinstance(request.parts[0], Text):
        return request.parts[0].text
    content: list[Json] = []
    for part in request.parts:
        if isinstance(part, Text):
            content.append({"type": "text", "text": part.text})
        else:
            content.append({"type": "image_url", "image_url": {"url": await build_data_url(part)}})
    return content


async def build_edit_images(images: Sequence[Image]) -> Json:
    """The images of an edit in JSON, as xAI takes them: one under `image`, several under `images`."""
    entries = [{"url": await build_data_url(image), "type": "image_url"} for image in images]
    return {"image": entries[0]} if len(entries) == 1 else {"images": entries}


async def build_data_url(image: Image) -> str:
    """An image's bytes as an address."""
    return f"data:{image.media_type};base64,{base64.b64encode(await image.read()).decode()}"


# ---------------------------------------------------------------- in

Pictured = Callable[[object], Image]
"""From an address to an image: `HostedProvider._fetch_picture`, or for bodies without a network `decode_base64_image`."""


def read_chat_response(body: Json, picture: Pictured = decode_base64_image, *, image_due: bool = True) -> Response:
    """A Response from a chat completion's body. Raises Malformed for any other body, Transient if the body reports a failure.

    Args:
        picture: turns an address into an image.
        image_due: whether the request asked for an image; if not, an image that cannot be read is left out.
    """
    try:
        choice = body["choices"][0]
        message = choice.get("message")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Malformed("the endpoint answered without any choice") from None
    if not isinstance(message, dict) or not message:
        return _read_missing_message(body, choice)
    message = _place_refusal(message)
    texts, thoughts, addresses = split_message(message)
    images = read_pictures(addresses, picture, image_due=image_due)
    usage = usage_of(find_usage(body), len(images))
    text, thought, model = clean("".join(texts)), clean("".join(thoughts)), read_served_name(body)
    try:
        ending = ending_of_choice(choice, message, nothing=not images and not text.strip())
    except ProviderError:
        with attach_partial(Response(text=text, images=images, usage=usage, thoughts=thought, model=model)):
            raise
    if (canned := find_canned(body, text, ending)) is not None:
        text, ending = "", canned
    if ending.finish == "refused":
        text = clean(str(message["refusal"]))
    missing = ending.missing or _describe_not_words(message)
    came = Response(
        text=text,
        images=images,
        finish=ending.finish,
        reason=ending.reason,
        usage=usage,
        block=ending.block,
        thoughts=thought,
        missing=missing,
        model=model,
        asks_again=ending.asks_again,
    )
    return apply_guardrail(came, body)


def _place_refusal(message: Json) -> Json:
    """The message with the model's refusal in `refusal`, even if it came as a part of the content."""
    content = message.get("content")
    parts = content if isinstance(content, list) and not message.get("refusal") else []
    refusals = [str(part["refusal"]) for part in parts if isinstance(part, dict) and part.get("refusal")]
    return {**message, "refusal": "".join(refusals)} if refusals else message


def apply_ending(came: Response, ending: Ending) -> Response:
    """The content together with its ending; the ending's reason for a missing answer goes first."""
    return replace(
        came,
        finish=ending.finish,
        reason=ending.reason,
        block=ending.block,
        missing=ending.missing or came.missing,
        asks_again=ending.asks_again,
    )


def apply_guardrail(came: Response, body: Json) -> Response:
    """The content as a guardrail of Amazon Bedrock left it: it marks bodies of every wire that is spoken there."""
    done = find_intervention(body)
    if done is None:
        return came
    said = came.text if done.replaced_words(find_usage(body)) else ""
    ending = ending_of_guardrail(done, said)
    if ending.finish != "blocked":
        return replace(came, reason=came.reason or ending.reason)
    return apply_ending(replace(came, text="", images=()) if said else came, ending)


def _read_missing_message(body: Json, choice: Json) -> Response:
    """A choice without a message, as Azure's filter leaves it. Raises Malformed if it names no filter."""
    usage = usage_of(find_usage(body))
    with attach_partial(Response(usage=usage)):
        if isinstance(choice.get("text"), str):
            return read_chat_response({**body, "choices": [{**choice, "message": {"content": choice["text"]}}]})
        ending = ending_of_choice(choice, {}, nothing=True)
        if ending.finish != "blocked":
            raise Malformed("the endpoint answered with a choice that holds no message")
    return apply_ending(Response(usage=usage, model=read_served_name(body)), ending)


def split_message(message: Json) -> tuple[list[str], list[str], list[object]]:
    """A message's texts, thoughts and addresses of images: content as a string or parts, `images` as OpenRouter gives them.

    Thoughts are in `reasoning_content` (vLLM, SGLang, DeepSeek), `reasoning` and `reasoning_details` (OpenRouter, Groq), or in
    parts of type `thinking` (Mistral). The first of these places with content counts, because the others repeat it.
    """
    content = message.get("content")
    parts: list[Any] = content if isinstance(content, list) else [content]
    texts: list[str] = []
    thoughts: list[str] = []
    addresses: list[object] = []
    images = message.get("images")
    for part in [*parts, *(images if isinstance(images, list) else [])]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            if part.get("type") in ("thinking", "reasoning"):
                thoughts += find_texts(part)
            elif isinstance(part.get("text"), str):
                texts.append(part["text"])
            elif part.get("type") == "refusal" and not message.get("refusal"):
                texts.append(str(part.get("refusal") or ""))
            addresses += _find_addresses(part)
    for name in ("reasoning_content", "reasoning", "reasoning_details", "thinking"):
        thoughts = thoughts or find_texts(message.get(name))
    return texts, thoughts, addresses


def find_texts(place: object) -> list[str]:
    """All texts in a field of thoughts, which may be a string, a part or a list of parts."""
    if isinstance(place, str):
        return [place] if place.strip() else []
    if isinstance(place, list):
        return [words for one in place for words in find_texts(one)]
    if not isinstance(place, dict):
        return []
    return next(
        (found for key in ("thinking", "text", "summary", "content", "reasoning") if (found := find_texts(place.get(key)))), []
    )


def _find_addresses(part: Json) -> list[object]:
    """The image of a part: a URL, or plain base64."""
    image = part.get("image_url") or part.get("image")
    if isinstance(image, dict):
        image = image.get("url") or image.get("b64_json")
    return [found for found in (image, part.get("b64_json")) if found]


def read_pictures(addresses: Sequence[object], picture: Pictured, *, image_due: bool) -> tuple[Image, ...]:
    """The images at some addresses. An image that cannot be read is left out, or raises Malformed if an image was due."""
    images = []
    for address in addresses:
        try:
            images.append(picture(address))
        except Malformed:
            if image_due:
                raise
    return tuple(images)


def _describe_not_words(message: Json) -> str:
    """What a message holds instead of words, as text for `Response.missing`."""
    if message.get("tool_calls") or message.get("function_call"):
        return TOOL_CALL
    return AUDIO if message.get("audio") else ""


def read_served_name(body: Json) -> str:
    """The name of the model that served the call."""
    name = body.get("model") or body.get("modelVersion")
    return clean(name)[:200] if isinstance(name, str) else ""


def read_images_response(body: Json, picture: Pictured = decode_base64_image, *, empty_fails: bool = False) -> Response:
    """A Response from an images answer. Raises Malformed if its `data` is no list, or an entry holds no image.

    Args:
        empty_fails: whether an empty list is a failure; if not, it is an answer that is asked for once more.
    """
    entries = body.get("data")
    if not isinstance(entries, list):
        raise Malformed("the endpoint answered without any image data")
    usage, model = usage_of(find_usage(body), len(entries)), read_served_name(body)
    if not entries and not empty_fails and find_withheld_block(body) is None:  # tokens of pictures are not lost words
        return Response(usage=usage, missing=NO_PICTURE, asks_again=True, model=model)
    places = [entry.get("b64_json") or entry.get("url") for entry in entries]
    if any(places):
        usage = usage if usage.reported else replace(usage, reported=find_usage(body) is None)  # images are paid for one by one
    beside = block_of_error(0, flatten({"error": body["error"]})) if body.get("error") else None
    withheld = [Ending(beside.finish, beside.reason, beside.block)] if beside is not None else []
    return build_pictures_response(body, places, picture, usage=usage, model=model, withheld=withheld)
