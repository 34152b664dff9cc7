"""Odd values, and sound JSON and text with a few odd values in them; all from one random number generator."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any

TEXTS = (
    "",
    " ",
    "\n",
    "\0",
    "a\0b",
    "\ud800",
    "\udcff.png",
    "x" * 300,
    "y" * 70_000,
    "\u202eevil\u2066",
    "\x1b[31mred\x1b[0m",
    "\ufeff",
    "../up.png",
    "/etc/hostname",
    "C:\\up.png",
    "~/x",
    "$HOME",
    "%s%n{0}{}",
    "=1+1",
    "<b>&amp;</b>",
    "'; DROP TABLE rows; --",
    '"quoted"',
    "[link](x)",
    "None",
    "NaN",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "²",
    "১২",
    "e\u0301" * 50,
    "\U0001f9ea",
    "\u2028",
    "data:image/png;base64,iVBORw0KGgo=",
    "Result: 0",
    '{"verdict": 3}',
)
NUMBERS = (
    0,
    -1,
    1,
    2,
    3,
    7,
    255,
    2**31,
    2**31 - 1,
    2**53 + 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    0.5,
    -0.0,
    1e308,
    -1e308,
    1e-320,
)
BEYOND = (float("nan"), float("inf"), float("-inf"))
DEPTH = 100_000


class Verbatim:
    """What `json.dumps` cannot write: a text that stands in the JSON as it is."""

    def __init__(self, text: str) -> None:
        self.text = text


def odd_value(random: Random) -> Any:
    """A value that nobody expects there: text, number, container, or JSON that Python would not write."""
    return random.choice(
        (
            lambda: random.choice(TEXTS),
            lambda: random.choice(TEXTS),
            lambda: random.choice(NUMBERS),
            lambda: random.choice(BEYOND),
            lambda: random.choice((None, True, False)),
            lambda: random.choice(([], {}, [[]], [None], {"": None}, [1, "a", {}], {"a": {"b": {"c": []}}})),
            lambda: [random.choice(TEXTS) for _ in range(random.randrange(5))],
            lambda: {random.choice(TEXTS): random.choice(NUMBERS)},
            lambda: Verbatim(
                random.choice(
                    ("[" * DEPTH, "[" * 2_000 + "]" * 2_000, '{"a":' * 3_000 + "1" + "}" * 3_000, "9" * 5_000, "1e", "-", "\\")
                )
            ),
        )
    )()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside `value`, itself first."""
    found = [path]
    if isinstance(value, dict):
        found += [one for key, inner in value.items() for one in places(inner, (*path, key))]
    elif isinstance(value, list):
        found += [one for index, inner in enumerate(value) for one in places(inner, (*path, index))]
    return found


def mutated(random: Random, value: Any, times: int = 1) -> Any:
    """A copy of plain JSON `value` in which something is replaced, left out, doubled or renamed, so many `times`."""
    value = copy.deepcopy(value)
    for _ in range(times):
        inside = [path for path in places(value) if path]
        if not inside:
            return odd_value(random)
        *way, last = random.choice(inside)
        holder = value
        for step in way:
            holder = holder[step]
        _change(random, holder, last)
    return value


def _change(random: Random, holder: Any, last: Any) -> None:
    what = random.random()
    if what < 0.65:
        holder[last] = odd_value(random)
    elif what < 0.8:
        del holder[last]
    elif isinstance(holder, list):
        holder.append(copy.deepcopy(holder[last]))
    else:
        holder[random.choice((*TEXTS[:12], str(last).upper(), f"{last}s"))] = holder.pop(last)


def json_text(value: Any) -> str:
    """`value` as JSON, Verbatim parts as they are."""
    parts: list[str] = []

    def stand_in(one: Any) -> str:
        parts.append(one.text)
        return f"\x01{len(parts) - 1}\x02"

    text = json.dumps(value, default=stand_in)
    for index, part in enumerate(parts):
        text = text.replace(json.dumps(f"\x01{index}\x02"), part)
    return text


def toml_text(table: dict[str, Any]) -> str:
    """A table of sections as TOML; what TOML does not have is written as well as can be."""
    lines = []
    for name, section in table.items():
        if isinstance(section, list) and section and all(isinstance(one, dict) for one in section):
            for one in section:
                lines += [f"[[{_toml_key(name)}]]", *(f"{_toml_key(key)} = {_toml(value)}" for key, value in one.items())]
        elif isinstance(section, dict):
            lines += [f"[{_toml_key(name)}]", *(f"{_toml_key(key)} = {_toml(value)}" for key, value in section.items())]
        else:
            lines.insert(0, f"{_toml_key(name)} = {_toml(section)}")
    return "\n".join(lines) + "\n"


def _toml_key(name: Any) -> str:
    return json.dumps(str(name))


def _toml(value: Any) -> str:
    if isinstance(value, Verbatim):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_key(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return "''" if value is None else json.dumps(value)


def broken_bytes(random: Random, data: bytes) -> bytes:
    """`data` cut short, with bytes changed or put in, or in another encoding."""
    how: tuple[Callable[[], bytes], ...] = (
        lambda: data[: random.randrange(len(data) + 1)],
        lambda: b"\xef\xbb\xbf" + data,
        lambda: data.replace(b"\n", b"\r"),
        lambda: data.decode("utf-8", "replace").encode("utf-16"),
        lambda: data + b"\n\xff\xfe\x00",
        lambda: data + data,
        lambda: b"",
        lambda: b"\n" * 50 + data,
        lambda: _flipped(random, data),
        lambda: _flipped(random, data),
    )
    return random.choice(how)()


def _flipped(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randrange(1, 6)):
        if changed:
            changed[random.randrange(len(changed))] = random.choice((0, 10, 13, 34, 92, 123, 127, 128, 255, random.randrange(256)))
    return bytes(changed)
