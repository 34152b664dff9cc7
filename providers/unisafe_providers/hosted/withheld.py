"""Pictures that a filter withheld within a 200: a flag marks each, and there may still be a picture, black or blurred.

Sources: xAI (respect_moderation), Ideogram (is_image_safe), fal (has_nsfw_concepts), Stability and Amazon Bedrock (finish_reason),
Google's Imagen (raiFilteredReason), ByteDance (an error in each entry), Black Forest Labs (status), their documents and packages.
"""

from __future__ import annotations

from typing import Any

from unisafe_providers.base import Block, Response, Stage
from unisafe_providers.hosted.blocks import block_of_error, describe_block
from unisafe_providers.hosted.endings import Ending
from unisafe_providers.hosted.flattened import flatten

Json = dict[str, Any]

FLAGS: dict[str, object] = {"respect_moderation": False, "is_image_safe": False, "nsfw": True, "has_nsfw_concept": True}
"""The words by which an entry says that its picture is not the model's answer."""
LISTS = ("has_nsfw_concepts", "nsfw_content_detected")


def find_withheld_block(body: Json, index: int = 0) -> Ending | None:
    """The block for picture `index` of an images answer; None if it was not withheld."""
    entry = _entry(body, index)
    for flag, value in FLAGS.items():
        if entry.get(flag) is value:
            return _build_block("response", f"{flag} {str(value).lower()}")
    for flag in LISTS:
        flags = body.get(flag)
        if isinstance(flags, list) and index < len(flags) and flags[index] is True:
            return _build_block("response", flag)
    if entry.get("raiFilteredReason"):
        return _build_block("response", f"raiFilteredReason: {entry['raiFilteredReason']}")
    reason = str(
        entry.get("finish_reason")
        or entry.get("finishReason")
        or _at(body.get("finish_reasons"), index)
        or body.get("finish_reason")
        or ""
    )
    if reason.upper() == "CONTENT_FILTERED" or reason.lower().startswith("filter reason"):
        return _build_block("request" if "prompt" in reason.lower() or "input" in reason.lower() else "response", reason)
    if entry.get("error") or str(body.get("status")).endswith("Moderated"):
        answered = block_of_error(0, flatten({"error": entry["error"]} if entry.get("error") else body))
        return Ending("blocked", answered.reason, answered.block) if isinstance(answered, Response) else None
    return None


def _entry(body: Json, index: int) -> Json:
    for key in ("data", "predictions", "artifacts", "images"):
        entry = _at(body.get(key), index)
        if isinstance(entry, dict):
            return entry
    return {}


def _at(some: object, index: int) -> object:
    return some[index] if isinstance(some, list) and index < len(some) else None


def _build_block(stage: Stage, reason: str) -> Ending:
    return Ending("blocked", describe_block(reason[:300], ()), Block(stage))
