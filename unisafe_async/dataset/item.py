"""One sample of the benchmark, and reading one from a line of JSON."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path

from providers.base import clean
from unisafe_async.taxonomy import CATEGORY_OF, TASKS, Task, match_subcategory, match_task


class ItemError(ValueError):
    """An item that cannot be used, and why."""


@dataclass(frozen=True, slots=True)
class Item:
    """An unsafe request. `image` is a path inside the dataset's folder; `intention` is empty where the dataset brings none."""

    task: str
    id: str
    prompt: str
    image: Path | None
    subcategory: str
    intention: str

    @property
    def name(self) -> str:
        """Task and id: what names a sample, since ids repeat between tasks."""
        return f"{self.task}/{self.id}"

    @property
    def category(self) -> str:
        return CATEGORY_OF[self.subcategory]


def item_of(line: bytes, root: Path, task: str | None, answered: bool = False) -> Item:
    """The item in one line of `input.jsonl`, or with `task=None` of a user's own file, where each line names its task.

    A line that is `answered` needs no image where it has an intention: that is all the judge needs of it.
    Raises ItemError when it is malformed. The image is not opened; its path must stay inside `root`.
    """
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ItemError(f"is not UTF-8 (byte {error.start})") from None
    except ValueError as error:
        raise ItemError(f"is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ItemError("should be a JSON object")
    key = _task(record) if task is None or (answered and "task" in record) else task
    kind = TASKS[key]
    id_ = record.get("id")
    if isinstance(id_, bool) or not isinstance(id_, int | str) or id_ == "":
        raise ItemError(f"id: should be a number or a string, found {_shown(id_)}")
    prompt = record.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise ItemError(f"prompt: should be a text that is not empty, found {_shown(prompt)}")
    category = record.get("category")
    subcategory = match_subcategory(category) if isinstance(category, str) else None
    if subcategory is None:
        near = difflib.get_close_matches(str(category).capitalize(), CATEGORY_OF, 1, 0.4)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ItemError(f"category: {_shown(category)} is none of the {len(CATEGORY_OF)} subcategories{meant}")
    intention = record.get("intention") or ""
    if not isinstance(intention, str):
        raise ItemError(f"intention: should be a text, found {_shown(intention)}")
    pictured = None if answered and intention.strip() else _image(record.get("image"), root, kind)
    return Item(key, str(id_), clean(prompt), pictured, subcategory, clean(intention).strip())


def _task(record: dict[str, object]) -> str:
    named = record.get("task")
    key = match_task(named) if isinstance(named, str) else None
    if key is None:
        raise ItemError(f"task: {_shown(named)} is none of {', '.join(TASKS)}")
    return key


def _image(value: object, root: Path, task: Task) -> Path | None:
    if not task.image_in:
        return None
    if not isinstance(value, str) or not value:
        raise ItemError(f"image: {task.title} needs one, found {_shown(value)}")
    path = root / value
    resolved = path.resolve()
    if not resolved.is_relative_to(root.resolve()):
        raise ItemError(f"image: {_shown(value)} leaves the dataset's folder")
    if not resolved.is_file():
        raise ItemError(f"image: there is no file {_shown(value)}")
    return resolved


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else text[:57] + "..."
