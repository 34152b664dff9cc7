"""Prompts that a vendor rewrote before its model drew: an answer that gives back another prompt than was sent says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

REVISED = ("revised_prompt", "actual_prompt", "enhanced_prompt", "optimized_prompt", "prompt")
"""Where OpenAI and xAI, DashScope and others give a prompt back; `prompt` alone is most often an echo."""
PLACES = ("data", "results", "predictions", "images", "output", "result")


def find_rewritten(body: object, sent: str) -> str:
    """The key under which an answer gives back another prompt than `sent`; empty if it gives none, or the same."""
    asked = " ".join(sent.split())
    for entry in _list_entries(body):
        for key in REVISED:
            given = entry.get(key)
            if isinstance(given, str) and given.strip() and " ".join(given.split()) != asked:
                return key
    return ""


def _list_entries(body: object, depth: int = 0) -> Iterator[dict[str, Any]]:
    """The objects of an answer that may name a prompt: itself, and its entries."""
    if isinstance(body, dict) and depth < 4:
        yield body
        for place in PLACES:
            yield from _list_entries(body.get(place), depth + 1)
    elif isinstance(body, list):
        for entry in body[:16]:
            yield from _list_entries(entry, depth + 1)
