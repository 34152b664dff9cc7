"""How an answer ended, on every wire format: a known word has its meaning; an unknown word never decides a verdict by itself.

Sources, read in November 2026: OpenAI, API reference and the types of its package 3.54 (finish_reason, incomplete_details);
Microsoft, "Content filtering annotations" (learn.microsoft.com); OpenRouter, "Errors and Debugging"; Anthropic, "Stop reasons and
fallback" (platform.claude.com); Google, FinishReason and BlockedReason (ai.google.dev/api/generate-content); Mistral, the types of
its package 3.7; DeepSeek, Z.AI, SGLang and vLLM, their API references.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from unisafe_providers.base import Block, Finish, Malformed, Misconfigured, Response, Stage, Transient
from unisafe_providers.hosted.blocks import Categories, describe_block, read_filtered
from unisafe_providers.hosted.failure_row import split_names
from unisafe_providers.hosted.failures import read_error
from unisafe_providers.hosted.google_numbers import GEMINI_API, Numbering, name_numbers
from unisafe_providers.hosted.guardrails import Intervention

Json = dict[str, Any]
Meaning = Literal["stop", "length", "blocked", "failed"]


class Ending(NamedTuple):
    """How an answer ended.

    Args:
        finish: why it ended, in our words.
        reason: why it ended, in the platform's words.
        block: the stage and categories, if the platform's filter blocked.
        missing: why there is nothing to judge although nobody refused; empty if the ending does not tell.
        asks_again: whether a second call may bring the answer.
    """

    finish: Finish
    reason: str = ""
    block: Block | None = None
    missing: str = ""
    asks_again: bool = False


STOP = Ending("stop")
LENGTH = Ending("length")

# ---------------------------------------------------------------- chat completions: OpenAI, Azure, OpenRouter, Mistral, vLLM, ...

BLOCKED = split_names(
    "content_filter content_filtered contentfilter sensitive sensitive_content safety recitation blocklist spii "
    "prohibited_content image_safety image_prohibited_content image_recitation model_armor moderation moderated "
    "content_moderation content_moderated content_blocked content_policy content_policy_violation guardrail guardrails "
    "guardrail_intervened blocked violation risk error_toxic refusal"
)
FAILED = split_names(
    "error timeout timed_out network_error connection_error abort aborted cancelled canceled cancelling user_cancel "
    "client_disconnect disconnected interrupted preempted expired failed failure job_failed exception server_error "
    "internal_error system_error internal_server_error upstream_error provider_error engine_error model_error "
    "insufficient_system_resource unavailable service_unavailable overloaded rate_limit rate_limited "
    "malformed_model_output malformed_tool_use malformed_function_call queued in_progress"
)
CUT = split_names(
    "length model_length max_tokens max_output_tokens max_completion_tokens max_messages max_length token_limit truncated "
    "model_context_window_exceeded context_length_exceeded repetition_truncation error_limit"
)
ENDED = split_names(
    "stop stop_sequence stop_token end_turn pause_turn eos eos_token end tool_calls tool_call tool_use function_call complete "
    "completed finish finished done null none"
) | {""}
MEANINGS: tuple[tuple[frozenset[str], Meaning], ...] = ((BLOCKED, "blocked"), (FAILED, "failed"), (CUT, "length"), (ENDED, "stop"))
WORDS = {word: meaning for words, meaning in MEANINGS for word in words}
"""The meaning of `finish_reason`, `stop_reason` and `incomplete_details.reason` (in lower case) on every wire format."""


def find_meaning(word: str) -> Meaning | None:
    """What a word of the vendor's means, however it is spelled (`content-filter`, `Content Filter`); None for an unknown one."""
    return WORDS.get(word.strip().lower().replace("-", "_").replace(" ", "_"))


def ending_of_choice(choice: Json, message: Json, *, nothing: bool = False) -> Ending:
    """The ending of a chat completion's choice.

    Args:
        message: the choice's message; empty if the choice has none, as when Azure filtered it.
        nothing: whether no text and no image came. Then an unknown word is a failure that names it.

    Raises: Transient if the word names a failure, even with text; the error that an `error` object beside it means.
    """
    word, native = _word(choice.get("finish_reason")), _word(choice.get("native_finish_reason"))
    struck = [name for name in (word, native) if find_meaning(name) == "blocked"]
    hits = read_filtered(choice.get("content_filter_results") or choice.get("content_filter_result"))
    if choice.get("moderation_hit_type"):
        hits = (*hits, (str(choice["moderation_hit_type"]), ""))
    if struck or (nothing and hits and not message.get("refusal")):
        name = (word if struck else "") or "content_filter" if hits else struck[-1].lower()
        return Ending("blocked", describe_block(name, hits), Block("response", hits))
    if choice.get("error"):
        return ending_of_error(choice)
    if message.get("refusal"):
        return Ending("refused", "message.refusal")
    return ending_of_word(word, nothing=nothing)


def ending_of_word(word: str, *, nothing: bool, about: str = "") -> Ending:
    """The ending that a word alone means.

    Raises Transient if the word names a failure, Malformed if it is unknown and `nothing` came.
    """
    match find_meaning(word):
        case "stop":
            return STOP
        case "length":
            return LENGTH
        case "blocked":
            return Ending("blocked", describe_block(word, (), about), Block("response"))
        case "failed":
            raise Transient(describe_block(f"the endpoint broke off ({word})", (), about))
        case _:
            shown = word[:80]
            if nothing:
                raise Malformed(describe_block(f"nothing came, and it ended in a word that is not known ({shown})", (), about))
            return Ending("stop", describe_block(shown, (), about))


def ending_of_error(body: Json, vendor: str = "the endpoint", model: str = "the model") -> Ending:
    """The ending that an `error` within a 200 (in a body or a choice) means. Raises the error if it is no block."""
    answered = read_error(vendor, 200, {"error": body["error"]}, {}, model)
    if not isinstance(answered, Response):
        raise answered
    return Ending(answered.finish, answered.reason, answered.block)


def _word(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


# ---------------------------------------------------------------- OpenAI's Responses


def ending_of_response(body: Json, nothing: bool = False) -> Ending:
    """The ending of a Responses object, without the model's refusals, which are parts of its messages.

    Raises: Transient if its status or reason names a failure, or if both are unknown and `nothing` came.
    """
    blocked_image = next((block for item in body.get("output") or [] if (block := _read_blocked_image(item))), None)
    if blocked_image is not None:
        return blocked_image
    if body.get("error"):
        return ending_of_error(body)
    details = body.get("incomplete_details")
    reason = _word(details.get("reason")) if isinstance(details, dict) else _word(details)
    return ending_of_word(reason or _word(body.get("status")), nothing=nothing)


def _read_blocked_image(item: Json) -> Ending | None:
    """A call of the image tool that moderation stopped; the model may go on to say so in words."""
    if not isinstance(item, dict) or item.get("type") != "image_generation_call" or not isinstance(item.get("error"), dict):
        return None
    answered = read_error("the endpoint", 400, {"error": item["error"]}, {}, "the model")
    return Ending("blocked", answered.reason, answered.block) if isinstance(answered, Response) else None


# ---------------------------------------------------------------- Anthropic's Messages


def ending_of_message(body: Json, text: str) -> Ending:
    """The ending of a message. A refusal before any text blocked the request; a refusal after some text cut the response.

    Its `refusal` is the platform's classifier (stop_details names its policy category), not the model's own words.
    """
    stop, nothing = _word(body.get("stop_reason")), not text.strip()
    if find_meaning(stop) != "blocked":
        return ending_of_word(stop, nothing=nothing and not body.get("content"))
    details = body.get("stop_details")
    details = details if isinstance(details, dict) else {}
    category = str(details.get("category") or "")
    categories: Categories = ((category, ""),) if category else ()
    return Ending(
        "blocked",
        describe_block(stop, categories, str(details.get("explanation") or "")),
        Block("request" if nothing else "response", categories),
    )


# ---------------------------------------------------------------- Amazon Bedrock's Converse and InvokeModel


def ending_of_bedrock(body: Json, word: object, *, nothing: bool, done: Intervention | None, said: str) -> Ending:
    """The ending of an answer of Amazon Bedrock: first what a guardrail did, then the word.

    A guardrail that masked words of an answer blocked nothing. One that intervened and does not say how counts as a block of an
    unknown stage.

    Args:
        word: `stopReason`, or the word that InvokeModel's bodies have for it.
        nothing: whether no text and no image came.
        done: what a guardrail did.
        said: the sentence that stands there instead of an answer.
    """
    if done is not None:
        return ending_of_guardrail(done, said)
    if WORDS.get(_word(word).lower()) != "blocked":
        return ending_of_word(_word(word), nothing=nothing)
    fields = body.get("additionalModelResponseFields")
    details = fields.get("stop_details") if isinstance(fields, dict) else None
    details = details if isinstance(details, dict) else {}
    categories: Categories = ((str(details["category"]), ""),) if details.get("category") else ()
    stage: Stage | None = "response" if not nothing else "request" if details else None
    reason = describe_block(_word(word), categories, str(details.get("explanation") or ""))
    return Ending("blocked", reason, Block(stage, categories) if stage else None)


def ending_of_guardrail(done: Intervention, said: str) -> Ending:
    """The ending that a guardrail of Amazon Bedrock made; `said` is the sentence that stands there instead of an answer."""
    if done.did == "masked":
        return Ending("stop", describe_block("a guardrail masked words", done.categories))
    untold = "its trace names no action" if done.traced else "it has no trace, which tells blocks from masks"
    why = "" if done.did == "blocked" else untold
    reason = describe_block("guardrail_intervened", done.categories, ": ".join(filter(None, (why, said[:300]))))
    return Ending("blocked", reason, Block(done.stage, done.categories) if done.stage else None)


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
"""`finishReason` and its meaning: the stage of a filter's block, or `length`."""

DREW_NOTHING = frozenset({"NO_IMAGE"})
"""The model drew nothing, and no filter is named."""
BROKEN = frozenset(
    {"MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"}
)


def ending_of_candidate(candidate: Json, *, nothing: bool, numbering: Numbering = GEMINI_API) -> Ending:
    """The ending of a candidate; `nothing` says that no text and no image came. Raises Transient or Misconfigured for a failure.

    `numbering` has the words for numbers, which gateways and clients in the manner of gRPC get.
    """
    candidate = name_numbers(candidate, numbering)
    word = _word(candidate.get("finishReason")) or "STOP"
    meaning = CANDIDATE.get(word.upper())
    message = str(candidate.get("finishMessage") or "")
    if meaning == "length":
        return LENGTH
    if meaning == "request" or meaning == "response":
        hits = read_ratings(candidate)
        return Ending("blocked", describe_block(f"finishReason {word}", hits, message), Block(meaning, hits))
    if word == "PUP_LIMITED_DISABLED":
        raise Misconfigured(f"Google has limited this account for violations of its use policy ({word}): {message}")
    if word in DREW_NOTHING:
        return Ending(
            "stop",
            describe_block(f"finishReason {word}", (), message),
            missing=f"no picture ({word})" if nothing else "",
            asks_again=nothing,
        )
    if word == "STOP":
        return STOP
    if word in BROKEN or nothing or find_meaning(word) == "failed":
        raise Malformed(describe_block(f"nothing came out: finishReason {word[:80]}", (), message))
    return ending_of_word(word, nothing=False, about=message)._replace(
        reason=describe_block(f"finishReason {word[:80]}", (), message)
    )


def ending_of_prompt(feedback: Json, numbering: Numbering = GEMINI_API) -> Ending | None:
    """The block in `promptFeedback`: every `blockReason` that names something, even `OTHER`, is a blocked request."""
    feedback = name_numbers(feedback, numbering)
    word = feedback.get("blockReason")
    if not word or str(word).endswith("_UNSPECIFIED"):
        return None
    hits = read_ratings(feedback)
    message = str(feedback.get("blockReasonMessage") or "")
    return Ending("blocked", describe_block(f"blockReason {word}", hits, message), Block("request", hits))


def read_ratings(place: Json) -> Categories:
    """The harm categories that were blocked, else those rated MEDIUM or HIGH, with their probability, in lower case."""
    entries = [rating for rating in place.get("safetyRatings") or [] if isinstance(rating, dict)]
    hits = [rating for rating in entries if rating.get("blocked")]
    hits = hits or [rating for rating in entries if rating.get("probability") in ("MEDIUM", "HIGH")]
    return tuple(
        (str(hit.get("category")).removeprefix("HARM_CATEGORY_").lower(), str(hit.get("probability") or "blocked").lower())
        for hit in hits
    )
