"""Pictures that a filter withheld within a 200: a flag marks each, and there may still be a picture, black or blurred.

Sources: xAI (respect_moderation), Ideogram (is_image_safe), fal (has_nsfw_concepts), Stability and Amazon Bedrock (finish_reason),
Google's Imagen (raiFilteredReason), ByteDance (an error in each entry), Black Forest Labs (status), their documents and packages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from unisafe_providers.anatomy import attach_partial, decode_base64_image
from unisafe_providers.base import Block, Image, Malformed, Response, Stage, Transient, Usage
from unisafe_providers.hosted.blocks import block_of_error, describe_block
from unisafe_providers.hosted.endings import WORDS, Ending
from unisafe_providers.hosted.failures import read_error
from unisafe_providers.hosted.flattened import flatten

Json = dict[str, Any]

FLAGS: dict[str, bool] = {
    "respect_moderation": False,
    "is_image_safe": False,
    "is_safe": False,
    "nsfw": True,
    "is_nsfw": True,
    "has_nsfw_concept": True,
    "nsfw_content_detected": True,
    "has_nsfw_content": True,
    "blocked": True,
    "filtered": True,
    "content_filtered": True,
    "moderated": True,
}
"""The words by which an entry says that its picture is not the model's answer."""
TRUTHS: dict[object, bool] = {True: True, False: False, "true": True, "false": False}
"""True and false as vendors write them; `1` and `0` are equal to Python's own."""
LISTS = ("has_nsfw_concepts", "nsfw_content_detected")
REASONS = ("block_reason", "blocked_reason")
"""Where an answer without pictures says why its request was blocked."""
FINISHES = ("finish_reason", "finishReason", "finish-reason")


def find_withheld_block(body: Json, index: int = 0) -> Ending | None:
    """The block for picture `index` of an images answer; None if it was not withheld."""
    entry = _entry(body, index)
    for flag, value in FLAGS.items():
        if _read_truth(entry.get(flag, body.get(flag))) is value:
            return _build_block("response", f"{flag} {str(value).lower()}")
    for flag in LISTS:
        told = body.get(flag)
        if _read_truth(_at(told, index) if isinstance(told, list) else told) is True:
            return _build_block("response", flag)
    if entry.get("raiFilteredReason"):
        return _build_block("response", f"raiFilteredReason: {entry['raiFilteredReason']}")
    for key in REASONS:
        if isinstance(body.get(key), str) and body[key]:
            return _build_block("request", f"{key}: {body[key]}")
    reason = _read_finish(body, entry, index)
    if WORDS.get(reason.lower()) == "blocked" or reason.lower().startswith("filter reason"):
        return _build_block("request" if "prompt" in reason.lower() or "input" in reason.lower() else "response", reason)
    if entry.get("error") or str(body.get("status")).endswith("Moderated"):
        answered = block_of_error(0, flatten({"error": entry["error"]} if entry.get("error") else body))
        return Ending("blocked", answered.reason, answered.block) if isinstance(answered, Response) else None
    return None


def _read_finish(body: Json, entry: Json, index: int) -> str:
    """How one picture ended, in its vendor's word; empty if nothing says it."""
    told = [entry.get(name) for name in FINISHES] + [_at(body.get("finish_reasons"), index)]
    return str(next(filter(None, [*told, *(body.get(name) for name in FINISHES)]), ""))


def _read_truth(value: object) -> bool | None:
    """True or false as a vendor writes it; None for anything else."""
    return TRUTHS.get(value.lower() if isinstance(value, str) else value) if isinstance(value, str | int) else None


# ---------------------------------------------------------------- an answer that holds several pictures


def build_pictures_response(
    body: Json,
    places: Sequence[object],
    picture: Callable[[object], Image] = decode_base64_image,
    *,
    usage: Usage,
    model: str = "",
    withheld: Sequence[Ending] = (),
    title: str = "the endpoint",
) -> Response:
    """The answer that some places of pictures are: those that no filter withheld, or the block if there is none.

    We ask for one picture. If more entries come, the good ones are kept, and `reason` says how many were withheld and why.

    Args:
        places: base64 or an address for each entry of the answer; None where it holds no picture.
        picture: turns a place into an image.
        withheld: what the answer says beside its entries about pictures that are not there.

    Raises the error that an entry holds if there is no picture and no block, and Malformed if nothing says why there is none.
    """
    numbers = range(max(1, len(places)))
    blocks = {number: block for number in numbers if (block := find_withheld_block(body, number)) is not None}
    broken = {
        number: word
        for number in numbers
        if WORDS.get((word := _read_finish(body, _entry(body, number), number)).lower()) == "failed"
    }
    stopped = [*blocks.values(), *withheld]
    kept = [place for number, place in enumerate(places) if place and number not in blocks and number not in broken]
    if kept:
        with attach_partial(Response(usage=usage)):
            images = tuple(picture(place) for place in kept)
        of = len(kept) + len(stopped)
        reason = f"{len(stopped)} of {of} pictures withheld: {stopped[0].reason}" if stopped else ""
        return Response(images=images, reason=reason, usage=replace(usage, images=len(images)), model=model)
    if stopped:
        usage = replace(usage, images=0)
        return Response(finish="blocked", reason=stopped[0].reason, block=_agree(stopped), usage=usage, model=model)
    with attach_partial(Response(usage=replace(usage, images=0))):
        if broken:
            raise Transient(f"{title} broke off ({next(iter(broken.values()))[:80]})")
        for number in range(len(places)):
            if error := _entry(body, number).get("error"):
                found = read_error(title, 200, {"error": error}, {}, model or "the model")
                raise found if not isinstance(found, Response) else Malformed(found.reason)
        if places:
            raise Malformed(f"{title} answered without any image data")
        raise Malformed("no picture in the answer (an empty list), and nothing says why")


def _agree(stopped: Sequence[Ending]) -> Block | None:
    """The block of several pictures: its stage if all have the same, and the categories of all."""
    stages = {ending.block.stage if ending.block else None for ending in stopped}
    stage = stages.pop()
    if stage is None or stages:
        return None
    return Block(stage, tuple(dict.fromkeys(hit for ending in stopped if ending.block for hit in ending.block.categories)))


# ---------------------------------------------------------------- where things stand


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
