"""Google's numbers for what a filter of its image models found: each tells the category, and whether prompt or picture was meant.

Source: docs.cloud.google.com, "Responsible AI and image generation", safety filter code categories.
"""

from __future__ import annotations

import re

from unisafe_providers.base import Stage

SUPPORT_CODE = re.compile(r"\b(?:support|error) codes?: ?(\d{8})\b", re.I)
CATEGORIES: tuple[tuple[str, str, str], ...] = (
    ("child", "58061214", "17301594"),
    ("celebrity", "29310472", "15236754"),
    ("dangerous content", "62263041", ""),
    ("hate", "57734940", "22137204"),
    ("other", "42876398", "29578790 74803281"),
    ("people", "", "39322892"),
    ("personal information", "92201652", ""),
    ("prohibited content", "89371032", "49114662 72817394"),
    ("sexual", "90789179", "63429089 43188360"),
    ("toxic", "78610348", ""),
    ("violence", "61493863", "56562880"),
    ("vulgar", "32635315", ""),
)
"""A category, the numbers of its filters of prompts, and those of its filters of pictures."""
MEANINGS: dict[str, tuple[Stage, str]] = {
    **{number: ("request", category) for category, asked, _ in CATEGORIES for number in asked.split()},
    **{number: ("response", category) for category, _, drawn in CATEGORIES for number in drawn.split()},
}


def read_support_code(message: str) -> tuple[Stage, str] | None:
    """The stage and the category that the number in a message stands for; None without a known one."""
    found = SUPPORT_CODE.search(message)
    return MEANINGS.get(found[1]) if found is not None else None
