"""Opens the dataset of an existing run, for commands that show the run; sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from providers.named_files import expanded
from providers.registry import RECORDED
from unisafe_async.dataset import Dataset, DatasetError, open_dataset
from unisafe_async.interchange.responses import responses_dataset


def reopened(config: Mapping[str, Any], folder: Path) -> Dataset:
    """The dataset that a run's configuration names, as the run read it: for `unisafe judge`, a file of responses.

    Args:
        config: the configuration as table `runs` stores it.
        folder: the folder that its paths are relative to.

    Raises DatasetError.
    """
    source = str(config.get("dataset", {}).get("source", ""))
    if not source:
        raise DatasetError("the run's record names no dataset")
    for model in config.get("models", ()):
        file, tasks = str(model.get("model", "")), list[str](model.get("tasks") or ())
        if model.get("provider") == RECORDED and Path(file).name == Path(source).name:
            return responses_dataset(expanded(folder, file), tasks[0] if len(tasks) == 1 else None)[0]
    return open_dataset(source, folder, here=True)
