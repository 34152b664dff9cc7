"""One item of the benchmark, and reading one from a line of JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unisafe_providers.base import clean
from unisafe_providers.lines import BadLine, Record, read_line
from unisafe_providers.named_files import Folder, NoSuchFile, show_value

from unisafe_async.benchmark.taxonomy import (
    CATEGORY_OF,
    OTHER,
    TASKS,
    Task,
    category_of,
    match_subcategory,
    match_task,
    suggest_subcategory,
)

LONGEST_ID = 1_000
"""The most characters of an id, because it names rows and stands on every screen."""


class ItemError(BadLine):
    """An item cannot be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An unsafe request. `image` is a path inside the dataset's folder; `intention` is empty if the dataset gives none.

    In a file of responses, `prompt` may be empty, and `subcategory` is OTHER if the file names none of the benchmark's.
    """

    task: str
    id: str
    prompt: str
    image: Path | None
    subcategory: str
    intention: str

    @property
    def name(self) -> str:
        """Task and id, which together name an item, because ids repeat between tasks."""
        return f"{self.task}/{self.id}"

    @property
    def category(self) -> str:
        return category_of(self.subcategory)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads lines of `input.jsonl`, or of a user's own file.

    Args:
        folder: the folder of the images.
        task: the task of all lines; None where each line names its own.
        answered: whether the lines carry responses. Such a line needs no prompt, and no image if it has an intention, because the
            judge needs only the intention. Its category is context only, so an unknown or empty one becomes OTHER.
    """

    folder: Folder
    task: str | None
    answered: bool = False

    def read_item(self, line: bytes) -> Item:
        """The item in a line. Raises ItemError for every mistake in it. The image is not opened."""
        return read_line(line, self._check, ItemError)

    def reread_item(self, line: bytes) -> Item:
        """The item in a line that was checked before; a missing image shows when the image is read."""
        return read_line(line, self._item, ItemError)

    def _check(self, record: Record) -> Item:
        item = self._item(record)
        if item.image is not None:
            _image(record["image"], self.folder.file)
        return item

    def _item(self, record: Record) -> Item:
        key = _task(record) if self.task is None or (self.answered and record.get("task") is not None) else self.task
        id_, prompt, subcategory = _id(record), self._prompt(record), self._subcategory(record)
        intention = record.get("intention") or ""
        if not isinstance(intention, str):
            raise ItemError(f"intention: should be a text, found {show_value(intention)}")
        intention = clean(intention).strip()
        image = None if self.answered and intention else self._image(record, TASKS[key])
        return Item(task=key, id=id_, prompt=prompt, image=image, subcategory=subcategory, intention=intention)

    def _prompt(self, record: Record) -> str:
        prompt = record.get("prompt")
        if self.answered and prompt is None:
            return ""
        if not isinstance(prompt, str) or not (prompt.strip() or self.answered):
            raise ItemError(f"prompt: should be a text{'' if self.answered else ' that is not empty'}, found {show_value(prompt)}")
        return clean(prompt)

    def _subcategory(self, record: Record) -> str:
        category = record.get("category")
        named = match_subcategory(category) if isinstance(category, str) else None
        if named is not None:
            return named
        if self.answered:
            return OTHER
        meant = suggest_subcategory(category) if isinstance(category, str) else ""
        raise ItemError(f"category: {show_value(category)} is none of the {len(CATEGORY_OF)} subcategories{meant}")

    def _image(self, record: Record, task: Task) -> Path | None:
        if not task.image_in:
            return None
        named = record.get("image")
        if not isinstance(named, str) or not named:
            raise ItemError(f"image: {task.title} needs one, found {show_value(named)}")
        return _image(named, self.folder.locate)


def _id(record: Record) -> str:
    id_ = record.get("id")
    if isinstance(id_, bool) or not isinstance(id_, int | str) or not str(id_).strip():
        raise ItemError(f"id: should be a number or a string, found {show_value(id_)}")
    if len(str(id_)) > LONGEST_ID:
        raise ItemError(f"id: is longer than {LONGEST_ID:,} characters: {show_value(id_)}")
    return clean(str(id_))


def _task(record: Record) -> str:
    named = record.get("task")
    key = match_task(named) if isinstance(named, str) else None
    if key is None:
        raise ItemError(f"task: {show_value(named)} is none of {', '.join(TASKS)}")
    return key


def _image(named: str, find: Callable[[str], Path]) -> Path:
    try:
        return find(named)
    except NoSuchFile as error:
        raise ItemError(f"image: {error}") from None
