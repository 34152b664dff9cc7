"""Which of the names that may stand somewhere is nearest to the one that does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(name: str, among: Iterable[str]) -> str:
    """`; did you mean NAME?`, to end a message with; empty where no name is near."""
    near = difflib.get_close_matches(name, list(among), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""
