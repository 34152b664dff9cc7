"""Names of models in tables: whole if there is room, else shortened so that no two look the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count

from rich.cells import cell_len, set_cell_size

from unisafe_async.text import plain

DOTS = "…"
MOST_NAMES = 5
"""Models that a sentence names; of more it gives the number."""


def name_some(names: Sequence[str]) -> str:
    """The names for a sentence: `A, B and C`; of more than five their number, `7 models`."""
    if len(names) > MOST_NAMES:
        return f"{len(names)} models"
    *first, last = (" ".join(plain(name).split()) for name in names)
    return f"{', '.join(first)} and {last}" if first else last


def shorten_names(names: Iterable[str], width: int) -> dict[str, str]:
    """Each of `names` in at most `width` columns of a terminal (8 or more), as one line of harmless text.

    A name with owners (`accounts/meta/llama-8b`) loses the owners first, then its middle. Names that would look the same show the
    part in which they differ; if that is not possible, they get numbers.
    """
    whole = {name: " ".join(plain(name).split()) for name in names}
    found = {name: _cut(text, width) for name, text in whole.items()}
    for group in _group_alike(found):
        texts = [whole[name] for name in group]
        start, end = _count_shared(texts), _count_shared([text[::-1] for text in texts])
        found |= {name: _window(whole[name], start, len(whole[name]) - end, width) or found[name] for name in group}
    for group in _group_alike(found):
        for name in sorted(group, key=lambda name: found[name] != whole[name])[1:]:
            numbered = (_drop_middle(found[name], width - len(mark)) + mark for number in count(2) if (mark := f" #{number}"))
            found[name] = next(way for way in numbered if way not in found.values())
    return found


def _group_alike(found: dict[str, str]) -> list[list[str]]:
    """Groups of names that look the same."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name, shown in found.items():
        groups[shown].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _cut(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    owners, _, last = text.rpartition("/")
    return f"{DOTS}/{_drop_middle(last, width - 2)}" if owners and last else _drop_middle(text, width)


def _drop_middle(text: str, width: int) -> str:
    """`text` without its middle; more of its end is kept than of its beginning."""
    if cell_len(text) <= width:
        return text
    end = (width - 1) * 2 // 3
    return set_cell_size(text, width - 1 - end).rstrip() + DOTS + set_cell_size(text[::-1], end)[::-1].lstrip()


def _window(text: str, start: int, end: int, width: int) -> str:
    """The part of `text` from `start` to `end` with some text around it; empty if that is too long."""
    spare = width - 2 - max(0, end - start)
    if spare < 0:
        return ""
    right = min(len(text), max(start, end) + spare // 4)
    left = max(0, right - (width - 2))
    right = min(len(text), max(right, width - 1)) if not left else right
    left = max(0, right - (width - 1)) if right == len(text) else left
    shown = f"{DOTS if left else ''}{text[left:right]}{DOTS if right < len(text) else ''}"
    return shown if cell_len(shown) <= width else ""


def _count_shared(texts: Sequence[str]) -> int:
    """The number of characters that all of them begin with."""
    different = (at for at, letters in enumerate(zip(*texts, strict=False)) if len(set(letters)) > 1)
    return next(different, min(map(len, texts)))
