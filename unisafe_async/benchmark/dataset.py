"""A dataset on disk: each line is checked once and read again when needed; memory keeps only the place of each line."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from unisafe_providers.errors import UnisafeError
from unisafe_providers.lines import LONGEST, BadItemLine, Line, lines_of
from unisafe_providers.named_files import Folder, open_regular

from unisafe_async.benchmark.images import ItemImages
from unisafe_async.benchmark.item import Item, ItemError, Reader
from unisafe_async.benchmark.shards import Shard
from unisafe_async.benchmark.taxonomy import SHOWN_CATEGORIES, SHOWN_SUBCATEGORIES, TASKS, category_of
from unisafe_async.text import count

TASK_KEYS = tuple(TASKS)


class DatasetError(UnisafeError, ValueError):
    """A dataset cannot be used at all; the message names the path and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A JSONL file of items.

    Args:
        root: the folder of the images; their paths are relative to it.
        task: the task of all lines; None if each line names its own.
        answered: whether the lines carry responses: then several lines of one id are its repeats, and fewer fields are required
            (`Reader`).
        repository: for a file in a repository from the Hub, its folder in the Hub's cache (`Folder`).
    """

    path: Path
    root: Path
    task: str | None
    answered: bool = False
    repository: Path | None = None

    @property
    def reader(self) -> Reader:
        """The reader of its lines."""
        folder = Folder(self.root, "the dataset's folder", self.repository, absolute=self.answered)
        return Reader(folder, self.task, self.answered)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Items that passed the check, in file order.

    Attributes:
        name: the source, as the user wrote it.
        digest: BLAKE2b over the files' lines, 128 bits in hexadecimal (images are in the requests' digests).
        problems: the refused lines.
        images: the images' digests, shared by all readers of this dataset.
        shard: which part of the selected items it is; None for all of them.
        selected: the number of selected items of which it is a part; 0 if it is all of them.
    """

    name: str
    digest: str
    sources: tuple[Source, ...]
    problems: tuple[BadItemLine, ...]
    images: ItemImages
    _files: array[int]
    _offsets: array[int]
    _lines: array[int]
    _tasks: array[int]
    _subcategories: array[int]
    _prints: array[int]
    _names: array[int]
    shard: Shard | None = None
    selected: int = 0

    def __len__(self) -> int:
        return len(self._offsets)

    @cached_property
    def _readers(self) -> list[Reader]:
        return [source.reader for source in self.sources]

    def items(self, indexes: Sequence[int] | None = None) -> Iterator[Item]:
        """Every item, or those at `indexes`, read from disk one by one.

        Raises DatasetError if a file can no longer be read, or a line has changed since it was checked.
        """
        wanted = range(len(self)) if indexes is None else indexes
        with ExitStack() as stack:
            handles = [stack.enter_context(self._open(source)) for source in self.sources]
            for index in wanted:
                yield self._read(index, handles[self._files[index]])

    def at(self, index: int) -> Item:
        """The item at `index` of `items`, read alone. Raises DatasetError as `items` does."""
        with self._open(self.sources[self._files[index]]) as file:
            return self._read(index, file)

    @staticmethod
    def _open(source: Source) -> BinaryIO:
        try:
            return open_regular(source.path)
        except OSError as error:
            raise DatasetError(f"{source.path} cannot be read: {error.strerror}") from None

    def _read(self, index: int, file: BinaryIO) -> Item:
        number = self._files[index]
        path = self.sources[number].path
        try:
            file.seek(self._offsets[index])
            line = file.readline(LONGEST + 1)
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror}") from None
        if _print_of(line) != self._prints[index]:
            raise DatasetError(f"{path}:{self._lines[index]}: the line changed after it was checked; run again")
        return self._readers[number].reread_item(line)

    @property
    def part(self) -> str:
        """`Shard 3 of 8: 13 of the 106 selected items`; empty if it is all of them."""
        if self.shard is None:
            return ""
        return f"S{self.shard.words[1:]}: {len(self):,} of the {count(self.selected, 'selected item')}"

    def places(self) -> Iterator[str]:
        """`file:line` of every item, in the order of `items`."""
        names = [_show_path(source.path, self.sources) for source in self.sources]
        for file, number in zip(self._files, self._lines, strict=True):
            yield f"{names[file]}:{number}"

    def counts(self) -> Counter[tuple[str, str]]:
        """The number of items for each (task, subcategory)."""
        return Counter(
            (TASK_KEYS[task], SHOWN_SUBCATEGORIES[sub]) for task, sub in zip(self._tasks, self._subcategories, strict=True)
        )

    def select(self, tasks: Iterable[str] = (), categories: Iterable[str] = (), limit: int | None = None) -> Dataset:
        """The items of some tasks and categories (none named: all), `limit` of them spread in proportion over task and category.

        Raises DatasetError if there is no such item.
        """
        wanted_tasks, wanted = tuple(tasks) or TASK_KEYS, tuple(categories) or SHOWN_CATEGORIES
        keep = [
            index
            for index, (task, sub) in enumerate(zip(self._tasks, self._subcategories, strict=True))
            if TASK_KEYS[task] in wanted_tasks and category_of(SHOWN_SUBCATEGORIES[sub]) in wanted
        ]
        if limit is not None and limit < len(keep):
            keep = self._pick_stratified(keep, limit)
        if not keep:
            raise DatasetError(self._explain_lack(tuple(tasks), tuple(categories)))
        return self._keep(keep)

    def take_shard(self, shard: Shard) -> Dataset:
        """The items of a shard; there may be none."""
        kept = self._keep([index for index, name in enumerate(self._names) if shard.holds(name)])
        return replace(kept, shard=shard, selected=len(self))

    def _keep(self, keep: Sequence[int]) -> Dataset:
        """The items at some places."""
        if len(keep) == len(self):
            return self

        def find_kept(column: array[int]) -> array[int]:
            return array(column.typecode, (column[index] for index in keep))

        return replace(
            self,
            _files=find_kept(self._files),
            _offsets=find_kept(self._offsets),
            _lines=find_kept(self._lines),
            _tasks=find_kept(self._tasks),
            _subcategories=find_kept(self._subcategories),
            _prints=find_kept(self._prints),
            _names=find_kept(self._names),
        )

    def _explain_lack(self, tasks: Sequence[str], categories: Sequence[str]) -> str:
        """Why nothing was selected, and what the dataset has."""
        counts = self.counts()
        there = [key for key in TASK_KEYS if any(task == key for task, _ in counts)]
        missing = f"task {' or '.join(tasks)}" if tasks else ""
        if categories and (not tasks or set(tasks) & set(there)):
            of_tasks = {category_of(sub) for task, sub in counts if not tasks or task in tasks}
            there = [category for category in SHOWN_CATEGORIES if category in of_tasks]
            missing = f"category {' or '.join(categories)}{f' in {missing}' if missing else ''}"
        named = f"no item of {self.name} has {missing}" if missing else f"no item of {self.name} is selected"
        return f"{named} (there are: {', '.join(there) or 'none'})"

    def _pick_stratified(self, keep: Sequence[int], limit: int) -> list[int]:
        """At most `limit` of the places in `keep`, in proportion over tasks, and within each task over categories."""
        by_task: dict[int, dict[str, list[int]]] = {}
        for index in keep:
            category = category_of(SHOWN_SUBCATEGORIES[self._subcategories[index]])
            by_task.setdefault(self._tasks[index], {}).setdefault(category, []).append(index)
        chosen: list[int] = []
        shares = allocate([sum(map(len, strata.values())) for strata in by_task.values()], limit)
        for share, strata in zip(shares, by_task.values(), strict=True):
            for quota, members in zip(allocate([len(some) for some in strata.values()], share), strata.values(), strict=True):
                chosen += members[:quota]
        return sorted(chosen)


def allocate(sizes: Sequence[int], total: int) -> list[int]:
    """Shares of `total` in proportion to `sizes`, by largest remainder: at least one each if possible, never more than the size."""
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
    """Check every line of `sources`. Raises DatasetError if a file cannot be read, or no line can be used."""
    files, offsets, numbers, prints = array("I"), array("Q"), array("I"), array("Q")
    tasks, subcategories, names = array("B"), array("B"), array("I")
    problems: list[BadItemLine] = []
    seen: set[bytes] = set()
    digest = hashlib.blake2b(digest_size=16)
    for position, source in enumerate(sources):
        shown, reader = _show_path(source.path, sources), source.reader
        digest.update(f"{source.task}\0".encode())
        for number, offset, line in _lines(source.path):
            digest.update(line)
            try:
                item = reader.read_item(line)
                fingerprint = hashlib.blake2b(item.name.encode(), digest_size=12).digest()
                if fingerprint in seen and source.answered:
                    continue
                if fingerprint in seen:
                    raise ItemError(f"id: {item.id!r} stands twice in {item.task}; the first one is used")
            except ItemError as error:
                problems.append(BadItemLine(shown, number, str(error)))
                continue
            seen.add(fingerprint)
            files.append(position)
            offsets.append(offset)
            numbers.append(number)
            prints.append(_print_of(line))
            names.append(int.from_bytes(fingerprint[:4]))
            tasks.append(TASK_KEYS.index(item.task))
            subcategories.append(SHOWN_SUBCATEGORIES.index(item.subcategory))
    if not offsets:
        first = f"; the first problem: {problems[0]}" if problems else "; its files are empty"
        raise DatasetError(f"{name} holds no item that can be used{first}")
    digested, images = digest.hexdigest(), ItemImages()
    return Dataset(
        name=name,
        digest=digested,
        sources=tuple(sources),
        problems=tuple(problems),
        images=images,
        _files=files,
        _offsets=offsets,
        _lines=numbers,
        _tasks=tasks,
        _subcategories=subcategories,
        _prints=prints,
        _names=names,
    )


def _lines(path: Path) -> Iterator[Line]:
    try:
        yield from lines_of(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None


def _print_of(line: bytes) -> int:
    """The digest that shows whether a line has changed since it was checked."""
    return int.from_bytes(hashlib.blake2b(line, digest_size=8).digest())


def _show_path(path: Path, sources: Sequence[Source]) -> str:
    return path.name if len(sources) == 1 else "/".join(path.parts[-2:])
