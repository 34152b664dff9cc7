"""What a model's calls cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens in and out, and per image made; None where none is known or the vendor charges otherwise."""

    tokens_in: float | None = None
    tokens_out: float | None = None
    image: float | None = None

    def times(self, factor: float) -> Price:
        """All three by a discount."""
        return Price(*(None if price is None else price * factor for price in (self.tokens_in, self.tokens_out, self.image)))

    def cost(self, tokens_in: float, tokens_out: float, images: float) -> float | None:
        """US dollars of so many tokens and images; None where no price is known."""
        if self.tokens_in is None and self.tokens_out is None and self.image is None:
            return None
        return tokens_in * (self.tokens_in or 0) / 1e6 + tokens_out * (self.tokens_out or 0) / 1e6 + images * (self.image or 0)


UNPRICED = Price()
FREE = Price(0.0, 0.0, 0.0)
