"""Opens the dataset of an existing run, for commands that show the run; sends nothing."""

from __future__ import annotations

from pathlib import Path

from unisafe_cache.run_shapes import Config
from unisafe_providers.named_files import expand_path
from unisafe_providers.registry import answers_from

from unisafe_async.benchmark import Dataset, DatasetError, open_dataset
from unisafe_async.benchmark.responses import open_responses


def reopen(config: Config, folder: Path) -> Dataset:
    """The dataset that a run's configuration names, as the run read it: for `unisafe judge`, a file of responses.

    Args:
        config: the run's, as it is stored.
        folder: the folder that its paths are relative to.

    Raises DatasetError.
    """
    source = config.dataset.source
    if not source:
        raise DatasetError("the run's record names no dataset")
    for model in config.models:
        file, tasks = model.model, model.tasks or []
        if answers_from(model.provider) == "file" and Path(file).name == Path(source).name:
            return open_responses(expand_path(folder, file), tasks[0] if len(tasks) == 1 else None)[0]
    return open_dataset(source, folder, here=True)
