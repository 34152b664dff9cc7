"""What calls cost: estimates before a call and of one whose usage nobody reported."""

from __future__ import annotations

import math

from unisafe_providers.base import Request, Response, Usage
from unisafe_providers.prices import Price

TOKENS_AN_IMAGE = 1_000
"""Estimated input tokens of an image until the true number is known; vendors count 85 to 1,600."""
LETTERS_A_TOKEN = 4


def most_cost(price: Price, request: Request) -> float:
    """The most dollars that a call can cost; 0 if no price is known."""
    tokens_in = (len(request.system) + len(request.text)) / 2 + 2 * TOKENS_AN_IMAGE * len(request.images)
    tokens_out = float(request.max_tokens or 4_096)
    return price.cost(tokens_in, tokens_out, int(request.image_due)) or 0.0


def estimate_tokens(request: Request) -> float:
    """An estimate of a request's tokens."""
    return (len(request.system) + len(request.text)) / LETTERS_A_TOKEN + TOKENS_AN_IMAGE * len(request.images)


def estimate_usage(request: Request, response: Response) -> Usage:
    """Estimated usage of a call that reported none, from request and answer; a reported cost is kept."""
    tokens_out = (len(response.text) + len(response.thoughts)) / LETTERS_A_TOKEN
    images = response.usage.images or len(response.images)
    return Usage(
        tokens_in=math.ceil(estimate_tokens(request)),
        tokens_out=math.ceil(tokens_out),
        images=images,
        cost=response.usage.cost,
        reported=False,
    )
