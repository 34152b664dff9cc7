"""A picture that a filter withheld, or put a black one for, is a block and no answer of the model."""

from __future__ import annotations

from typing import Any

import pytest
from unisafe_providers.hosted.withheld import find_withheld_block


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
