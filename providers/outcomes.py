"""What every vendor's words mean: answered, refused, blocked request, blocked response, failed. All wires ask here.

Sources, read in November 2026: OpenAI, API reference and the types of its package 3.54 (finish_reason, incomplete_details,
ResponseError, ImageGenerationCallError) and "Error codes"; Microsoft, "Content filtering" and "Content filtering annotations"
(learn.microsoft.com); OpenRouter, "Errors and Debugging" and the types of its package 1.3; Anthropic, "Stop reasons and fallback",
"Refusals and fallback" and "Errors" (platform.claude.com) and the types of its package 2.13; Google, generateContent's FinishReason
and BlockedReason (ai.google.dev/api/generate-content) and the types of google-genai 3.6; Mistral, the types of its package 3.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from providers.base import Block, Finish, Misconfigured, Response, Stage, Transient, clean

Json = dict[str, Any]
Categories = tuple[tuple[str, str], ...]


class Ending(NamedTuple):
    """How an answer ended: `reason` is in the platform's words, `block` says where its filter struck."""

    finish: Finish
    reason: str = ""
    block: Block | None = None


STOP = Ending("stop")
LENGTH = Ending("length")

# ---------------------------------------------------------------- chat completions: OpenAI, Azure, OpenRouter, Mistral, vLLM, ...

CHAT: dict[str, Finish] = {"length": "length", "model_length": "length", "content_filter": "blocked"}
"""`finish_reason`; `model_length` is Mistral's. `error` (OpenRouter, Mistral) is a failure, everything else an answer."""

NATIVE = frozenset(
    {"refusal", "safety", "recitation", "blocklist", "prohibited_content", "spii", "content_filter", "content_filtered"}
    | {"image_safety", "image_prohibited_content", "image_recitation", "model_armor", "guardrail_intervened"}
)
"""`native_finish_reason` of OpenRouter when the vendor behind it (Anthropic, Google, Amazon) stopped the answer."""


def of_choice(choice: Json, message: Json) -> Ending:
    """The ending of a chat completion's choice. Raises Transient when the endpoint says that it broke off with an error."""
    finish = choice.get("finish_reason")
    native = str(choice.get("native_finish_reason") or "").lower()
    if finish == "content_filter" or native in NATIVE:
        hits = filtered(choice.get("content_filter_results") or choice.get("content_filter_result"))
        word = "content_filter" if hits or not native else native
        return Ending("blocked", worded(word, hits), Block("response", hits))
    if message.get("refusal"):
        return Ending("refused", "message.refusal")
    if finish == "error":
        raise Transient(f"the endpoint broke off with an error: {error_message(choice)}")
    return LENGTH if CHAT.get(finish or "") == "length" else STOP


def filtered(results: object) -> Categories:
    """The categories of Azure's `content_filter_results` that were filtered, each with its severity, else `detected`."""
    if not isinstance(results, dict):
        return ()
    return tuple(
        (str(category), str(entry.get("severity") or "detected"))
        for category, entry in results.items()
        if isinstance(entry, dict) and entry.get("filtered", entry.get("detected"))
    )


def worded(word: str, categories: Categories, message: str = "") -> str:
    """`content_filter (violence: high): message`, leaving out what is not there."""
    inside = ", ".join(f"{name}: {severity}" if severity else name for name, severity in categories)
    return clean(word + (f" ({inside})" if inside else "") + (f": {message}" if message else ""))


# ---------------------------------------------------------------- OpenAI's Responses

INCOMPLETE: dict[str, Finish] = {"max_output_tokens": "length", "max_messages": "length", "content_filter": "blocked"}
"""`incomplete_details.reason`."""


def of_response(body: Json) -> Ending:
    """The ending of a Responses object, without the model's refusals, which are parts of its messages."""
    blocked_image = next((block for item in body.get("output") or [] if (block := _blocked_image(item))), None)
    if blocked_image is not None:
        return blocked_image
    reason = str((body.get("incomplete_details") or {}).get("reason") or "")
    finish = INCOMPLETE.get(reason, "stop")
    return Ending(finish, reason, Block("response")) if finish == "blocked" else Ending(finish)


def _blocked_image(item: Json) -> Ending | None:
    """A call of the image tool that moderation stopped; the model may go on to say so in words."""
    error = item.get("error")
    if item.get("type") != "image_generation_call" or not isinstance(error, dict) or error.get("code") not in BLOCK_CODES:
        return None
    blocked = block_of(400, {"error": error})
    return Ending("blocked", blocked.reason, blocked.block) if blocked else None


# ---------------------------------------------------------------- Anthropic's Messages

MESSAGES: dict[str, Finish] = {"max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "blocked"}
"""`stop_reason`. A `refusal` is the platform's classifier (stop_details names its policy category), not the model's own words."""


def of_message(body: Json, text: str) -> Ending:
    """The ending of a message. A refusal before any text is one of the request; one after some text cut the response."""
    stop = str(body.get("stop_reason") or "")
    finish = MESSAGES.get(stop, "stop")
    if finish != "blocked":
        return Ending(finish)
    details = body.get("stop_details") or {}
    category = str(details.get("category") or "")
    categories = ((category, ""),) if category else ()
    return Ending(
        "blocked",
        worded(stop, categories, str(details.get("explanation") or "")),
        Block("response" if text.strip() else "request", categories),
    )


# ---------------------------------------------------------------- Google's generateContent

CANDIDATE: dict[str, Stage | Finish] = {
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "response",
    "RECITATION": "response",
    "BLOCKLIST": "response",
    "PROHIBITED_CONTENT": "response",
    "SPII": "response",
    "IMAGE_SAFETY": "response",
    "IMAGE_PROHIBITED_CONTENT": "response",
    "IMAGE_RECITATION": "response",
    "MODEL_ARMOR": "response",
    "ESCALATION": "request",
}
"""`finishReason`: the stage at which a filter struck, or `length`. `STOP` and `NO_IMAGE` (the model drew nothing) are answers."""

UNEXPLAINED = frozenset({"OTHER", "IMAGE_OTHER", "LANGUAGE", "FINISH_REASON_UNSPECIFIED"})
"""Endings that name neither a filter nor the model: with nothing beside them they are failures, for nobody knows who said no."""
BROKEN = frozenset(
    {"MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"}
)


def of_candidate(candidate: Json, *, nothing: bool) -> Ending:
    """The ending of a candidate; `nothing` says that no text and no image came. Raises Transient or Misconfigured on a failure."""
    word = str(candidate.get("finishReason") or "STOP")
    meaning = CANDIDATE.get(word)
    message = str(candidate.get("finishMessage") or "")
    if meaning == "length":
        return LENGTH
    if meaning == "request" or meaning == "response":
        hits = _ratings(candidate)
        return Ending("blocked", worded(f"finishReason {word}", hits, message), Block(meaning, hits))
    if word == "PUP_LIMITED_DISABLED":
        raise Misconfigured(f"Google has limited this account for violations of its use policy ({word}): {message}")
    if word in BROKEN or (nothing and word in UNEXPLAINED):
        raise Transient(worded(f"nothing came out: finishReason {word}", (), message))
    return STOP if word == "STOP" else Ending("stop", worded(f"finishReason {word}", (), message))


def of_prompt(feedback: Json) -> Ending | None:
    """The block that `promptFeedback` tells: every `blockReason`, `OTHER` too, is one of the request."""
    word = feedback.get("blockReason")
    if not word:
        return None
    hits = _ratings(feedback)
    message = str(feedback.get("blockReasonMessage") or "")
    return Ending("blocked", worded(f"blockReason {word}", hits, message), Block("request", hits))


def _ratings(place: Json) -> Categories:
    """The harm categories that were blocked, else those rated MEDIUM or HIGH, with their probability, in lower case."""
    ratings = [rating for rating in place.get("safetyRatings") or [] if isinstance(rating, dict)]
    hits = [rating for rating in ratings if rating.get("blocked")]
    hits = hits or [rating for rating in ratings if rating.get("probability") in ("MEDIUM", "HIGH")]
    return tuple(
        (str(hit.get("category")).removeprefix("HARM_CATEGORY_").lower(), str(hit.get("probability") or "blocked").lower())
        for hit in hits
    )


# ---------------------------------------------------------------- blocks that come as errors

BLOCK_CODES: dict[str, Stage | None] = {
    "content_filter": "request",
    "contentfilter": "request",
    "responsibleaipolicyviolation": "request",
    "content_policy_violation": "request",
    "image_content_policy_violation": "request",
    "bio_policy": "request",
    "content_policy": "request",
    "safety_violation": "request",
    "data_inspection_failed": "request",
    "prohibited_content": "request",
    "misalignment_policy_violation": "response",
    "moderation_blocked": None,
}
"""Error codes, in lower case, and the stage they stand for unless the error says more; OpenAI checks images before and after."""

FLAGGED = re.compile(r"flagged|usage polic", re.I)
"""OpenAI's `invalid_prompt` is a block where its message says so, and a bad request otherwise."""
BLOCK_WORDS = re.compile(
    r"content (management )?polic|safety system|content filter|responsible ai|flagged as (potentially )?violat"
    r"|moderation (system|filter|polic)|(blocked|flagged|rejected|refused) by .{0,30}moderation",
    re.I,
)
PARAMETER = frozenset({"unknown_parameter", "unsupported_parameter", "unsupported_value", "invalid_value", "invalid_type"})
"""Codes of a request that is wrong in form, whatever words its message holds (`Unknown parameter: 'moderation'`)."""
DENIED_WORDS = re.compile(
    r"^request blocked:|guardrail|(input|prompt|request|content) (was |is |has been )?flagged|requires moderation", re.I
)
ACCOUNT_WORDS = re.compile(r"\b(account|organi[sz]ation|resource|project|workspace|api key)\b", re.I)
"""What a 403 says when it is the request that is refused (OpenRouter's and Mistral's guardrails), and when it is the account."""
VIOLATIONS = re.compile(r"safety_violations=\[([^\]]*)\]")


def block_of(status: int, body: object) -> Response | None:
    """The blocked (or refused) Response that an error of `status` stands for; None when it is a failure."""
    if status not in (400, 403, 422, 451) or not isinstance(body, dict):
        return None
    error = body.get("error", body)
    if not isinstance(error, dict):
        return None
    message = error_message(body)
    codes = [code.lower() for code in codes_of(body)]
    metadata = error.get("metadata")
    reasons = metadata.get("reasons") if isinstance(metadata, dict) else None
    if status == 403 and isinstance(reasons, list) and reasons:
        categories = tuple((str(reason), "") for reason in reasons)
        return Response(finish="blocked", reason=worded("moderation", categories, message), block=Block("request", categories))
    if status == 403 and "refusal" in codes:
        return Response(text=clean(message), finish="refused", reason="refusal, told as an error")
    named = next((code for code in codes if code in BLOCK_CODES), None)
    if named is None:
        flagged = "invalid_prompt" in codes and FLAGGED.search(message)
        if not flagged and (not _says_block(status, message) or not PARAMETER.isdisjoint(codes)):
            return None
        named = "invalid_prompt" if flagged else ""
    categories, stage = _details(error, message, BLOCK_CODES.get(named, "request"))
    reason = worded(named, categories, message) if named else message
    return Response(finish="blocked", reason=reason, block=Block(stage, categories) if stage else None)


def _says_block(status: int, message: str) -> bool:
    """Whether the words alone, without a code, tell of a blocked request."""
    if status == 403:
        return DENIED_WORDS.search(message) is not None and ACCOUNT_WORDS.search(message) is None
    return status in (400, 451) and BLOCK_WORDS.search(message) is not None


def _details(error: Json, message: str, stage: Stage | None) -> tuple[Categories, Stage | None]:
    """Categories and stage: Azure's inner error, OpenAI's `moderation_details`, or the categories that its message lists."""
    inner = error.get("innererror") or error.get("inner_error")
    inner = inner if isinstance(inner, dict) else {}
    hits = filtered(inner.get("content_filter_result") or inner.get("content_filter_results"))
    moderation = error.get("moderation_details")
    if isinstance(moderation, dict):
        hits = hits or tuple((str(category), "") for category in moderation.get("categories") or [])
        stage = {"input": "request", "output": "response"}.get(str(moderation.get("moderation_stage")), stage)  # type: ignore[assignment]
    elif "generated image" in message.lower():
        stage = "response"
    listed = VIOLATIONS.search(message)
    if not hits and listed:
        hits = tuple((word.strip(), "") for word in listed[1].split(",") if word.strip())
    return hits, stage


# ---------------------------------------------------------------- the words of an error


def error_message(body: object) -> str:
    """An error's message in one line, wherever its vendor puts it."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return " ".join(str(error).split())[:500]


def codes_of(body: object) -> Iterator[str]:
    """Every code, type and reason that an error carries, innermost too, as the vendor spells them."""
    if not isinstance(body, dict):
        return
    error = body.get("error", body)
    if not isinstance(error, dict):
        return
    details = error.get("details")
    inside = details if isinstance(details, list) else [details]
    for place in (error, error.get("innererror"), error.get("inner_error"), error.get("metadata"), *inside):
        if isinstance(place, Mapping):
            for key in ("code", "type", "status", "reason", "error_code", "error_type"):
                if isinstance(place.get(key), str):
                    yield place[key]
