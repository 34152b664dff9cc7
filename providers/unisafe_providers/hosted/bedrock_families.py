"""Which of Amazon Bedrock's models give images only, and what their bodies look like, as their ids show."""

from __future__ import annotations

import re
from typing import Literal

Family = Literal["nova-canvas", "stability", "sdxl"]
FAMILIES: tuple[tuple[re.Pattern[str], Family], ...] = (
    (re.compile(r"amazon\.(nova-canvas|titan-image)"), "nova-canvas"),
    (re.compile(r"stability\.stable-diffusion-xl"), "sdxl"),
    (re.compile(r"stability\."), "stability"),
)
"""How an id, also one with a region before it or within an ARN, shows what bodies look like; Titan's are Nova Canvas's."""


def family_of(model: str) -> Family | None:
    """What the bodies of a model that gives images only look like, as its id shows; None for any other id."""
    return next((family for pattern, family in FAMILIES if pattern.search(model)), None)
