"""Model output and names on a terminal: as text, never as markup, escape codes or direction overrides."""

from __future__ import annotations

import unicodedata

KEPT = {"\n", "\t"}


def plain(text: str) -> str:
    """`text` with a visible stand-in for every control and format character (C0, C1, bidirectional overrides)."""
    if text.isascii() and text.isprintable():
        return text
    return text.translate({ord(character): _stand_in(character) for character in set(text) if not _harmless(character)})


def _harmless(character: str) -> bool:
    return character in KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co")


def _stand_in(character: str) -> str:
    code = ord(character)
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"


def name_judge(name: str) -> str:
    """`judge qwen3-vl`; a judge that is called judge is named once."""
    return name if name.casefold().startswith("judge") else f"judge {name}"


def format_duration(seconds: float) -> str:
    """`4 min 10 s`, `2 h 5 min`, `0.8 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def format_dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 0.01 or amount == 0 else f"${amount:.4f}"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """`1 item`, `2,939 items`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
