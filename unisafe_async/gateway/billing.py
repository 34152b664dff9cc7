"""The cost of calls: prices, estimates before a call, and estimates for calls without reported usage."""

from __future__ import annotations

import math
from dataclasses import dataclass

from providers.base import Request, Response, Usage

TOKENS_AN_IMAGE = 1_000
"""Estimated input tokens of an image until the true number is known; vendors count 85 to 1,600."""
LETTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens in and out, and per image made; None if no price is known."""

    tokens_in: float | None = None
    tokens_out: float | None = None
    image: float | None = None

    def times(self, factor: float) -> Prices:
        """All prices times a discount."""
        return Prices(*(None if price is None else price * factor for price in (self.tokens_in, self.tokens_out, self.image)))

    def cost(self, tokens_in: float, tokens_out: float, images: float) -> float | None:
        if self.tokens_in is None and self.tokens_out is None and self.image is None:
            return None
        return tokens_in * (self.tokens_in or 0) / 1e6 + tokens_out * (self.tokens_out or 0) / 1e6 + images * (self.image or 0)

    def most(self, request: Request) -> float:
        """The most dollars that a call can cost; 0 if no price is known."""
        tokens_in = (len(request.system) + len(request.text)) / 2 + 2 * TOKENS_AN_IMAGE * len(request.images)
        tokens_out = float(request.max_tokens or 4_096)
        return self.cost(tokens_in, tokens_out, int(request.image_due)) or 0.0


UNPRICED = Prices()


def estimated_in(request: Request) -> float:
    """An estimate of a request's tokens."""
    return (len(request.system) + len(request.text)) / LETTERS_A_TOKEN + TOKENS_AN_IMAGE * len(request.images)


def estimated(request: Request, response: Response) -> Usage:
    """Estimated usage of a call that reported none, from request and answer; a reported cost is kept."""
    tokens_out = (len(response.text) + len(response.thoughts)) / LETTERS_A_TOKEN
    images = response.usage.images or len(response.images)
    return Usage(math.ceil(estimated_in(request)), math.ceil(tokens_out), images, response.usage.cost, reported=False)
