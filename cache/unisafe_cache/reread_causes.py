"""What newer rules of reading found in stored answers, by cause, and the words for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

THOUGHTS, PICTURE_FOUND, MEDIA_TYPE, NO_PICTURE = (
    "thoughts taken off",
    "pictures found in the text",
    "pictures of another format than was stored",
    "broken pictures left out",
)
ONLY_THOUGHTS, BROKEN, TOKENS, EMPTY, CUT = (
    "answers of thoughts alone",
    "pictures that cannot be decoded",
    "empty answers with completion tokens",
    "empty answers",
    "answers cut off before the first word",
)
AGAIN = frozenset({ONLY_THOUGHTS, BROKEN, TOKENS, EMPTY})
"""Results without anything to judge: the model is asked again."""
UNCHANGED = "unchanged"


def reread_words(counts: Mapping[str, int]) -> str:
    """A line for people about the answers that were read anew; empty if nothing changed."""
    changed = {cause: number for cause, number in counts.items() if cause != UNCHANGED and number}
    total = sum(changed.values())
    if not total:
        return ""
    parts = [f"{cause} {number:,}{' (asked again)' if cause in AGAIN else ''}" for cause, number in Counter(changed).most_common()]
    noun = "stored answer was" if total == 1 else "stored answers were"
    return f"{total:,} {noun} read by newer rules: {', '.join(parts)}"
