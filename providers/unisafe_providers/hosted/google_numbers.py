"""Google's words by their numbers: clients in the manner of gRPC (`$alt=json;enum-encoding=int`) get numbers instead of words.

The Gemini API and Vertex AI number the same words in different ways. Sources: the Python packages google-ai-generativelanguage and
google-cloud-aiplatform (FinishReason, BlockedReason, HarmCategory, HarmProbability), read on 27 November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Json = dict[str, Any]


class Numbering(NamedTuple):
    """The words of one API, each at the place of its number; an empty place is a number that is not known."""

    finishes: Sequence[str]
    blocks: Sequence[str]
    categories: Sequence[str]


def _split(words: str) -> tuple[str, ...]:
    return tuple("" if word == "-" else word for word in words.split())


PROBABILITIES = _split("HARM_PROBABILITY_UNSPECIFIED NEGLIGIBLE LOW MEDIUM HIGH")
GEMINI_API = Numbering(
    finishes=_split(
        "FINISH_REASON_UNSPECIFIED STOP MAX_TOKENS SAFETY RECITATION OTHER LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII "
        "MALFORMED_FUNCTION_CALL IMAGE_SAFETY UNEXPECTED_TOOL_CALL"
    ),
    blocks=_split("BLOCK_REASON_UNSPECIFIED SAFETY OTHER BLOCKLIST PROHIBITED_CONTENT IMAGE_SAFETY"),
    categories=_split(
        "HARM_CATEGORY_UNSPECIFIED - - - - - - HARASSMENT HATE_SPEECH SEXUALLY_EXPLICIT DANGEROUS_CONTENT CIVIC_INTEGRITY"
    ),
)
VERTEX_AI = Numbering(
    finishes=_split(
        "FINISH_REASON_UNSPECIFIED STOP MAX_TOKENS SAFETY RECITATION OTHER BLOCKLIST PROHIBITED_CONTENT SPII "
        "MALFORMED_FUNCTION_CALL MODEL_ARMOR IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION IMAGE_OTHER "
        "UNEXPECTED_TOOL_CALL NO_IMAGE"
    ),
    blocks=_split("BLOCKED_REASON_UNSPECIFIED SAFETY OTHER BLOCKLIST PROHIBITED_CONTENT"),
    categories=_split(
        "HARM_CATEGORY_UNSPECIFIED HATE_SPEECH DANGEROUS_CONTENT HARASSMENT SEXUALLY_EXPLICIT CIVIC_INTEGRITY IMAGE_HATE "
        "IMAGE_DANGEROUS_CONTENT IMAGE_HARASSMENT IMAGE_SEXUALLY_EXPLICIT JAILBREAK"
    ),
)


def name_numbers(place: Json, numbering: Numbering) -> Json:
    """A candidate or a promptFeedback with words for its numbers; the same object if it has none."""
    named: Json = {}
    for key, words in (("finishReason", numbering.finishes), ("blockReason", numbering.blocks)):
        if _is_number(place.get(key)):
            named[key] = _name(place[key], words)
    ratings = place.get("safetyRatings")
    if isinstance(ratings, list) and any(_has_numbers(rating) for rating in ratings):
        named["safetyRatings"] = [_name_rating(rating, numbering) for rating in ratings]
    return {**place, **named} if named else place


def _has_numbers(rating: object) -> bool:
    return isinstance(rating, Mapping) and any(_is_number(rating.get(key)) for key in ("category", "probability"))


def _name_rating(rating: Any, numbering: Numbering) -> Any:  # noqa: ANN401 whatever stands in the list
    if not _has_numbers(rating):
        return rating
    lists = (("category", numbering.categories), ("probability", PROBABILITIES))
    return {**rating, **{key: _name(rating[key], words) for key, words in lists if _is_number(rating.get(key))}}


def _is_number(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and value.isdecimal())


def _name(number: int | str, words: Sequence[str]) -> str:
    """The word; the number itself where the list has none."""
    place = int(number)
    return (words[place] if 0 <= place < len(words) else "") or str(number)
