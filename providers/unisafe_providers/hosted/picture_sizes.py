"""How a picture's size is told: pixels, or the nearest of the ratios that a vendor draws in."""

from __future__ import annotations

import math
from collections.abc import Sequence

from unisafe_providers.base import Rejected

NEAR = 0.05
"""How far the ratio that is asked for may be from one that a vendor draws in, as a part of it."""


def read_size(size: str) -> tuple[int, int]:
    """Width and height of `WIDTHxHEIGHT` in pixels. Raises Rejected if it is none."""
    width, _, height = size.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise Rejected(f"{size} is no size in pixels, such as 1024x1024; change generation.image_size")
    return int(width), int(height)


def reduce_ratio(size: str, by: str = ":") -> str:
    """The ratio of a size in its smallest numbers: `3:2` for 1536x1024."""
    width, height = read_size(size)
    common = math.gcd(width, height)
    return f"{width // common}{by}{height // common}"


def find_ratio(size: str, ratios: Sequence[str], vendor: str) -> str:
    """The nearest of `ratios`, written as `3:2` or `3x2`. Raises Rejected if none is near, naming those that there are."""
    width, height = read_size(size)
    asked = width / height

    def distance(ratio: str) -> float:
        across, up = read_size(ratio.replace(":", "x"))
        return abs(across / up / asked - 1)

    nearest = min(ratios, key=distance)
    if distance(nearest) > NEAR:
        raise Rejected(f"{vendor} draws no image of {size}: its ratios are {', '.join(ratios)}; change generation.image_size")
    return nearest
