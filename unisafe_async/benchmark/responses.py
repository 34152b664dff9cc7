"""Responses that were generated elsewhere: reads their file as a dataset."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from unisafe_providers.lines import BadLine, Record, lines_of, read_line

from unisafe_async.benchmark.dataset import Dataset, DatasetError, Source, read_dataset
from unisafe_async.benchmark.taxonomy import MOST_REPEATS, TASKS, match_task


def task_of_path(path: Path) -> str | None:
    """The task whose folder in the official layout contains `path`, as in `output/eval/T2I/Bagel/uni_bagel.jsonl`."""
    found = _task_folder(path)
    return found[0] if found else None


def path_in_task(path: Path) -> str:
    """`path` from its task's folder on, as in `T2I/Bagel/uni_bagel.jsonl`; only its name if it is in no such folder."""
    found = _task_folder(path)
    return Path(*found[1]).as_posix() if found else path.name


def _task_folder(path: Path) -> tuple[str, tuple[str, ...]] | None:
    """The innermost task folder that contains `path`, and the parts of `path` from there on; a link counts by its own name."""
    for whole in map(Path, (os.path.abspath(path), os.path.realpath(path))):
        parts = whole.parent.parts
        found = [
            (at, task.key)
            for task in TASKS.values()
            for at in range(len(parts))
            if Path(*parts[at : at + task.folder.count("/") + 1]) == Path(task.folder)
        ]
        if found:
            at, key = max(found)
            return key, whole.parts[at:]
    return None


def model_of_path(path: Path) -> str:
    """The model's name in the toolkit's file names: `bagel` in `uni_bagel.jsonl` and in `uni_bagel_numeric.jsonl`."""
    name = path.stem.removesuffix("_numeric").removeprefix("judge_")
    return re.sub("^uni[_-]", "", name) or path.stem


def open_responses(file: Path, task: str | None) -> tuple[Dataset, int]:
    """The items that `file` answers, and the largest number of repeats. Raises DatasetError if no line can be used.

    Args:
        task: the task of lines without a task.
    """
    try:
        repeats = _count_repeats(file, task)
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetError(f"there is no file {file}; it should hold one response a line, in the official format") from None
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror}") from None
    return read_dataset(str(file), [Source(path=file, root=file.parent, task=task, answered=True)]), repeats


def _count_repeats(file: Path, task: str | None) -> int:
    """The largest number of lines for one item. Raises DatasetError for a line without a task if its task is not clear."""
    counts: Counter[tuple[str, str]] = Counter()
    unnamed = 0
    for line in lines_of(file):
        try:
            named, id_ = read_line(line.content, _task_and_id)
        except BadLine:
            continue
        if task is None and named is None:
            raise DatasetError(
                f"{file.name}:{line.number}: names no task, and none follows from the file's folder; "
                f"add --task with one of {', '.join(TASKS)}"
            )
        unnamed = unnamed or (line.number if named is None else 0)
        counts[named or task or "", id_] += 1
    if unnamed and len({named for named, _ in counts}) > 1:
        raise DatasetError(f"{file.name}:{unnamed}: names no task, but other lines do; name it in every line")
    most = max(counts.values(), default=1)
    if most > MOST_REPEATS:
        (_, id_), _ = counts.most_common(1)[0]
        raise DatasetError(f"{file.name}: {most:,} lines have the id {id_[:60]!r}, and an item can have {MOST_REPEATS:,} repeats")
    return most


def _task_and_id(record: Record) -> tuple[str | None, str]:
    """The task that a line names (our key if we know the task), and its id."""
    named = record.get("task")
    return (None if named is None else match_task(str(named)) or str(named)), str(record.get("id"))
