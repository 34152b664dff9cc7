"""Files with one JSON object on each line: each line is read or refused with a reason; no other error comes out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from unisafe_providers.errors import UnisafeError
from unisafe_providers.named_files import open_regular, show_value

T = TypeVar("T")
Record = dict[str, Any]
LONGEST = 64 * 1024 * 1024
"""The most bytes of a line that is read; of a longer line only the place is known."""


class BadLine(UnisafeError, ValueError):
    """A line that cannot be used, and what would be right; the caller adds the file's name and the line's number."""


@dataclass(frozen=True, slots=True)
class BadItemLine:
    """A refused line, with its place and the reason."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class Line(NamedTuple):
    """A line that is not blank: its number from 1, its offset in bytes, and its bytes (only the beginning if it is too long)."""

    number: int
    offset: int
    content: bytes


def lines_of(path: Path) -> Iterator[Line]:
    """The lines of a file, one by one. Raises OSError, also if the path is no regular file."""
    number = end = 0
    with open_regular(path) as file:
        while content := file.readline(LONGEST + 1):
            number, start, end = number + 1, end, end + len(content)
            rest = content
            while len(rest) > LONGEST and not rest.endswith(b"\n"):
                rest = file.readline(LONGEST + 1)
                end += len(rest)
            if content.strip():
                yield Line(number, start, content)


def read_line_at(path: Path, offset: int) -> bytes:
    """The line that begins at `offset`, as `lines_of` gives it. Raises OSError."""
    with open_regular(path) as file:
        file.seek(offset)
        return file.readline(LONGEST + 1)


def read_line(line: bytes, read: Callable[[Record], T], refusal: type[BadLine] = BadLine) -> T:
    """The result of `read` for the JSON object in `line`.

    Raises `refusal` for every mistake: other people write these lines, and none of them may end the program.
    """
    try:
        return read(_record(line))
    except refusal:
        raise
    except BadLine as error:
        raise refusal(str(error)) from None
    except RecursionError:
        raise refusal("is nested too deeply") from None
    except Exception as error:
        raise refusal(f"cannot be read: {type(error).__name__}: {str(error)[:200]}") from None


def record_of(line: bytes) -> Record:
    """The JSON object in `line`. Raises BadLine."""
    return read_line(line, lambda record: record)


class _Doubled(dict[str, Any]):
    """A JSON object gives a name twice: `twice`."""

    twice = ""


def _object(pairs: list[tuple[str, Any]]) -> Record:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = _Doubled(found)
    doubled.twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    return doubled


def _record(line: bytes) -> Record:
    if len(line) > LONGEST:
        raise BadLine(f"is longer than {LONGEST // 2**20} MiB")
    try:
        found = json.loads(line.decode("utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise BadLine(f"is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise BadLine(f"is not JSON: {error}") from None
    except ValueError:
        raise BadLine("holds a number of too many digits") from None
    if not isinstance(found, dict):
        raise BadLine("should be a JSON object")
    if isinstance(found, _Doubled):
        raise BadLine(f"gives {show_value(found.twice)} twice")
    return found
