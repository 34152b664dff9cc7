"""Which file is at a path, found without opening it as a database."""

from __future__ import annotations

import os
from pathlib import Path

from unisafe_cache.errors import ELSEWHERE, CacheError, explain_error

Identity = tuple[int, int]
Stamp = tuple[tuple[int, int, int, int] | None, ...]
MAGIC, AT = b"DUCK", 8
"""The bytes of every DuckDB file at this place, after a checksum."""
_CHECKED: dict[tuple[str, bool], Stamp] = {}
"""Files whose contents this process has checked, by path and whether they were only read; each with its state at that time."""


def read_identity(path: Path) -> Identity | None:
    """The identity of the file at `path`, which tells it from another file in its place; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def read_stamp(path: Path) -> Stamp:
    """The state of the file and its log, which differs after a change."""
    return tuple(_read_stamp(Path(f"{path}{ending}")) for ending in ("", ".wal"))


def _read_stamp(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def was_checked(path: Path, seen: Stamp, read_only: bool) -> bool:
    """Whether the file was checked before in the state `seen`."""
    return seen[0] is not None and _CHECKED.get((os.path.realpath(path), read_only)) == seen


def remember_checked(path: Path, seen: Stamp, read_only: bool) -> None:
    """Remember that the file in the state `seen` holds only what a cache may hold."""
    _CHECKED[os.path.realpath(path), read_only] = seen


def refuse_other_kinds(path: Path) -> None:
    """Raise CacheError if there is a file that is no DuckDB file: DuckDB opens Parquet, SQLite and others too."""
    try:
        with path.open("rb") as file:
            start = file.read(AT + len(MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise explain_error(error, path) from error
    if not start:
        raise CacheError(f"{path} is empty, and no cache; delete it, or {ELSEWHERE}")
    if start[AT:] != MAGIC:
        raise CacheError(f"{path} is not a DuckDB file; move it away, or {ELSEWHERE}")
