"""Finds the files with the official toolkit's verdicts, by name, folder or pattern, and the model and task of each.

For each model and task, the toolkit writes two files into one folder: the judge's replies (`uni_bagel.jsonl`) and the numbers
that it read in them (`uni_bagel_numeric.jsonl`). Image tasks have one folder for each model below the task's folder
(`T2I/Bagel/`). These facts come from its `safety_checker.py`, `run_safety_check.sh` and `sum.py`, read in November 2026; we use
no code of it.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from unisafe_providers.base import clean
from unisafe_providers.lines import BadLine, lines_of, record_of

from unisafe_async.benchmark.responses import model_of_path, path_in_task, task_of_path
from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.errors import UsageError
from unisafe_async.interchange.official import CONTEXTUAL, ID, INTRINSIC, SUFFIX, read_origin

AGGREGATED = "aggregated_"
"""The beginning of the names of files in which `sum.py` aggregates the repeats of another file."""
LOOKED_AT = 200
"""The number of lines that are read to see whether a file holds verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictFile:
    """One file: its model and task, and whether model and judge are known to have been simulated.

    Args:
        numbers: the file with the toolkit's own numbers, if `path` holds the replies that they were read from.
        ours: whether it is our own export, in which only verdicts became numbers.
        unread: the file with the replies beside `path`, if `path` holds only numbers and nobody named the replies.
    """

    path: Path
    model: str
    task: str
    simulated: bool = False
    simulated_judge: bool = False
    numbers: Path | None = None
    ours: bool = False
    unread: Path | None = None

    @property
    def place(self) -> str:
        """The file's name in messages: its path from the task's folder on, so that equal names of different tasks differ."""
        return clean(path_in_task(self.path))


@dataclass
class Found:
    """The result: `refused` holds files of verdicts that cannot be used, `left_out` other files in a folder, with reasons."""

    files: list[VerdictFile] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)


def find_verdict_files(given: Sequence[Path], name: str | None = None, task: str | None = None) -> Found:
    """The verdict files among `given` (files, folders, patterns); replies go before the numbers read in them.

    Model and task are `name` and `task`, else they come from an export's record or the path. Raises UsageError if there is
    nothing to import, or two files hold verdicts on one model and task.
    """
    found = Found()
    chosen: dict[Path, VerdictFile] = {}
    places: dict[Path, int] = {}
    paths = dict(_find_paths(given))
    for path, named in paths.items():
        why = _explain_no_verdicts(path, named)
        if why:
            (found.refused if named or path.stem.endswith(SUFFIX) else found.left_out).append((path, why))
            continue
        known = task or task_of_path(path)
        if known is None:
            found.refused.append((path, f"its folder names no task; add --task with one of {', '.join(TASKS)}"))
            continue
        origin = read_origin(path)
        places[path] = origin.place
        called = clean(name or origin.model or model_of_path(path))
        chosen[path] = VerdictFile(
            path=path,
            model=called,
            task=known,
            simulated=origin.simulated,
            simulated_judge=origin.simulated_judge,
            ours=bool(origin.model),
        )
    found.files = sorted(_drop_copies(list(_pair(chosen)), found), key=lambda file: places[file.path])
    if not found.files:
        raise UsageError(_explain_nothing(given, found))
    return found


def _find_paths(given: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Every file that `given` means, once, and whether the user named it directly. Raises UsageError for a name without a file."""
    for one in given:
        if os.path.isdir(one):
            yield from ((path, False) for path in _below(one))
        elif os.path.exists(one):
            yield one, True
        elif glob.has_magic(str(one)) and (matches := sorted(glob.glob(str(one), recursive=True))):
            for match in map(Path, matches):
                yield from ((path, False) for path in (_below(match) if os.path.isdir(match) else [match]))
        else:
            raise UsageError(f"{one}: there is no such file or folder")


def _below(folder: Path) -> list[Path]:
    """The `.jsonl` files below `folder`, also behind links to folders, but without hidden files (`.name`)."""
    found: list[Path] = []
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        found += [Path(place, one) for one in sorted(names) if one.lower().endswith(".jsonl") and not one.startswith(".")]
    return found


def _explain_no_verdicts(path: Path, named: bool) -> str:
    """Why `path` is no file of verdicts; empty if one of its first lines is a verdict, or its name says so and it is not empty."""
    if path.stem.startswith(AGGREGATED) and not named:
        return "repeats of another file, put together"
    begun = False
    try:
        for line in islice(lines_of(path), LOOKED_AT):
            begun = True
            try:
                if {CONTEXTUAL, INTRINSIC} <= record_of(line.content).keys():
                    return ""
            except BadLine:
                continue
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not begun:
        return "is empty"
    return "" if path.stem.endswith(SUFFIX) else f"holds no line with {ID}, {CONTEXTUAL} and {INTRINSIC}"


def _pair(chosen: dict[Path, VerdictFile]) -> Iterator[VerdictFile]:
    """Combine replies and the numbers read in them into one file; for numbers alone, note whether the replies are beside them."""
    for path, file in chosen.items():
        if not path.stem.endswith(SUFFIX):
            numbers = path.with_name(f"{path.stem}{SUFFIX}{path.suffix}")
            yield replace(file, numbers=numbers if numbers in chosen else None)
            continue
        replies = path.with_name(f"{path.stem.removesuffix(SUFFIX)}{path.suffix}")
        if replies not in chosen:
            unread = os.path.isfile(replies) and not _explain_no_verdicts(replies, named=True)
            yield replace(file, unread=replies if unread else None)


def _drop_copies(files: list[VerdictFile], found: Found) -> list[VerdictFile]:
    """One file for each model and task; a copy with the same lines is left out. Raises UsageError if two files differ."""
    kept: dict[tuple[str, str], VerdictFile] = {}
    for file in files:
        first = kept.setdefault((file.model, file.task), file)
        if first is file:
            continue
        if first.path.read_bytes() != file.path.read_bytes():
            raise UsageError(
                f"{first.path} and {file.path} both hold verdicts on {file.model!r} in {file.task}; "
                "import them one by one, or name them apart"
            )
        found.left_out.append((file.path, f"the same as {first.path}"))
    return list(kept.values())


def _explain_nothing(given: Sequence[Path], found: Found) -> str:
    """Why there is nothing to import, for the first few files."""
    why = [f"{path}: {words}" for path, words in (*found.refused, *found.left_out)]
    if not why:
        return f"{', '.join(map(str, given))}: there is no .jsonl file; name the toolkit's eval folder, or its files"
    more = f"\nand {len(why) - 5:,} more" if len(why) > 5 else ""
    return "\n".join(["there are no verdicts to import:", *why[:5]]) + more
