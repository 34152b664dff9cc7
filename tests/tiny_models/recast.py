"""A model's folder once more, with its weights stored in another dtype."""

from __future__ import annotations

import shutil
from pathlib import Path


def recast(folder: Path, copy: Path, dtype: str) -> Path:
    """A copy of a model's folder whose weights are stored in `dtype`, as today's checkpoints are."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    shutil.copytree(folder, copy)
    for file in copy.rglob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            tensors = {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118 not a mapping
            about = weights.metadata()
        stored = {name: value.to(getattr(torch, dtype)) if value.is_floating_point() else value for name, value in tensors.items()}
        save_file(stored, file, about)
    for file in copy.rglob("config.json"):
        file.write_text(file.read_text().replace('"float32"', f'"{dtype}"'))
    return copy
