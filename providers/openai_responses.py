"""OpenAI's Responses API, for models that are only there: text and images in, text and (by the image tool) images out.

Shapes: OpenAI's API reference, "Responses", and the types of its package (openai.types.responses).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import replace

from providers.base import Image, Request, Response, Text, Transient, clean
from providers.failures import failure_of
from providers.http import Json, error_body, media_type_of, parsed, reading
from providers.openai_compatible import OpenAICompatible
from providers.openai_wire import unsupported_parameter, usage_of
from providers.outcomes import block_of, error_message, of_response

RESPONSES = "responses"


class OpenAIResponses(OpenAICompatible):
    """One model of the Responses API; arguments as in OpenAICompatible, of which `image_api` has no meaning here."""

    API = "responses"

    async def _answer(self, request: Request) -> Response:
        """One response; asked again only where the endpoint says that it does not know a parameter."""
        while True:
            structured = self._structured and request.schema is not None
            sent = self._without(request)
            body = await responses_body(self.model, sent, structured=structured)
            answer = await self._post(RESPONSES, body, kind=request.kind)
            if answer.status_code == 200:
                with reading():
                    return responses_response(parsed(self._content(answer)), self.title, self.model)
            failed = error_body(self._content(answer))
            unsupported = unsupported_parameter(answer.status_code, failed)
            if unsupported == "response_format" and structured:
                self._structured = False
            elif not self._leaves_out(unsupported, sent):
                return self._blocked_or_raise(answer.status_code, failed, answer.headers)


async def responses_body(model: str, request: Request, *, structured: bool) -> Json:
    """The body of POST /responses for `request`. `seed` has no place in this API; nothing is stored at the vendor."""
    content: list[Json] = []
    for part in request.parts:
        if isinstance(part, Text):
            content.append({"type": "input_text", "text": part.text})
        else:
            data = base64.b64encode(await part.read()).decode()
            content.append({"type": "input_image", "detail": "auto", "image_url": f"data:{part.media_type};base64,{data}"})
    body: Json = {"model": model, "input": [{"role": "user", "content": content}], "store": False}
    if request.system:
        body["instructions"] = request.system
    for key, value in (
        ("max_output_tokens", request.max_tokens),
        ("temperature", request.temperature),
        ("top_p", request.top_p),
    ):
        if value is not None:
            body[key] = value
    if request.kind != "chat":
        tool: Json = {"type": "image_generation", "action": "generate" if request.kind == "image" else "edit"}
        if request.size:
            tool["size"] = request.size
        body |= {"tools": [tool], "tool_choice": {"type": "image_generation"}}
    if structured and request.schema is not None:
        name, schema = request.schema
        body["text"] = {"format": {"type": "json_schema", "name": name, "strict": True, "schema": json.loads(schema)}}
    return body


def responses_response(body: Json, vendor: str, model: str) -> Response:
    """A Response from a Responses object. Raises what its `error` stands for, and Transient when it is none."""
    if body.get("error"):
        blocked = block_of(400, body)
        if blocked is None:
            raise failure_of(vendor, 200, body, {}, model)
        return replace(blocked, usage=usage_of(body, 0))
    if not isinstance(body.get("output"), list):
        raise Transient("the endpoint answered without any output")
    texts: list[str] = []
    refusals: list[str] = []
    images: list[Image] = []
    for item in body["output"]:
        if item.get("type") == "message":
            for part in item.get("content") or []:
                if part.get("type") == "refusal":
                    refusals.append(str(part.get("refusal") or ""))
                elif part.get("type") == "output_text":
                    texts.append(str(part.get("text") or ""))
        elif item.get("type") == "image_generation_call" and item.get("result"):
            images.append(_image(item["result"]))
    ending = of_response(body)
    if body.get("status") not in (None, "completed", "incomplete"):
        raise Transient(f"the endpoint answered with a response that is {body['status']}: {error_message(body)}")
    if ending.finish == "stop" and not images and any(_broke(item) for item in body.get("output") or []):
        raise Transient("the image tool failed, and no filter is named")
    usage = usage_of(body, len(images))
    if refusals and ending.finish != "blocked":
        return Response(clean("".join([*texts, *refusals])), tuple(images), "refused", "a refusal part", usage)
    return Response(clean("".join([*texts, *refusals])), tuple(images), ending.finish, ending.reason, usage, block=ending.block)


def _broke(item: Json) -> bool:
    """Whether a call of the image tool failed; one that moderation stopped has an ending of its own."""
    return item.get("type") == "image_generation_call" and (item.get("status") == "failed" or bool(item.get("error")))


def _image(result: str) -> Image:
    try:
        data = base64.b64decode(result, validate=True)
    except binascii.Error:
        raise Transient("the endpoint answered with an image that is not base64") from None
    return Image.from_bytes(data, media_type_of(data))
