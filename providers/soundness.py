"""Whether what others wrote is what it should be: a provider that can be asked, an answer that can be stored."""

from __future__ import annotations

import inspect
import math
from typing import get_args

from providers.base import Block, Capabilities, Finish, Image, Limits, Provider, Response, Usage

FINISHES = frozenset(get_args(Finish))
PARTS = ("identity", "capabilities", "reported", "__aenter__", "__aexit__", "call")


def wrong_with_provider(provider: object, key: str | None) -> str:
    """Why `provider` cannot be asked; empty when it can. `key` is the one it was made with."""
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


def wrong_with_response(response: object) -> str:
    """What keeps an answer from being stored; empty when nothing does."""
    if not isinstance(response, Response):
        return f"it answered with a {type(response).__name__}, which is no Response"
    if not isinstance(response.text, str) or not isinstance(response.reason, str):
        return "its answer's text or reason is no text"
    if response.finish not in FINISHES:
        return f"its answer's finish is {response.finish!r}; it may be {', '.join(sorted(FINISHES))}"
    if not isinstance(response.images, tuple) or not all(isinstance(image, Image) for image in response.images):
        return "its answer's images are no tuple of Image"
    if response.block is not None and not isinstance(response.block, Block):
        return "its answer's block is no Block"
    usage = response.usage
    if not isinstance(usage, Usage) or not all(
        type(number) is int and number >= 0 for number in (usage.tokens_in, usage.tokens_out, usage.images)
    ):
        return "its answer's usage is no Usage of whole numbers from 0"
    for number in (response.latency, 0.0 if usage.cost is None else usage.cost):
        if not isinstance(number, int | float) or not 0 <= number < math.inf:
            return f"its answer's latency or cost is {number!r}"
    return ""
