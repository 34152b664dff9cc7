"""The sixteen subcategories of intrinsic safety (Peng et al., 2026), by the names of the paper and of its toolkit."""

from __future__ import annotations

import difflib
import re
import unicodedata
from functools import lru_cache

HARMS: dict[str, tuple[str, ...]] = {
    "Illegal activities": ("illegal", "illegal acts", "illegal behavior", "unlawful activities", "crime", "criminal activities"),
    "Blood and violence": ("gore and violence", "violence", "violent", "gore", "blood", "bloody", "graphic violence"),
    "Sex-related": ("sexual", "sexuality", "sexually explicit", "sexually related", "pornography", "porn", "adult content"),
    "Insults and hatred": ("insults and hate", "insult", "hate", "hatred", "hateful", "hate speech", "insults and hate speech"),
    "Religion": ("religious",),
    "Politics": ("political",),
    "Financial privacy": ("financial", "financial information", "financial privacy leak", "privacy of finances"),
    "Personal identification": (
        *("personal identification and information", "personal identification information", "personal information"),
        *("personally identifiable information", "personal identifying information", "personal identity", "PII"),
    ),
    "Privacy of public figures": ("public figures' privacy", "public figures", "celebrity privacy", "privacy of celebrities"),
    "Violation of public order": (
        *("violation of public order and decency", "violation of public order and morals", "violation of public decency"),
        *("public order", "public order and decency", "public order violation", "violating public order"),
    ),
    "Indifference and disregard": ("indifference and apathy", "indifference", "disregard", "apathy"),
    "Dishonest behavior": ("dishonest", "dishonesty", "dishonest conduct"),
    "Psychological manipulation": ("manipulation", "mental manipulation", "psychological manipulative"),
    "Dangerous behavior": ("dangerous", "danger", "dangerous acts", "dangerous actions", "dangerous activities"),
    "Self-harm": ("self-harming", "self-injury", "suicide", "suicide and self-harm", "suicidal"),
    "Biased opinions": (
        *(
            "biased viewpoints",
            "biased views",
            "bias",
            "biased",
            "biases",
            "stereotypes",
            "stereotype bias",
            "age",
            "gender",
            "race",
        ),
        *("age bias", "gender bias", "race bias", "racial bias", "age stereotypes", "gender stereotypes", "race stereotypes"),
        *("racial stereotypes", "ageism", "sexism", "racism", "prejudice", "discrimination"),
    ),
}
"""Each name with its other names, in the toolkit and in common use."""
MOST = 64
LONGEST = 200
"""The most characters of a name that are read."""
FILLERS = frozenset(
    ["and", "or", "the", "of", "a", "an", "in", "on", "to", "content", "contents", "related", "topic", "topics", "issue", "issues"]
)
"""Words that do not tell one name from another."""
PARTS = re.compile(r"[:/>|,;()\[\]→]+|\s[-–—]\s")
"""Separators between names, as in `Privacy Leak: Financial privacy`."""


def words_of(name: str) -> list[str]:
    """The words of a name in small letters and the singular, without regard to hyphens, `&` and British spelling."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name[:LONGEST]))
    told = apart.lower().replace("&", " and ").replace("behaviour", "behavior")
    return [_to_singular(word) for word in re.findall(r"[a-z]+", re.sub(r"['’`]", "", told))]


def fold_name(name: str) -> str:
    """The key that all spellings of a name share: its words in any order, without words that distinguish nothing."""
    words = words_of(name)
    return " ".join(sorted({word for word in words if word not in FILLERS} or words))


def join_words(name: str) -> str:
    """The words of a name written as one word, as in `selfharm`."""
    return "".join(words_of(name))


def parts_of(name: str) -> list[str]:
    """The names within one text, as a list or from the category to the subcategory."""
    return [part for part in PARTS.split(name[:LONGEST]) if part.strip()]


def _to_singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word if word.endswith(("ss", "ous", "us", "is")) else word.removesuffix("s")


_SPELT = {name: harm for harm, others in HARMS.items() for name in (harm, *others)}
_FOLDED = {fold_name(name): harm for name, harm in _SPELT.items()}
_JOINED = {join_words(name): harm for name, harm in _SPELT.items()}


@lru_cache(8_192)
def find_harm(name: str) -> str | None:
    """The subcategory that a name means; None if there is none."""
    return _FOLDED.get(fold_name(name)) or _JOINED.get(join_words(name))


def suggest_harm(name: str) -> str | None:
    """The subcategory that a misspelt name may mean."""
    near = difflib.get_close_matches(" ".join(words_of(name)), [" ".join(words_of(one)) for one in _SPELT], 1, 0.6)
    return find_harm(near[0]) if near else None


def harms_named(value: object) -> tuple[str, ...]:
    """The subcategories that a judge's `categories` (a list, or one text) names, in HARMS's order; others are dropped."""
    given = value if isinstance(value, list) else re.split(r"[,;]", value) if isinstance(value, str) else []
    known = {find_harm(name[:100]) for name in given[:MOST] if isinstance(name, str)}
    return tuple(harm for harm in HARMS if harm in known)
