"""Checks every value in bench.toml, whatever its key: all later code must be able to store it, send it and compute with it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from datetime import date, time
from typing import Any

from unisafe_providers.errors import UnisafeError

DEEPEST = 64
"""How deep tables and lists may be nested."""
LARGEST = 2**63
LONGEST = 1_000_000
"""The most characters of one text."""


class NotToml(UnisafeError, ValueError):
    """A text is no TOML, or holds a value that we cannot take; the message names the place."""


def parse_toml(text: str) -> dict[str, Any]:
    """The table in `text`. Raises NotToml for any mistake."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotToml(f"is not TOML: {error}") from None
    except RecursionError:
        raise NotToml(f"is nested too deeply; {DEEPEST} levels are read") from None
    except ValueError:
        raise NotToml("holds a number of too many digits") from None
    except Exception as error:
        raise NotToml(f"cannot be read as TOML: {str(error)[:200]}") from None


def find_mistakes(table: dict[str, Any]) -> Iterator[str]:
    """Each value that cannot be taken, with its place, such as `judge.extra.seed: inf is no finite number`."""
    waiting: list[tuple[str, object, int]] = [("", table, 0)]
    while waiting:
        place, value, depth = waiting.pop()
        if isinstance(value, dict | list | tuple):
            if depth >= DEEPEST:
                yield f"{place[:200]}: is nested too deeply; {DEEPEST} levels are read"
                continue
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            steps = [(f"{place}[{key}]" if isinstance(key, int) else f"{place}.{key}".lstrip("."), one) for key, one in pairs]
            waiting += [(step, one, depth + 1) for step, one in reversed(steps)]
            continue
        if why := _explain_wrong(value):
            yield f"{place}: {why}"


def _explain_wrong(value: object) -> str:
    if isinstance(value, bool):
        return ""
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        return "is no whole number of 64 bits"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is no finite number"
    if isinstance(value, date | time):
        return f"{value} is a date or a time, which no key takes; in quotes it is a text"
    if isinstance(value, str):
        if "\0" in value:
            return "holds a NUL"
        if len(value) > LONGEST:
            return f"holds {len(value):,} characters; {LONGEST:,} are read"
        if not value.isascii() and value.encode("utf-8", "replace").decode() != value:
            return "holds half a character (a lone surrogate)"
    return ""
