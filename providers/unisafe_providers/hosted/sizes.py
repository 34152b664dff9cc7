"""A picture's size, `WIDTHxHEIGHT`, in the ways that vendors ask for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from unisafe_providers.base import Misconfigured

NEAR = 0.08
"""How far a ratio may be off (as a share) and still be told by its neighbour."""


def read_size(size: str) -> tuple[int, int]:
    """Width and height in pixels."""
    width, _, height = size.partition("x")
    return int(width), int(height)


def find_ratio(size: str, allowed: Sequence[str], title: str) -> str:
    """The allowed ratio, such as `16:9`, that is nearest to a size. Raises Misconfigured if none is near."""
    width, height = read_size(size)
    wanted = math.log(max(width, 1) / max(height, 1))
    nearest = min(allowed, key=lambda ratio: abs(_measure(ratio) - wanted))
    if not width or not height or abs(_measure(nearest) - wanted) > NEAR:
        words = f"{title} draws no image of {size}: its ratios are {', '.join(allowed)}; change generation.image_size"
        raise Misconfigured(words, needs="images out")
    return nearest


def _measure(ratio: str) -> float:
    width, height = map(float, ratio.split(":"))
    return math.log(width / height)


def reduce_ratio(size: str) -> str:
    """The ratio of a size in its smallest numbers: `3:2` for 1536x1024."""
    width, height = read_size(size)
    common = math.gcd(width, height) or 1
    return f"{width // common}:{height // common}"
