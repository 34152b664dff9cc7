"""The dtype in which a checkpoint stores its weights, read from the headers of its files without loading weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from unisafe_providers.local.model_files import is_copy

SAFETENSORS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The dtypes that a pipeline can compute in, by their names in a safetensors file."""


def read_stored_dtype(folder: Path) -> torch.dtype | None:
    """The dtype of most weights in the component folders of a diffusers pipeline; None if no file tells.

    A part of a pipeline may be stored in another dtype than the rest, as a text encoder in bfloat16 beside a VAE in float32.
    """
    files = [file for file in folder.glob("*/*") if not is_copy(file.relative_to(folder).as_posix())]
    counts: Counter[torch.dtype] = Counter()
    for file in files:
        if file.suffix == ".safetensors":
            counts += _count_safetensors(file)
    for file in files if not counts else ():
        if file.suffix == ".bin":
            counts += _count_pickle(file)
    return counts.most_common(1)[0][0] if counts else None


def _count_safetensors(file: Path) -> Counter[torch.dtype]:
    """Bytes by dtype."""
    counts: Counter[torch.dtype] = Counter()
    try:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 not a mapping
                part = tensors.get_slice(name)
                dtype = SAFETENSORS.get(part.get_dtype())
                if dtype is not None:
                    counts[dtype] += torch.Size(part.get_shape()).numel() * dtype.itemsize
    except (OSError, SafetensorError):
        return Counter()  # loading says what is wrong with the file
    return counts


def _count_pickle(file: Path) -> Counter[torch.dtype]:
    """Bytes by dtype in a file that torch saved; only its list of tensors is read."""
    counts: Counter[torch.dtype] = Counter()
    try:
        tensors = torch.load(file, map_location="meta", mmap=True, weights_only=True)
    except Exception:
        return counts  # loading says what is wrong with the file
    for tensor in tensors.values():
        if isinstance(tensor, torch.Tensor) and tensor.dtype in SAFETENSORS.values():
            counts[tensor.dtype] += tensor.numel() * tensor.dtype.itemsize
    return counts
