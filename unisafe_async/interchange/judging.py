"""A configuration that has responses judged which were generated elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from unisafe_async.benchmark.dataset import Dataset
from unisafe_async.benchmark.taxonomy import read_task
from unisafe_async.config.bench_toml import Config, parse_config, read_table
from unisafe_async.errors import UsageError
from unisafe_async.interchange.recorded_spec import RECORDED


def build_judging_config(
    config: Path, file: Path, images: Path | None, name: str, dataset: Dataset, repeats: int, limit: int | None = None
) -> Config:
    """A configuration that judges the responses in `file` with the judges of `config`, without its models.

    Raises ConfigError for what `config` says, UsageError for `images`.
    """
    table: dict[str, Any] = dict(read_table(config))
    if images is not None and not os.path.isdir(images):
        raise UsageError(f"--images: {images} is no folder")
    tasks = sorted({task for task, _ in dataset.counts()})
    model: dict[str, Any] = {"name": name, "provider": RECORDED.name, "model": os.path.abspath(file), "tasks": tasks}
    if images is not None:
        model["images"] = os.path.abspath(images)
    table |= {
        "models": [model],
        "dataset": {"source": str(file)} | ({"limit": limit} if limit else {}),
        "generation": {"repeats": repeats},
    }
    return parse_config(table, config.name, config.parent)


def find_task(name: str | None) -> str | None:
    """The key of a task that a user named. Raises UsageError."""
    if name is None:
        return None
    try:
        return read_task(name)
    except UsageError as error:
        raise UsageError(f"--task: {error}") from None
