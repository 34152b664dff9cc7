"""The wire format of OpenAI's Responses API, without a network: bodies from requests, responses from bodies.

Shapes: OpenAI's API reference, "Responses", and the types of its package (openai.types.responses). Background mode: OpenAI's guide
"Background mode" (developers.openai.com/docs/guides/background) and Microsoft's "Background tasks" (learn.microsoft.com), read in
November 2026: a response is `queued`, then `in_progress`, and any other status is final; without `store` it is kept for 10 minutes.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from unisafe_providers.anatomy import TOOL_CALL, attach_partial, decode_base64_image
from unisafe_providers.base import Image, Malformed, Request, Response, Text, Transient, clean
from unisafe_providers.hosted.accepted import Accepted
from unisafe_providers.hosted.bodies import Json, find_usage, schema_of
from unisafe_providers.hosted.endings import ending_of_response
from unisafe_providers.hosted.flattened import read_error_message
from unisafe_providers.hosted.openai_wire import apply_ending, find_texts, read_served_name
from unisafe_providers.hosted.usage import usage_of

UNDER_WAY = frozenset({"queued", "in_progress"})
FAILED = frozenset({"failed", "cancelled", "canceled", "expired"})
OVER = FAILED | {"completed", "incomplete"}


async def build_responses_body(model: str, request: Request, accepted: Accepted, *, stored: bool = False) -> Json:
    """The body of POST /responses for `request`; `seed` has no place in this API.

    Args:
        stored: whether the vendor keeps the response (for 30 days at OpenAI), so that it can be fetched later.
    """
    content: list[Json] = []
    for part in request.parts:
        if isinstance(part, Text):
            content.append({"type": "input_text", "text": part.text})
        else:
            data = base64.b64encode(await part.read()).decode()
            content.append({"type": "input_image", "detail": "auto", "image_url": f"data:{part.media_type};base64,{data}"})
    body: Json = {"model": model, "input": [{"role": "user", "content": content}], "store": stored}
    if request.system:
        body["instructions"] = request.system
    for name in ("max_tokens", "temperature", "top_p"):
        value = getattr(request, name)
        if value is not None:
            body[accepted.name(name)] = value
    if request.image_due:
        tool: Json = {"type": "image_generation", "action": "generate" if request.kind == "image" else "edit"}
        if request.size:
            tool["size"] = request.size
        body |= {"tools": [tool], "tool_choice": {"type": "image_generation"}}
    if request.schema is not None:
        name, schema = request.schema
        body["text"] = {"format": {"type": "json_schema", "name": name, "strict": True, "schema": schema_of(schema)}}
    return body


def is_under_way(body: Json) -> bool:
    """Whether a response is still being made; a status that nobody knows is no end."""
    status = body.get("status")
    return isinstance(status, str) and status not in OVER


def read_job_name(body: Json) -> str:
    """The id of a response that the endpoint took and has not made yet; empty if it is made, or cannot be asked for."""
    status, name = body.get("status"), body.get("id")
    begun = is_under_way(body) and not body.get("error") and (status in UNDER_WAY or not body.get("output"))
    return name if begun and isinstance(name, str) else ""


@dataclass(slots=True, kw_only=True)
class _Output:
    """The content of an output's items."""

    texts: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    missing: str = ""

    def add(self, item: Json) -> None:
        match item.get("type"):
            case "message":
                for part in item.get("content") or []:
                    if part.get("type") == "refusal":
                        self.refusals.append(str(part.get("refusal") or ""))
                    elif part.get("type") in ("output_text", "text"):
                        self.texts.append(str(part.get("text") or ""))
            case "reasoning":
                self.thoughts += find_texts(item.get("summary")) or find_texts(item.get("content"))
            case "image_generation_call" if item.get("result"):
                self.images.append(decode_base64_image(item["result"]))
            case str() as kind if kind.endswith("_call") and kind != "image_generation_call":
                self.missing = TOOL_CALL


def read_responses_response(body: Json) -> Response:
    """A Response from a Responses object. Raises Malformed for any other body, Transient if it reports a failure."""
    if not isinstance(body.get("output"), list):
        raise Malformed("the endpoint answered without any output")
    output = _Output()
    usage = usage_of(find_usage(body))
    with attach_partial(Response(usage=usage)):
        for item in body["output"]:
            output.add(item)
    usage = usage_of(find_usage(body), len(output.images))
    text, thoughts = clean("".join([*output.texts, *output.refusals])), clean("\n\n".join(output.thoughts))
    came = Response(
        text=text, images=tuple(output.images), usage=usage, thoughts=thoughts, missing=output.missing, model=read_served_name(body)
    )
    with attach_partial(came):
        ending = ending_of_response(body, nothing=came.empty)
        if body.get("status") not in (None, "completed", "incomplete"):
            raise Transient(f"the endpoint answered with a response that is {body['status']}: {read_error_message(body)}")
        if ending.finish == "stop" and not came.images and any(_is_broken(item) for item in body["output"]):
            raise Transient("the image tool failed, and no filter is named")
    if output.refusals and ending.finish != "blocked":
        ending = ending._replace(finish="refused", reason="a refusal part")
    return apply_ending(came, ending)


def _is_broken(item: Json) -> bool:
    """Whether a call of the image tool failed; a call that moderation stopped has an ending of its own."""
    return item.get("type") == "image_generation_call" and (item.get("status") == "failed" or bool(item.get("error")))
