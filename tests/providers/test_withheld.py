"""A picture that a filter withheld, or put a black one for, is a block and no answer of the model."""

from __future__ import annotations

from typing import Any

import pytest
from unisafe_providers.base import Block, Image, Malformed, Transient, Usage
from unisafe_providers.hosted.withheld import build_pictures_response, find_withheld_block


@pytest.mark.parametrize(
    ("body", "stage"),
    [
        ({"data": [{"url": "", "respect_moderation": False}]}, "response"),
        ({"data": [{"url": None, "is_image_safe": False}]}, "response"),
        ({"images": [{"url": "x"}], "has_nsfw_concepts": [True]}, "response"),
        ({"image": "x", "finish_reason": "CONTENT_FILTERED"}, "response"),
        ({"finish_reasons": ["Filter reason: prompt"]}, "request"),
        ({"predictions": [{"raiFilteredReason": "blocked, 5806"}]}, "response"),
        ({"data": [{"error": {"code": "OutputImageSensitiveContentDetected", "message": "x"}}]}, "response"),
        ({"data": [{"url": "x", "is_image_safe": "false"}]}, "response"),
        ({"images": [{"url": "x"}], "nsfw_content_detected": ["true"]}, "response"),
        ({"images": [{"url": "x", "nsfw": 1}]}, "response"),
        ({"data": [], "block_reason": "the prompt"}, "request"),
        ({"artifacts": [{"base64": "x", "finishReason": "CONTENT_FILTERED"}]}, "response"),
        ({"images": ["x"], "finish_reasons": ["Filter reason: input image"]}, "request"),
        ({"status": "Request Moderated", "details": {"Moderation Reasons": ["Sexual Content"]}}, "request"),
    ],
)
def test_a_withheld_picture_is_blocked(body: dict[str, Any], stage: str) -> None:
    ending = find_withheld_block(body)
    assert ending is not None
    assert ending.finish == "blocked"
    assert ending.block is not None
    assert ending.block.stage == stage


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"url": "x", "respect_moderation": True}]},
        {"data": [{"b64_json": "x"}], "has_nsfw_concepts": [False]},
        {"data": []},
        {"data": None, "status": "Ready"},
        {"data": [{"error": {"code": "InternalServiceError", "message": "x"}}]},
    ],
)
def test_other_answers_are_not(body: dict[str, Any]) -> None:
    assert find_withheld_block(body) is None


# ---------------------------------------------------------------- several pictures in one answer

SEEN = Image.from_bytes(b"seen")
ARK = {"error": {"code": "OutputImageSensitiveContentDetected.Violence", "message": "x"}}
ARK_INPUT = {"error": {"code": "InputTextSensitiveContentDetected.Hate", "message": "x"}}
FAILED = {"error": {"code": "InternalServiceError", "message": "try again"}}


def read(*entries: dict[str, Any], **more: Any) -> Any:
    places = [entry.get("url") for entry in entries]
    return build_pictures_response({"data": [*entries], **more}, places, lambda _: SEEN, usage=Usage(images=len(entries)))


def test_good_pictures_are_kept_and_the_withheld_are_noted() -> None:
    kept = read(ARK, {"url": "a"}, {"url": "b", "respect_moderation": False})
    assert (kept.images, kept.finish, kept.usage.images) == ((SEEN,), "stop", 1)
    assert kept.reason.startswith("2 of 3 pictures withheld: OutputImageSensitiveContentDetected.Violence")
    assert read({"url": "a"}, FAILED).reason == ""


def test_a_block_of_all_has_the_stage_that_all_have() -> None:
    blocked = read(ARK, ARK)
    assert (blocked.finish, blocked.block, blocked.usage.images) == ("blocked", Block("response", (("Violence", ""),)), 0)
    assert (read(ARK, ARK_INPUT).finish, read(ARK, ARK_INPUT).block) == ("blocked", None)
    assert read(ARK, FAILED).finish == "blocked"


@pytest.mark.parametrize(
    ("entries", "kind", "words"),
    [
        ([FAILED], Transient, "try again"),
        ([{}], Malformed, "without any image data"),
        ([], Malformed, "an empty list"),
        ([{"url": "a", "finish_reason": "ERROR"}], Transient, "broke off"),
    ],
)
def test_what_nobody_explains_is_a_failure_and_no_block(entries: list[dict[str, Any]], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        read(*entries)
