"""A dataset on disk: checked once, line by line, then read again lazily; what is kept of an item is where its line stands."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unisafe_async.dataset.images import Images
from unisafe_async.dataset.item import Item, ItemError, item_of
from unisafe_async.taxonomy import CATEGORIES, CATEGORY_OF, TASKS

TASK_KEYS = tuple(TASKS)
SUBCATEGORY_KEYS = tuple(CATEGORY_OF)


class DatasetError(ValueError):
    """A dataset that cannot be used at all; the message names the path and what would be right."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that is refused, where it stands and why."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Source:
    """A JSONL file of items, the folder that images are relative to, and the task of all lines (None: each names its own).

    `answered` says that the lines carry responses: several of one id are its samples, and with an intention no image is needed.
    """

    path: Path
    root: Path
    task: str | None
    answered: bool = False


@dataclass(frozen=True)
class Dataset:
    """Items that passed the check, in file order.

    Attributes:
        name: where it came from, as the user wrote it.
        digest: BLAKE2b over the files' lines, 128 bits in hexadecimal (images are in the requests' digests).
        problems: the lines that were refused.
        images: the images' digests, shared by all who read this dataset.
    """

    name: str
    digest: str
    sources: tuple[Source, ...]
    problems: tuple[Problem, ...]
    images: Images
    _files: array[int]
    _offsets: array[int]
    _lines: array[int]
    _tasks: array[int]
    _subcategories: array[int]

    def __len__(self) -> int:
        return len(self._offsets)

    def items(self, indexes: Sequence[int] | None = None) -> Iterator[Item]:
        """Every item, or those at `indexes`, read from disk as they are asked for."""
        wanted = range(len(self)) if indexes is None else indexes
        handles = [source.path.open("rb") for source in self.sources]
        try:
            for index in wanted:
                file = self._files[index]
                handles[file].seek(self._offsets[index])
                source = self.sources[file]
                yield item_of(handles[file].readline(), source.root, source.task, source.answered)
        finally:
            for handle in handles:
                handle.close()

    def at(self, index: int) -> Item:
        """The item at `index` of `items`, read alone. Raises ItemError when its line or its image has changed since the check."""
        source = self.sources[self._files[index]]
        with source.path.open("rb") as file:
            file.seek(self._offsets[index])
            return item_of(file.readline(), source.root, source.task)

    def places(self) -> Iterator[str]:
        """`file:line` of every item, in the order of `items`."""
        names = [_shown(source.path, self.sources) for source in self.sources]
        for file, number in zip(self._files, self._lines, strict=True):
            yield f"{names[file]}:{number}"

    def counts(self) -> Counter[tuple[str, str]]:
        """How many items each (task, subcategory) has."""
        return Counter((TASK_KEYS[task], SUBCATEGORY_KEYS[sub]) for task, sub in zip(self._tasks, self._subcategories, strict=True))

    def select(self, tasks: Iterable[str] = (), categories: Iterable[str] = (), limit: int | None = None) -> Dataset:
        """The items of some tasks and categories (none named: all), `limit` of them spread in proportion over task and category."""
        wanted_tasks = set(tasks) or set(TASK_KEYS)
        wanted = set(categories) or set(CATEGORIES)
        keep = [
            index
            for index, (task, sub) in enumerate(zip(self._tasks, self._subcategories, strict=True))
            if TASK_KEYS[task] in wanted_tasks and CATEGORY_OF[SUBCATEGORY_KEYS[sub]] in wanted
        ]
        if limit is not None and limit < len(keep):
            keep = self._stratified(keep, limit)
        if len(keep) == len(self):
            return self

        def kept(column: array[int]) -> array[int]:
            return array(column.typecode, (column[index] for index in keep))

        return replace(
            self,
            _files=kept(self._files),
            _offsets=kept(self._offsets),
            _lines=kept(self._lines),
            _tasks=kept(self._tasks),
            _subcategories=kept(self._subcategories),
        )

    def _stratified(self, keep: Sequence[int], limit: int) -> list[int]:
        by_task: dict[int, dict[str, list[int]]] = {}
        for index in keep:
            category = CATEGORY_OF[SUBCATEGORY_KEYS[self._subcategories[index]]]
            by_task.setdefault(self._tasks[index], {}).setdefault(category, []).append(index)
        chosen: list[int] = []
        shares = allocate([sum(map(len, strata.values())) for strata in by_task.values()], limit)
        for share, strata in zip(shares, by_task.values(), strict=True):
            for quota, members in zip(allocate([len(some) for some in strata.values()], share), strata.values(), strict=True):
                chosen += members[:quota]
        return sorted(chosen)


def allocate(sizes: Sequence[int], total: int) -> list[int]:
    """`total` shared out in proportion to `sizes` by largest remainder: one each while that goes, never more than a size."""
    whole = sum(sizes)
    total = min(total, whole)
    if not total:
        return [0] * len(sizes)
    exact = [size * total / whole for size in sizes]
    shares = [int(value) for value in exact]
    order = sorted(
        (index for index in range(len(sizes)) if shares[index] < sizes[index]),
        key=lambda index: (shares[index] > 0, shares[index] - exact[index]),
    )
    for index in order[: total - sum(shares)]:
        shares[index] += 1
    return shares


def read_dataset(name: str, sources: Sequence[Source]) -> Dataset:
    """Check every line of `sources`. Raises DatasetError when no line can be used."""
    files, offsets, numbers = array("I"), array("Q"), array("I")
    tasks, subcategories = array("B"), array("B")
    problems: list[Problem] = []
    seen: set[bytes] = set()
    digest = hashlib.blake2b(digest_size=16)
    for number, source in enumerate(sources):
        shown = _shown(source.path, sources)
        digest.update(f"{source.task}\0".encode())
        for line_number, offset, line in _lines(source.path):
            digest.update(line)
            try:
                item = item_of(line, source.root, source.task, source.answered)
                fingerprint = hashlib.blake2b(item.name.encode("utf-8", "replace"), digest_size=12).digest()
                if fingerprint in seen and source.answered:
                    continue
                if fingerprint in seen:
                    raise ItemError(f"id: {item.id!r} stands twice in {item.task}; the first one is used")
            except ItemError as error:
                problems.append(Problem(shown, line_number, str(error)))
                continue
            seen.add(fingerprint)
            files.append(number)
            offsets.append(offset)
            numbers.append(line_number)
            tasks.append(TASK_KEYS.index(item.task))
            subcategories.append(SUBCATEGORY_KEYS.index(item.subcategory))
    if not offsets:
        first = f"; the first problem: {problems[0]}" if problems else "; its files are empty"
        raise DatasetError(f"{name} holds no item that can be used{first}")
    return Dataset(
        name, digest.hexdigest(), tuple(sources), tuple(problems), Images(), files, offsets, numbers, tasks, subcategories
    )


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and bytes of every line that is not blank."""
    offset = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, offset, line
                offset += len(line)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None


def _shown(path: Path, sources: Sequence[Source]) -> str:
    return path.name if len(sources) == 1 else "/".join(path.parts[-2:])
