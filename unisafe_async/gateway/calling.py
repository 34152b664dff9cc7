"""One call of a provider that may be anybody's: what comes out is a sound Response or a ProviderError, whatever it does."""

from __future__ import annotations

import math
from typing import get_args

from providers.base import Block, Finish, Image, Provider, ProviderError, Rejected, Request, Response, Usage

FINISHES = frozenset(get_args(Finish))


async def called(provider: Provider, request: Request) -> Response:
    """The provider's answer. An error that it should not raise, or an answer that is none, is Rejected: one item fails."""
    try:
        response: object = await provider.call(request)
    except ProviderError:
        raise
    except Exception as error:
        raise Rejected(f"the provider broke: {type(error).__name__}: {error}") from error
    wrong = _wrong(response)
    if wrong:
        raise Rejected(f"the provider broke: {wrong}")
    assert isinstance(response, Response)
    return response


def _wrong(response: object) -> str:
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
