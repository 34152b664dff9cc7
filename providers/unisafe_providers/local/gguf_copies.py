"""Copies of GGUF models with their weights in full: expanding a file takes a minute, and loading its copy takes seconds.

A copy is a folder that transformers saved, beside the digests that we remember: `unisafe/gguf/DIGEST-DTYPE` in the user's cache
folder. It may be deleted at any time; `UNISAFE_GGUF_COPIES=0` keeps none.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unisafe_providers.base import digest_of
from unisafe_providers.file_digests import find_cache_folder
from unisafe_providers.local.model_files import read_json

LIST = "unisafe.json"
"""The file that is written last into a copy: the sizes of the others, and the version of transformers that expanded them."""
SPARE = 1.2
"""A copy is made where the disk has this much more room than it needs."""


def name_copies(identity: str, gguf_file: str | None) -> str:
    """Where copies of a GGUF file are kept, without the dtype that ends each name; empty if none are to be kept."""
    if gguf_file is None or os.environ.get("UNISAFE_GGUF_COPIES", "").lower() in ("0", "no", "false", "off"):
        return ""
    return str(find_cache_folder() / "gguf" / digest_of(f"{identity}:{gguf_file}".encode()))


def is_whole(copy: Path) -> bool:
    """Whether a copy has all its files, and was made by the transformers that is installed now."""
    known = read_json(copy / LIST)
    sizes = known.get("files")
    if known.get("transformers") != version("transformers") or not isinstance(sizes, dict) or not sizes:
        return False
    return sizes == _measure(copy)


def keep_copy(copy: Path, model: Any, tokenizer: Any, size: int) -> int:
    """Save a model and its tokenizer as `copy`, in one step; a copy that another process just made stays.

    Args:
        size: bytes of its weights.

    Returns its bytes; 0 if there is too little room, or it cannot be written.
    """
    partial = copy.with_name(f"{copy.name}.{os.getpid()}")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(copy.parent).free < SPARE * size:
            return 0
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        sizes = _measure(partial)
        (partial / LIST).write_text(json.dumps({"transformers": version("transformers"), "files": sizes}))
        if not is_whole(copy):
            shutil.rmtree(copy, ignore_errors=True)
            partial.rename(copy)
        return sum(sizes.values())
    except OSError:
        return 0
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def drop_copy(copy: Path) -> None:
    """Remove a copy that cannot be loaded."""
    with suppress(OSError):
        shutil.rmtree(copy)


def _measure(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.name != LIST} if folder.is_dir() else {}
