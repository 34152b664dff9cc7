"""How answers end: known words have their meaning on every wire, and a word nobody knows is never a verdict by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from unisafe_providers.anatomy import EMPTY, ONLY_THOUGHTS, TOOL_CALL, examine_response
from unisafe_providers.base import Block, Misconfigured, RateLimited, Transient
from unisafe_providers.hosted.endings import (
    Ending,
    ending_of_candidate,
    ending_of_choice,
    ending_of_message,
    ending_of_prompt,
    ending_of_response,
)
from unisafe_providers.hosted.gemini import read_content_response
from unisafe_providers.hosted.google_numbers import GEMINI_API, VERTEX_AI, Numbering

Wire = Callable[[str, bool], Ending]
WIRES: dict[str, Wire] = {
    "chat": lambda word, nothing: ending_of_choice({"finish_reason": word}, {}, nothing=nothing),
    "responses": lambda word, nothing: ending_of_response(
        {"status": "incomplete", "incomplete_details": {"reason": word}}, nothing
    ),
    "messages": lambda word, nothing: ending_of_message({"stop_reason": word, "content": []}, "" if nothing else "Half"),
    "generateContent": lambda word, nothing: ending_of_candidate({"finishReason": word}, nothing=nothing),
}


@pytest.mark.parametrize("wire", WIRES)
def test_a_word_that_is_not_known_is_a_failure_alone_and_kept_beside_text(wire: str) -> None:
    with pytest.raises(Transient, match="tired_of_it"):
        WIRES[wire]("tired_of_it", True)
    ending = WIRES[wire]("tired_of_it", False)
    assert ending.finish == "stop"
    assert "tired_of_it" in ending.reason


@pytest.mark.parametrize(
    "word", ["error", "timeout", "network_error", "abort", "insufficient_system_resource", "cancelled", "server_error"]
)
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("nothing", [True, False])
def test_a_word_that_names_a_failure_is_one_with_text_too(wire: str, word: str, nothing: bool) -> None:
    with pytest.raises(Transient, match=word):
        WIRES[wire](word, nothing)


@pytest.mark.parametrize("word", ["length", "max_tokens", "model_length", "max_output_tokens", "model_context_window_exceeded"])
@pytest.mark.parametrize("wire", ["chat", "responses", "messages"])
def test_what_ran_out_of_room_is_cut(wire: str, word: str) -> None:
    assert WIRES[wire](word, False).finish == "length"
    assert WIRES[wire](word, True).finish == "length"


@pytest.mark.parametrize("word", ["content_filter", "sensitive", "SAFETY", "guardrail_intervened", "ERROR_TOXIC"])
@pytest.mark.parametrize("nothing", [True, False])
def test_a_filter_s_word_is_a_blocked_response(word: str, nothing: bool) -> None:
    ending = WIRES["chat"](word, nothing)
    assert (ending.finish, ending.block) == ("blocked", Block("response"))
    assert word.lower() in ending.reason.lower()


@pytest.mark.parametrize("word", ["stop", "tool_calls", "function_call", "end_turn", "eos", "stop_sequence", None, ""])
def test_an_ordinary_ending_says_nothing(word: str | None) -> None:
    assert ending_of_choice({"finish_reason": word}, {}, nothing=True) == Ending("stop")


def test_a_filtered_choice_without_a_message_is_blocked_with_its_categories() -> None:
    results = {"hate": {"filtered": True, "severity": "high"}, "violence": {"filtered": False, "severity": "safe"}}
    ending = ending_of_choice({"finish_reason": "content_filter", "content_filter_results": results}, {}, nothing=True)
    assert ending.block == Block("response", (("hate", "high"),))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "Upstream idle timeout", "code": 502}, Transient),
        ({"message": "Too many requests", "code": 429}, RateLimited),
        ({"message": "Insufficient credits", "code": 402}, Misconfigured),
    ],
)
def test_an_error_beside_an_answer_is_a_failure_by_its_code(error: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=error["message"]):
        ending_of_choice({"finish_reason": "stop", "error": error}, {"content": "Half"}, nothing=False)


def test_an_error_beside_an_answer_that_names_a_filter_is_a_block() -> None:
    choice = {"finish_reason": "error", "error": {"message": "Output blocked by content filtering policy", "code": 400}}
    assert ending_of_choice(choice, {}, nothing=True).block == Block("response")


@pytest.mark.parametrize(("number", "finish"), [(1, "stop"), (2, "length"), (3, "blocked")])
def test_google_s_endings_by_number(number: int, finish: str) -> None:
    assert ending_of_candidate({"finishReason": number}, nothing=False).finish == finish


def test_a_picture_that_google_did_not_draw_may_be_asked_for_again() -> None:
    drew = ending_of_candidate({"finishReason": "NO_IMAGE"}, nothing=True)
    assert (drew.finish, drew.missing, drew.asks_again) == ("stop", "no picture (NO_IMAGE)", True)
    assert ending_of_candidate({"finishReason": "STOP"}, nothing=True) == Ending("stop")
    assert ending_of_candidate({"finishReason": "NO_IMAGE"}, nothing=False)[3:] == ("", False)
    with pytest.raises(Transient, match="IMAGE_OTHER"):
        ending_of_candidate({"finishReason": "IMAGE_OTHER"}, nothing=True)


@pytest.mark.parametrize(
    ("numbering", "number", "word", "category"),
    [
        (GEMINI_API, 8, "PROHIBITED_CONTENT", "harassment"),
        (VERTEX_AI, 10, "MODEL_ARMOR", "image_dangerous_content"),
        (VERTEX_AI, "12", "IMAGE_PROHIBITED_CONTENT", "image_dangerous_content"),
    ],
)
def test_google_s_numbers_are_those_of_the_api_that_sends_them(
    numbering: Numbering, number: object, word: str, category: str
) -> None:
    rated = [{"category": 7, "probability": 4, "blocked": True}]
    found = ending_of_candidate({"finishReason": number, "safetyRatings": rated}, nothing=True, numbering=numbering)
    assert (found.finish, found.reason) == ("blocked", f"finishReason {word} ({category}: high)")


def test_a_number_that_is_not_known_is_no_block() -> None:
    with pytest.raises(Transient, match="finishReason 99"):
        ending_of_candidate({"finishReason": 99}, nothing=True, numbering=VERTEX_AI)
    assert ending_of_prompt({"blockReason": 0}, VERTEX_AI) is None
    assert ending_of_prompt({"blockReason": "BLOCKED_REASON_UNSPECIFIED"}) is None
    found = ending_of_prompt({"blockReason": 2}, VERTEX_AI)
    assert found is not None
    assert found.reason == "blockReason OTHER"


def test_a_responses_object_that_is_not_done_is_no_answer() -> None:
    for body in ({"status": "in_progress"}, {"status": "failed"}, {"status": "cancelled"}):
        with pytest.raises(Transient, match=body["status"]):
            ending_of_response(body, False)
    with pytest.raises(Transient, match="broke"):
        ending_of_response({"status": "failed", "error": {"code": "server_error", "message": "it broke"}}, True)
    assert ending_of_response({"status": "completed"}, True) == Ending("stop")


@pytest.mark.parametrize(
    ("parts", "missing"),
    [([{"functionCall": {"name": "f"}}], TOOL_CALL), ([{"text": "Hm.", "thought": True}], ONLY_THOUGHTS), ([], EMPTY)],
)
async def test_nothing_of_gemini_s_is_named_by_what_stands_beside_it(parts: list[object], missing: str) -> None:
    candidate = {"content": {"parts": parts}, "finishReason": "STOP"}
    found = await examine_response(read_content_response({"candidates": [candidate]}, image_due=False), image_due=False)
    assert (found.missing, found.asks_again) == (missing, missing == EMPTY)


def test_what_azure_s_filter_took_is_a_block_whatever_the_ending_is_called() -> None:
    taken = {"violence": {"filtered": True, "severity": "high"}, "hate": {"filtered": False, "severity": "safe"}}
    choice = {"finish_reason": "stop", "content_filter_results": taken}
    assert ending_of_choice(choice, {"content": ""}, nothing=True).reason == "content_filter (violence: high)"
    assert ending_of_choice(choice, {"content": "Hi."}, nothing=False).finish == "stop"
