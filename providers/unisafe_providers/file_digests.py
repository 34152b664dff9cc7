"""Digests of large files, each remembered by the file's size and time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

BLOCK = 1 << 22
"""Bytes that are read at once; the digests of smaller files are not kept."""


def list_files(path: Path) -> list[Path]:
    """A file, or all files of a folder in order, but for what is hidden. Raises OSError."""
    if not path.is_dir():
        return [path]
    found = [file for file in path.rglob("*") if file.is_file()]
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def digest_of_files(files: list[Path]) -> str:
    """BLAKE2b over names and contents, 128 bits in hexadecimal.

    The folder's own name is not part of it: a copy of a model is the same model.
    """
    whole = hashlib.blake2b(digest_size=16)
    base = Path(os.path.commonpath([file.parent for file in files])) if files else Path()
    for file, digest in zip(files, digest_each(files), strict=True):
        whole.update(f"{file.relative_to(base)}\0{digest}\0".encode())
    return whole.hexdigest()


def digest_each(files: Sequence[Path]) -> list[str]:
    """The digest of each file's content; a digest is remembered by the file's size and time. Raises OSError."""
    known = _recall()
    keys: list[str] = []
    changed = False
    for file in files:
        status = file.stat()
        keys.append(f"{file.resolve()}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}")
        if keys[-1] not in known:
            known[keys[-1]] = _digest_file(file)
            changed = changed or status.st_size > BLOCK
    if changed:
        _remember(known)
    return [known[key] for key in keys]


def _digest_file(file: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def find_cache_folder() -> Path:
    """The folder of what we keep for the user and can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unisafe"


def _memory_file() -> Path:
    return find_cache_folder() / "digests.json"


def _recall() -> dict[str, str]:
    try:
        found = json.loads(_memory_file().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(known: dict[str, str]) -> None:
    """Best effort: without it the files are read again."""
    file = _memory_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(known))
        partial.replace(file)
    except OSError:
        return
