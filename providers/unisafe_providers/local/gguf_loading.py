"""Loading a GGUF file: its weights are expanded in full, and what comes of it is kept for the next time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers.utils import cached_file

from unisafe_providers.local.engine import Engine
from unisafe_providers.local.failures import is_out_of_memory
from unisafe_providers.local.gguf_copies import drop_copy, is_whole, keep_copy
from unisafe_providers.local.gguf_reading import read_gguf_once
from unisafe_providers.local.language import LanguageEngine
from unisafe_providers.local.model_files import describe_size
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.local.telling import say

if TYPE_CHECKING:
    from unisafe_providers.local.device import Device

Load = Callable[[LocalSettings, "Device"], Engine]


def load_gguf(settings: LocalSettings, device: Device, load: Load) -> Engine:
    """Load a model from a GGUF file, or from the copy of it that was kept when it was loaded before.

    In `dtype = "auto"` it is expanded to bfloat16 on a GPU, and to float32 elsewhere.

    Raises NotEnoughMemory before anything is expanded, or what `load` raises.
    """
    if settings.dtype == "auto":
        settings = replace(settings, dtype="bfloat16" if device.accelerated else "float32")
    copy = Path(f"{settings.expanded}-{settings.dtype}") if settings.expanded else None
    if copy is not None and is_whole(copy):
        device.check_room(sum(file.stat().st_size for file in copy.glob("*.safetensors")))
        try:
            return load(replace(settings, model=str(copy), revision=None, gguf_file=None), device)
        except Exception as error:
            if is_out_of_memory(error) or type(error).__name__ == "NotEnoughMemory":
                raise
            drop_copy(copy)
    with read_gguf_once():
        size = measure_expanded(settings)
        device.check_room(size)
        engine = load(settings, device)
    if copy is not None and isinstance(engine, LanguageEngine):
        say(f"keeping the expanded weights, {describe_size(size)}, for the next time")
        kept = keep_copy(copy, engine.model, engine.tokenizer, size)
        say(f"the expanded weights, {describe_size(kept)}, are kept in {copy}" if kept else f"no room for a copy in {copy.parent}")
    return engine


def measure_expanded(settings: LocalSettings) -> int:
    """Bytes of a GGUF file's weights in the dtype of `settings`, by the file's own list of tensors."""
    import gguf

    path = cached_file(settings.model, settings.gguf_file, revision=settings.revision)
    dtype: torch.dtype = getattr(torch, settings.dtype)
    return sum(int(tensor.n_elements) * dtype.itemsize for tensor in gguf.GGUFReader(path).tensors)
