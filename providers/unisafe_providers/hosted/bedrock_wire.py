"""Amazon Bedrock's Converse, without a network: a body from a request, a Response from a body.

Shapes: the model of AWS's SDK (botocore, bedrock-runtime 2023-09-30), and answers of Converse that pydantic-ai and openllmetry
recorded. Bodies of InvokeModel for Titan's texts are read too.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from unisafe_providers.anatomy import ONLY_THOUGHTS, TOOL_CALL, attach_partial, decode_base64_image
from unisafe_providers.base import Image, Malformed, Request, Response, Text, Usage, clean
from unisafe_providers.hosted.bodies import Json, find_usage
from unisafe_providers.hosted.endings import WORDS, ending_of_bedrock
from unisafe_providers.hosted.guardrails import find_intervention
from unisafe_providers.hosted.openai_wire import apply_ending, read_pictures
from unisafe_providers.hosted.usage import usage_of

FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
SETTINGS = (("max_tokens", "maxTokens"), ("temperature", "temperature"), ("top_p", "topP"))
"""Fields of a request, and their names in `inferenceConfig`, which has no seed."""


# ---------------------------------------------------------------- out


async def build_converse_body(request: Request, *, guardrail: Mapping[str, str], response_fields: Sequence[str]) -> Json:
    """The body of POST /model/ID/converse for `request`.

    Args:
        guardrail: `guardrailConfig`; empty for none.
        response_fields: `additionalModelResponseFieldPaths`, further fields of the model's own that the answer shall hold.
    """
    parts = [part for part in request.parts if not isinstance(part, Text) or part.text.strip()] or request.parts  # none is blank
    content = [{"text": part.text} if isinstance(part, Text) else {"image": await _build_image(part)} for part in parts]
    body: Json = {"messages": [{"role": "user", "content": content}]}
    if request.system:
        body["system"] = [{"text": request.system}]
    config = {called: value for name, called in SETTINGS if (value := getattr(request, name)) is not None}
    if config:
        body["inferenceConfig"] = config
    if guardrail:
        body["guardrailConfig"] = dict(guardrail)
    if response_fields:
        body["additionalModelResponseFieldPaths"] = list(response_fields)
    if request.schema is not None:
        name, schema = request.schema
        structure = {"jsonSchema": {"name": name, "schema": schema}}
        body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": structure}}
    return body


async def _build_image(image: Image) -> Json:
    kind = FORMATS.get(image.media_type, image.media_type.rsplit("/", 1)[-1])
    return {"format": kind, "source": {"bytes": base64.b64encode(await image.read()).decode()}}


# ---------------------------------------------------------------- in


def read_converse_response(body: Json, *, image_due: bool = False) -> Response:
    """A Response from a body of Converse, or from Titan's of InvokeModel.

    What came before a filter's stop is kept. Where a guardrail blocked, the text is the operator's own sentence: it goes into
    `reason`, and is no answer. Raises Malformed if the body is no answer, Transient if it reports a failure.
    """
    if "output" not in body and isinstance(body.get("results"), list):
        body = _convert_titan(body)
    content = _find_content(body)
    text = "".join(_find_words(block) for block in content)
    thoughts = "\n\n".join(words for block in content if (words := _find_thoughts(block)))
    usage = usage_of(find_usage(body))
    with attach_partial(Response(text=clean(text), usage=usage)):
        images = read_pictures(_find_images(content), decode_base64_image, image_due=image_due)
    done = find_intervention(body)
    said = text if done is not None and done.replaced_words(find_usage(body)) else ""
    counted = usage.reported or (bool(said) and isinstance(find_usage(body), dict))
    came = Response(
        text="" if said else clean(text),
        images=() if said else images,
        usage=Usage(usage.tokens_in, usage.tokens_out, images=len(images), reported=counted),
        thoughts=clean(thoughts),
        missing=_describe_not_words(content, body),
        model=_find_served_name(body),
    )
    with attach_partial(came):
        nothing = not text.strip() and not images and not came.missing and not thoughts
        return apply_ending(came, ending_of_bedrock(body, body.get("stopReason"), nothing=nothing, done=done, said=clean(said)))


def _find_content(body: Json) -> list[Json]:
    """The blocks of `output.message`, which a body without an answer may lack. Raises Malformed for a body of another shape."""
    output = body.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    if not isinstance(output, dict) and find_intervention(body) is None and WORDS.get(str(body.get("stopReason"))) != "blocked":
        raise Malformed("the endpoint answered without any output")
    content = message.get("content") if isinstance(message, dict) else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _find_words(block: Json) -> str:
    """The text of a block; words with citations are a list of texts."""
    if isinstance(block.get("text"), str):
        return str(block["text"])
    cited = block.get("citationsContent")
    parts = cited.get("content") if isinstance(cited, dict) else None
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ""


def _find_thoughts(block: Json) -> str:
    thought = block.get("reasoningContent")
    told = thought.get("reasoningText") if isinstance(thought, dict) else None
    return str(told.get("text") or "") if isinstance(told, dict) else ""


def _find_images(content: Sequence[Json]) -> list[object]:
    """The pictures in the blocks, in base64."""
    images = [block["image"] for block in content if isinstance(block.get("image"), dict)]
    return [(image.get("source") or {}).get("bytes") for image in images]


def _describe_not_words(content: Sequence[Json], body: Json) -> str:
    """What the blocks hold instead of words, as text for `Response.missing`."""
    if any(block.get("toolUse") for block in content):
        return TOOL_CALL
    sealed = any((block.get("reasoningContent") or {}).get("redactedContent") for block in content)
    return ONLY_THOUGHTS if sealed and WORDS.get(str(body.get("stopReason"))) != "length" else ""


def _find_served_name(body: Json) -> str:
    """The model that a prompt router chose; no other answer names one."""
    trace = body.get("trace")
    router = trace.get("promptRouter") if isinstance(trace, dict) else None
    return clean(str(router.get("invokedModelId") or ""))[:200] if isinstance(router, dict) else ""


def _convert_titan(body: Json) -> Json:
    """Titan's answer to InvokeModel in the shape of Converse's."""
    results: list[Any] = [result for result in body["results"] if isinstance(result, dict)]
    first = results[0] if results else {}
    return {
        **body,
        "output": {"message": {"content": [{"text": str(first.get("outputText") or "")}] if first else []}},
        "stopReason": first.get("completionReason"),
        "usage": {"inputTokens": body.get("inputTextTokenCount"), "outputTokens": first.get("tokenCount")},
    }
