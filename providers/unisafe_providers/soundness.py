"""Checks of other people's code: whether a provider can be asked, and whether an answer can be stored."""

from __future__ import annotations

import inspect
import operator
from dataclasses import replace
from typing import get_args

from unisafe_providers.base import Block, Capabilities, Finish, Image, Limits, Provider, ProviderError, Response, Stage, Usage

FINISHES = frozenset(get_args(Finish))
STAGES = frozenset(get_args(Stage))
WORDS = ("text", "reason", "thoughts", "missing", "model")
TOO_MANY = 2**31
"""Numbers from here on fit no column, and no call has them."""
PARTS = ("identity", "capabilities", "reported", "__aenter__", "__aexit__", "call")


def find_provider_fault(provider: object, key: str | None) -> str:
    """Why `provider` cannot be asked; empty if it can. `key` is the key that it was built with."""
    if inspect.iscoroutine(provider):
        provider.close()
        return "its entry point is an async function; what takes time belongs into __aenter__"
    missing = [part for part in PARTS if not hasattr(provider, part)]
    if missing:
        return f"{type(provider).__name__} lacks {', '.join(missing)}"
    assert isinstance(provider, Provider)
    if not isinstance(provider.identity, str) or not provider.identity:
        return "its identity is no text, or an empty one"
    if not isinstance(provider.capabilities, Capabilities):
        return f"its capabilities are a {type(provider.capabilities).__name__} and no Capabilities"
    if not isinstance(provider.reported, Limits):
        return f"its reported limits are a {type(provider.reported).__name__} and no Limits"
    if key and key in provider.identity:
        return "its identity holds the key, and identities are stored"
    return ""


def find_response_fault(response: object) -> str:
    """Why an answer cannot be stored; empty if it can."""
    if not isinstance(response, Response):
        return f"it answered with a {type(response).__name__}, which is no Response"
    for name in WORDS:
        if not isinstance(getattr(response, name), str):
            return f"its answer's {name} is no text"
    if not isinstance(response.finish, str) or response.finish not in FINISHES:
        return f"its answer's finish is {response.finish!r}; it may be {', '.join(sorted(FINISHES))}"
    images = response.images
    if not isinstance(images, tuple) or not all(isinstance(image, Image) and isinstance(image.digest, str) for image in images):
        return "its answer's images are no tuple of Image"
    if response.block is not None and not _is_sound_block(response.block):
        return "its answer's block is no Block"
    return ""


def _is_sound_block(block: object) -> bool:
    if not isinstance(block, Block) or not isinstance(block.stage, str) or block.stage not in STAGES:
        return False
    return isinstance(block.categories, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(word, str) for word in pair) for pair in block.categories
    )


def find_usage_fault(usage: object) -> str:
    """What makes no sense in a usage; empty if all makes sense."""
    if not isinstance(usage, Usage):
        return f"a {type(usage).__name__} that is no Usage"
    for name, number in (("tokens_in", usage.tokens_in), ("tokens_out", usage.tokens_out), ("images", usage.images)):
        if type(number) is not int or not 0 <= number < TOO_MANY:
            return f"{name} = {number!r:.40}"
    if usage.cost is not None and not _is_number(usage.cost):
        return f"cost = {usage.cost!r:.40}"
    return ""


def mend_usage(usage: object, images: int = 0) -> Usage:
    """A usage without the numbers that make no sense: they become unknown, `images` are those that came, the rest stays."""
    if not isinstance(usage, Usage):
        return Usage(images=images, reported=False)
    tokens_in, tokens_out, made = _to_whole(usage.tokens_in), _to_whole(usage.tokens_out), _to_whole(usage.images)
    cost = usage.cost if usage.cost is not None and _is_number(usage.cost) else None
    made = images if made is None else made
    if tokens_in is None or tokens_out is None:
        return Usage(images=made, cost=cost, reported=False)
    return Usage(tokens_in=tokens_in, tokens_out=tokens_out, images=made, cost=cost, reported=bool(usage.reported))


def mend_response(response: Response, notes: dict[str, str] | None = None) -> Response:
    """The answer with usage and latency that make sense; a number that makes none becomes unknown, and `notes` says so."""
    wrong = find_usage_fault(response.usage)
    if wrong:
        response = replace(response, usage=mend_usage(response.usage, len(response.images)))
        if notes is not None:
            notes.setdefault("usage", f"usage that makes no sense (such as {wrong}) is counted as unknown")
    if not _is_number(response.latency):
        response = replace(response, latency=0.0)
    return response


def mend_error(error: ProviderError) -> None:
    """Remove from an error whatever makes no sense in its attributes."""
    if error.partial is not None:
        error.partial = None if find_response_fault(error.partial) else mend_response(error.partial)
    if error.usage is not None and find_usage_fault(error.usage):
        error.usage = mend_usage(error.usage)
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None and not (_is_number(retry_after) or retry_after == float("inf")):
        error.retry_after = None  # type: ignore[attr-defined]


def _to_whole(number: object) -> int | None:
    """A number of tokens or images as an int; None if it cannot be one."""
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    try:
        whole = operator.index(number)  # type: ignore[arg-type]
    except TypeError:
        return None
    return whole if 0 <= whole < TOO_MANY else None


def _is_number(value: object) -> bool:
    """Whether the value is a number from 0 that a call can have cost or lasted."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < TOO_MANY
