"""Writes a file completely or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unisafe_cache import CacheError


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, which is moved there at the end; an error leaves nothing behind. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        mask = os.umask(0)
        os.umask(mask)
        draft.chmod(0o666 & ~mask)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def write_file(path: Path) -> Iterator[Path]:
    """As `write_whole`, for a file that a user named. Raises CacheError."""
    if os.path.isdir(path):  # Path.is_dir raises where a name is too long
        raise CacheError(f"{path} is a folder; name a file")
    try:
        with write_whole(path) as draft:
            yield draft
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {error.strerror}") from None


def write_text(path: Path, text: str) -> None:
    """`text` as UTF-8. Raises CacheError."""
    with write_file(path) as draft:
        draft.write_text(text, "utf-8")
