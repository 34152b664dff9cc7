"""The earlier door to what vendors' words mean: endings are in endings.py, blocks in blocks.py, words in flattened.py."""

from __future__ import annotations

from collections.abc import Iterator

from providers.base import Response
from providers.blocks import block_of_error, filtered, worded
from providers.endings import Ending, of_candidate, of_choice, of_message, of_prompt, of_response
from providers.flattened import error_message, flattened

__all__ = [
    "Ending",
    "block_of",
    "codes_of",
    "error_message",
    "filtered",
    "of_candidate",
    "of_choice",
    "of_message",
    "of_prompt",
    "of_response",
    "worded",
]


def block_of(status: int, body: object) -> Response | None:
    """The blocked (or refused) Response that an error of `status` stands for; None when it is a failure."""
    return block_of_error(status, flattened(body))


def codes_of(body: object) -> Iterator[str]:
    """Every code, type and reason that an error carries, innermost too, in lower case."""
    yield from flattened(body).codes
