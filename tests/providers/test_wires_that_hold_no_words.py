"""Answers of Google and Anthropic that ended well and hold no words: the cause is named, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest
from unisafe_providers.anatomy import AUDIO, CUT_OFF, EMPTY, ONLY_THOUGHTS, TOOL_CALL, examine_response
from unisafe_providers.hosted.anthropic import read_message_response
from unisafe_providers.hosted.gemini import read_content_response


def candidate(*parts: dict[str, Any], written: int = 3) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 0, "thoughtsTokenCount": written},
    }


@pytest.mark.parametrize(
    ("body", "missing", "again"),
    [
        (candidate({"text": "Hm.", "thought": True}), ONLY_THOUGHTS, False),
        (candidate({"functionCall": {"name": "look", "args": {}}}), TOOL_CALL, False),
        (candidate({"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}), AUDIO, False),
        (candidate(written=90), "no words came, though the endpoint counted 90 tokens of them", False),
        (candidate(), EMPTY, True),
    ],
)
async def test_why_google_s_answer_holds_no_words(body: dict[str, Any], missing: str, again: bool) -> None:
    found = await examine_response(read_content_response(body, image_due=False), image_due=False)
    assert (found.missing, found.asks_again, found.text) == (missing, again, "")


@pytest.mark.parametrize(("stop", "missing"), [("end_turn", ONLY_THOUGHTS), ("max_tokens", CUT_OFF)])
async def test_thoughts_that_anthropic_seals_are_thoughts(stop: str, missing: str) -> None:
    body = {"content": [{"type": "redacted_thinking", "data": "xx"}], "stop_reason": stop, "usage": {"input_tokens": 5}}
    found = await examine_response(read_message_response(body), image_due=False)
    assert (found.missing, found.asks_again) == (missing, False)
