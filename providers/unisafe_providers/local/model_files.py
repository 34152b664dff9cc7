"""The files of a model by their paths in its folder: which of them hold weights, how large they are, and which are missing."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth")
"""Endings of files that hold weights; of several formats in one folder the first counts."""
VARIANTS = (".fp16.", ".bf16.", ".non_ema.")
"""Parts of the names of files that hold the same weights in another precision; they count where there are no others."""
COPIES = (*VARIANTS, "consolidated", "original/")
"""Parts of the paths of files that hold the same weights again, in another precision or format."""
NOT_THE_MODEL = (".md", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".lock", ".metadata")

NO_WEIGHTS = (*NOT_THE_MODEL, ".json", ".txt", ".py", ".jinja", ".model", ".tiktoken", ".yaml", ".yml", ".toml", ".csv", "")
"""Endings of files that surely hold no weights; a model with code of its own may keep them in any other file."""
ANY = "*.safetensors"
"""What is missing where there are no weights at all."""
SHARD = re.compile(r"-\d+-of-\d+\.")
"""In the name of a file that holds a part of the weights: `model-00001-of-00004.safetensors`."""


def describe_size(size: float) -> str:
    """Bytes as MB or GB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def is_hidden(file: Path, base: Path) -> bool:
    """Whether a file in the folder `base` is no part of the model, such as a README."""
    return file.suffix in NOT_THE_MODEL or any(part.startswith(".") for part in file.relative_to(base).parts)


def is_copy(name: str) -> bool:
    """Whether a file, by its path in the model's folder, holds weights that other files there hold already."""
    return any(part in name for part in COPIES)


def list_sizes(files: list[Path], base: Path) -> dict[str, int]:
    return {file.relative_to(base).as_posix(): file.stat().st_size for file in files}


def measure_parts(sizes: Mapping[str, int], library: str) -> dict[str, int]:
    """Bytes of weights in each folder of a model, in one format and one precision, for files and sizes by path.

    A folder may hold the same weights several times. A pipeline's parts have a folder each; what stands beside them is a copy.
    """
    folders: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for name, size in sizes.items():
        folder = name.rpartition("/")[0]
        if folder or library != "diffusers":
            folders[folder][name] = size
    measured = {folder: _measure_one(files) for folder, files in folders.items()}
    return {folder: size for folder, size in measured.items() if size}


def _measure_one(sizes: Mapping[str, int]) -> int:
    """Bytes of the weights in one folder."""
    for suffix in WEIGHTS:
        files = {name: size for name, size in sizes.items() if name.endswith(suffix)}
        for size in (
            sum(size for name, size in files.items() if not is_copy(name)),
            *(sum(size for name, size in files.items() if variant in name) for variant in VARIANTS),
        ):
            if size:
                return size
    return 0


# ---------------------------------------------------------------- what is missing


def find_missing(folder: Path, library: str) -> list[str]:
    """What a model's folder lacks, by path: a download may have been stopped, or have fetched the configuration alone."""
    if library != "diffusers":
        return _find_missing_of_one(folder, "")
    index = read_json(folder / "model_index.json")
    parts = [name for name, kind in index.items() if isinstance(kind, list) and len(kind) == 2 and isinstance(kind[0], str)]
    found: list[str] = []
    for part in parts:
        if not (folder / part).is_dir():
            found.append(f"{part}/")
        elif (folder / part / "config.json").is_file():  # other parts, such as a scheduler or a tokenizer, have no weights
            found += _find_missing_of_one(folder / part, f"{part}/")
    return found


def _find_missing_of_one(folder: Path, prefix: str) -> list[str]:
    """What one folder of weights lacks; of several formats one that is whole is enough."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix not in NO_WEIGHTS]
    if any(SHARD.search(file.name) is None for file in files):
        return []
    lacking = [_list_lacking(index) for suffix in WEIGHTS for index in sorted(folder.glob(f"*{suffix}.index*.json"))]
    if files and not all(lacking):
        return []
    return [f"{prefix}{name}" for name in lacking[0]] if lacking else [f"{prefix}{ANY}"]


def _list_lacking(index: Path) -> list[str]:
    """The files that an index of weights names and that are not beside it."""
    named = read_json(index).get("weight_map", {})
    return sorted(name for name in set(named.values()) if not (index.parent / name).is_file())


def describe_missing(missing: list[str]) -> str:
    """`3 files are missing, such as A and B`."""
    if len(missing) == 1:
        return f"{missing[0]} is missing"
    return f"{len(missing)} files are missing, such as {' and '.join(missing[:2])}"


# ---------------------------------------------------------------- configurations


def read_json(file: Path) -> dict[str, Any]:
    """A file's JSON object; empty if there is none that can be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def list_configs(folder: Path, library: str) -> Iterator[dict[str, Any]]:
    """The configurations of a model, or of each part of a pipeline."""
    files = sorted(folder.glob("*/config.json")) if library == "diffusers" else [folder / "config.json"]
    yield from map(read_json, files)
