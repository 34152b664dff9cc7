"""Folders for a worker's pictures. A run that is killed leaves its own behind, and the next one that makes one removes it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "unisafe-pictures-"
LOCK = ".lock"
"""A file in such a folder that is locked as long as its process lives, however that ends."""


@contextmanager
def picture_folder() -> Iterator[Path]:
    """A new folder that only this user can enter; it is gone after the block. Raises OSError if none can be made."""
    _remove_left(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = -1
    try:
        lock = _make_lock(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def _make_lock(folder: Path) -> int:
    """The descriptor of the folder's locked file, which gets its name only once it is locked."""
    descriptor = os.open(folder / f"{LOCK}-new", os.O_CREAT | os.O_RDWR, 0o600)
    if _lock(descriptor):
        os.rename(folder / f"{LOCK}-new", folder / LOCK)
    return descriptor


def _lock(descriptor: int) -> bool:
    """Lock a file for this process; False if another one has it, or where files cannot be locked so."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_left(temporary: Path) -> None:
    """Remove this user's folders whose process is gone."""
    for folder in temporary.glob(f"{PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(folder / LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                if folder.lstat().st_uid == os.getuid() and _lock(descriptor):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
