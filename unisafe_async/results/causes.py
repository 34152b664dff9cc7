"""Groups error messages by cause, so that a thousand messages become a few: details of a single item are removed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

OF_ONE_CALL = (
    (re.compile(r"https?://\S+"), "URL"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.I), "ID"),
    (re.compile(r"\b(?:req|request|chatcmpl|resp|msg|call|gen|cmpl|batch|run|trace|ray)[-_:][\w-]*\d[\w-]*", re.I), "ID"),
    (re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{16,}\b", re.I), "ID"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "N"),
)
"""Details that differ between calls, and their replacements, so that messages of one cause become equal; the first match wins."""

CUT_OFF, UNFINISHED, ONLY_THOUGHTS, UNCOUNTED, EMPTY = (
    "cut off at max_tokens",
    "cut off in its thoughts",
    "only thoughts, as in reasoning_content",
    "no words, though tokens were counted",
    "empty",
)
SHORT = (
    (re.compile(r"cut off in its thoughts", re.I), UNFINISHED),
    (re.compile(r"cut off .*before the first word", re.I), CUT_OFF),
    (re.compile(r"reasoning_content|\bthoughts?\b|<think", re.I), ONLY_THOUGHTS),
    (re.compile(r"no words came, though", re.I), UNCOUNTED),
    (re.compile(r"\btool call\b", re.I), "a tool call"),
    (re.compile(r"\baudio\b", re.I), "only audio"),
    (re.compile(r"\bno picture\b", re.I), "no picture"),
    (re.compile(r"\bempty\b", re.I), EMPTY),
)
"""Short names for the causes of an answer with nothing to judge, for a line with many parts."""

LONGEST = 48


def fold_message(words: str, item: str = "") -> str:
    """`words` without details of one call or of `item`: equal for two messages of one cause."""
    text = " ".join((words.replace(item, "ITEM") if item else words).split())
    for pattern, sign in OF_ONE_CALL:
        text = pattern.sub(sign, text)
    return text.lower()


def cause_of(words: str) -> str:
    """Why an answer holds nothing to judge, in a few words; an unknown message is shortened."""
    text = " ".join(words.split())
    known = next((short for pattern, short in SHORT if pattern.search(text)), None)
    return known or (text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…") or "no cause given"


def count_causes(counted: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Causes with the sums of their counts, the most frequent first."""
    total: Counter[str] = Counter()
    for cause, number in counted:
        total[cause] += number
    return tuple(sorted(total.items(), key=lambda one: (-one[1], one[0])))
