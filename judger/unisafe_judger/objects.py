"""The JSON objects of a judge's reply: strict JSON, and nearly-JSON if it can mean one thing only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import json_repair

from unisafe_judger.labels import WRONG, Written, label_of

KEYS = frozenset({"verdict", "result", "label", "judgment", "judgement", "n"})
REASONS = ("reason", "reasoning", "explanation", "rationale", "理由")
CATEGORIES = ("categories", "subcategories", "category")
NAME = r"(?:verdict|result|label|judge?ment|n)"
QUOTE = "[\"'“”‘’]"
KEY = re.compile(rf"(?<!\\){QUOTE}\s{{0,4}}{NAME}\s{{0,4}}{QUOTE}\s{{0,8}}[:：]|[{{,\n]\s{{0,40}}{NAME}\s{{0,8}}[:：=]", re.I)
VALUE = re.compile(r"([^,}\n]{1,60}?)\s{0,40}(?:[,}\n]|//|#|/\*)")
BEGINS = re.compile(r"\{\s{0,200}(?:[\"'“”‘’{}]|//|/\*|#|\w{1,40}\s{0,8}[:：=])|\[\s{0,200}\{")
DECODER = json.JSONDecoder(object_pairs_hook=lambda pairs: Pairs(pairs), strict=False)
DEEPEST = 4
LONGEST_LOOSE = 20_000
MOST_BRACES = 200
MOST_OBJECTS = 64


class Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, with keys that are given twice."""

    def first(self, names: tuple[str, ...]) -> object:
        """The value of the first key that is one of `names`, in upper or lower case; None without one."""
        return next((value for key, value in self if key.strip().lower() in names), None)


@dataclass(frozen=True, slots=True)
class Found:
    """An object in a reply: its place, what it states, and the object that states it."""

    start: int
    end: int
    label: Written
    holder: Pairs | None = None


def find_objects(text: str, allowed: frozenset[int]) -> Iterator[Found]:
    """The outermost objects and lists of objects in `text`, in order; an unreadable one, or one too many, is `wrong`."""
    at = begun = 0
    while begins := BEGINS.search(text, at):
        start = begins.start()
        begun += 1
        if begun > MOST_OBJECTS:
            yield Found(start, len(text), WRONG)
            return
        try:
            value, end = DECODER.raw_decode(text, start)
        except RecursionError:
            yield Found(start, len(text), WRONG)
            return
        except ValueError:
            if text[start] == "[":
                at = start + 1
                continue
            found = _read_broken(text, start, allowed)
            yield found
            at = found.end
            continue
        label, holder = read_object(value, allowed)
        yield Found(start, end, label, holder)
        at = end


def read_object(value: object, allowed: frozenset[int], depth: int = 0) -> tuple[Written, Pairs | None]:
    """The verdict of an object that is alone, in a list of one or under one key; and the object itself."""
    if type(value) is list and depth < DEEPEST:
        if len(value) == 1:
            return read_object(value[0], allowed, depth + 1)
        return (WRONG if any(_find_labels(one, allowed) for one in value) else None), None
    if not isinstance(value, Pairs):
        return None, None
    given = [(key.strip().lower(), one) for key, one in value if key.strip().lower() in KEYS]
    if len(value) == 1 and isinstance(value[0][1], list) and depth < DEEPEST:
        inner = read_object(value[0][1], allowed, depth + 1)
        if inner[0] is not None or not given:
            return inner
    if not given:
        return None, None
    return _read_label(value, given, allowed), value


def _read_label(value: Pairs, given: list[tuple[str, Any]], allowed: frozenset[int]) -> Written:
    """The label at an object's verdict key; wrong if there are two keys, or if a verdict deeper inside differs."""
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        return WRONG
    labels = {name: label_of(one, allowed) for name, one in given if not _is_placeholder(one)}
    if not labels:
        return None
    stated = {name: label for name, label in labels.items() if label is not None}
    if len(stated) != 1 or ("verdict" in names and "verdict" not in stated):
        return WRONG
    label = next(iter(stated.values()))
    deeper = {one for _, inner in value for one in _find_labels(inner, allowed)}
    return WRONG if deeper - {label} else label


def _is_placeholder(value: object) -> bool:
    """`N`, as the question writes it."""
    return isinstance(value, str) and value.strip(" <>") == "N"


def _find_labels(value: object, allowed: frozenset[int], depth: int = 0) -> list[Written]:
    """Every label under a verdict key within `value`, at any depth."""
    if depth > 40 or not isinstance(value, list):
        return []
    found: list[Written] = []
    for one in value:
        inner = one
        if isinstance(value, Pairs):
            key, inner = one
            label = label_of(inner, allowed) if key.strip().lower() in KEYS else None
            found += [] if label is None else [label]
        found += _find_labels(inner, allowed, depth + 1)
    return found


def _read_broken(text: str, start: int, allowed: frozenset[int]) -> Found:
    """Text that is nearly an object from `start` on: up to its closing brace, else the last brace, else the end of `text`."""
    last = text.rfind("}", start) + 1
    ends = [end for end in (_find_end(text, start), last, len(text)) if end]
    end = next((end for end in ends if KEY.search(text, start, end)), ends[-1])
    return Found(start, end, *_repair(text[start:end], allowed))


def _find_end(text: str, start: int) -> int:
    """The position after the brace that closes the one at `start`, ignoring strings; 0 without one."""
    depth = 0
    for brace in re.finditer(r"[{}]", text[start : start + LONGEST_LOOSE]):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return start + brace.end()
    return 0


def _repair(text: str, allowed: frozenset[int]) -> tuple[Written, Pairs | None]:
    """Reads with a lenient library, if there is one verdict key and the library reads the same value that follows it."""
    if text.startswith("{{") and text.rstrip().endswith("}}"):
        text = text.rstrip()[1:-1]
    keys = list(KEY.finditer(text[:LONGEST_LOOSE]))
    written = VALUE.match(text, keys[0].end()) if len(keys) == 1 else None
    if written is None or len(text) > LONGEST_LOOSE or text.count("{") + text.count("[") > MOST_BRACES:
        return WRONG, None
    label = label_of(written[1].strip(" \t\"'“”‘’[]"), allowed)
    try:
        mended = json_repair.loads(text.replace("“", '"').replace("”", '"'), skip_json_loads=True)
        value = DECODER.decode(json.dumps(mended))
    except (ValueError, RecursionError, TypeError, IndexError, KeyError):
        return WRONG, None
    found, holder = read_object(value, allowed)
    return (label, holder) if label is not None and found == label and holder is not None else (WRONG, None)
