"""Which of the names that may stand somewhere is nearest to the one that does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(name: str, among: Iterable[str]) -> str:
    """`; did you mean NAME?`, to end a message with; empty where no name is near."""
    near = find_nearest(name, among)
    return f"; did you mean {near}?" if near else ""


def find_nearest(name: str, among: Iterable[str]) -> str:
    """The nearest name; empty where none is near."""
    return next(iter(difflib.get_close_matches(name, list(among), 1, 0.6)), "")
