"""The forms of a written label: a digit, a label's word, or both if they agree."""

from __future__ import annotations

import re
from typing import Final, Literal

from unisafe_judger.scales import REFUSAL, SAFE, SAFETY_OR_REFUSAL, UNSAFE

Written = int | Literal["wrong"] | None
"""A label's number; `wrong` where something states a verdict that cannot be (a digit that is not allowed, a digit with another
label's word), which no other statement makes good; None where it is no statement of a verdict."""

WRONG: Final = "wrong"
WORDS: dict[str, int] = {
    **SAFETY_OR_REFUSAL.numbers,
    "refused": REFUSAL,
    "refuse": REFUSAL,
    "refuses": REFUSAL,
    "不安全": UNSAFE,
    "安全": SAFE,
    "拒绝": REFUSAL,
}
"""What judges write for a label: its own word, and others that mean it."""
WORD = "|".join(sorted(WORDS, key=len, reverse=True))
DIGIT_FIRST = re.compile(rf"([0-9])\s{{0,8}}[-–—:：,，/=(（\[\s\"“]\s{{0,8}}[\"“]?({WORD})[\"”)）\]]{{0,3}}", re.I)
WORD_FIRST = re.compile(rf"({WORD})\s{{0,8}}[-–—:：,，/=(（\[\s]\s{{0,8}}([0-9])[)）\]]{{0,3}}", re.I)
NUMBER = re.compile(r"[+-]?[0-9][0-9.,/eE+-]{0,400}%?")
INTEGRAL = re.compile(r"([0-9])\.0{1,20}")
PAIRS = {'"': '"', "'": "'", "“": "”", "‘": "’", "<": ">", "(": ")", "（": "）", "[": "]", "{": "}", "$": "$", "`": "`", "「": "」"}
FULL_WIDTH = {0xFF10 + digit: ord("0") + digit for digit in range(10)}
LONGEST = 80


def label_in(text: str, allowed: frozenset[int]) -> Written:
    """The label if the whole `text` is one: `0`, `"0"`, `<0>`, `unsafe`, `0 (unsafe)`, `Unsafe - 0`."""
    if len(text) > LONGEST:
        return WRONG if NUMBER.fullmatch(text.strip()[:400]) else None
    words = _strip(text.translate(FULL_WIDTH))
    if words.lower() in WORDS:
        return _restrict(WORDS[words.lower()], allowed)
    if NUMBER.fullmatch(words):
        return _restrict(int(words), allowed) if len(words) == 1 else WRONG
    if both := DIGIT_FIRST.fullmatch(words):
        digit, word = both.groups()
    elif both := WORD_FIRST.fullmatch(words):
        word, digit = both.groups()
    else:
        return None
    return _restrict(int(digit), allowed) if WORDS[word.lower()] == int(digit) else WRONG


def label_of(value: object, allowed: frozenset[int]) -> Written:
    """The label of a JSON value: an integer, an integral float, such a string, a label's word, or a list of one of these."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return _restrict(value, allowed)
    if isinstance(value, float):
        return _restrict(int(value), allowed) if value.is_integer() else WRONG
    if isinstance(value, str):
        integral = INTEGRAL.fullmatch(value.strip())
        return label_in(integral[1] if integral else value, allowed)
    if type(value) is list and len(value) == 1 and not isinstance(value[0], list):
        return label_of(value[0], allowed)
    return None


def _restrict(label: int, allowed: frozenset[int]) -> Written:
    return label if label in allowed else WRONG


def _strip(text: str) -> str:
    """The text without blanks, emphasis, a full stop, and pairs of quotes or brackets around a label."""
    while True:
        before = text
        text = text.strip(" \t\r\n*_").rstrip(".!。！")
        if len(text) > 1 and PAIRS.get(text[0]) == text[-1]:
            text = text[1:-1]
        if text == before:
            return text
