"""A configuration that has responses judged which were generated elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from unisafe_async.config import Config, ConfigError, parse_config, read_table
from unisafe_async.dataset.dataset import Dataset
from unisafe_async.interchange.recorded_spec import RECORDED
from unisafe_async.taxonomy import TASKS, match_task


def judging_config(
    config: Path, file: Path, images: Path | None, name: str, dataset: Dataset, samples: int, limit: int | None = None
) -> Config:
    """The configuration that has the responses in `file` judged as `config` says; its models are left out.

    Raises ConfigError.
    """
    table: dict[str, Any] = dict(read_table(config))
    if images is not None and not os.path.isdir(images):
        raise ConfigError(f"--images: {images} is no folder")
    tasks = sorted({task for task, _ in dataset.counts()})
    model: dict[str, Any] = {"name": name, "provider": RECORDED.name, "model": os.path.abspath(file), "tasks": tasks}
    if images is not None:
        model["images"] = os.path.abspath(images)
    table |= {
        "models": [model],
        "dataset": {"source": str(file)} | ({"limit": limit} if limit else {}),
        "generation": {"samples": samples},
    }
    return parse_config(table, config.name, config.parent)


def known_task(name: str | None) -> str | None:
    """The key of a task that a user named. Raises ConfigError."""
    if name is None:
        return None
    key = match_task(name)
    if key is None:
        raise ConfigError(f"--task: {name!r} is no task; tasks are {', '.join(TASKS)}")
    return key
