"""A file of people's labels: one JSON object a line, appended and on disk before the next response is shown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from unisafe_judger import SCALES
from unisafe_providers.base import clean, digest_of
from unisafe_providers.lines import BadItemLine, BadLine, Record, lines_of, read_line
from unisafe_providers.named_files import show_value


class LabelError(BadLine):
    """A line that is no label, or a file of labels that cannot be used; the message names file, line and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One person's verdicts on one response.

    Args:
        item: task/id.
        response: digest of the response's content (`digest_response`): it names the same response in every run and cache.
        contextual, intrinsic: labels of unisafe_judger.SCALES; None where it was not labelled.
        time: when the label was given, in ISO 8601, UTC.
    """

    item: str
    model: str
    repeat: int
    run: str
    response: str
    contextual: int | None
    intrinsic: int | None
    labeller: str
    note: str = ""
    time: str = ""

    @property
    def place(self) -> tuple[str, str, int, str]:
        """The key of the labelled response."""
        return (self.item, self.model, self.repeat, self.response)


def digest_response(text: str, images: Iterable[str]) -> str:
    """The digest of a response's text and of its images' digests, in order, which names the response by its content."""
    return digest_of(json.dumps([clean(text), *images], ensure_ascii=False).encode())


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def append_label(path: Path, label: Label) -> None:
    """Return when the label is on disk. A line that an earlier program did not finish is closed first.

    Raises LabelError if the file cannot be written.
    """
    record = {
        "item": label.item,
        "model": label.model,
        "sample": label.repeat,
        "run": label.run,
        "response": label.response,
        "contextual": SCALES["contextual"].word(label.contextual) if label.contextual is not None else None,
        "intrinsic": SCALES["intrinsic"].word(label.intrinsic) if label.intrinsic is not None else None,
        "labeller": label.labeller,
        "note": label.note,
        "time": label.time or now(),
    }
    line = clean(json.dumps(record, ensure_ascii=False)).encode() + b"\n"
    try:
        with path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise LabelError(f"{path}: cannot be written: {error.strerror}") from None


def read_labels(path: Path) -> tuple[list[Label], list[BadItemLine]]:
    """The labels in a file, the last one for each person and response, and the lines that are no labels.

    Raises LabelError if the file cannot be read.
    """
    labels: dict[tuple[object, ...], Label] = {}
    bad: list[BadItemLine] = []
    try:
        lines = list(lines_of(path))
    except OSError as error:
        raise LabelError(f"{path}: cannot be read: {error.strerror}; `unisafe label -o {path}` makes one") from None
    for line in lines:
        try:
            label = read_line(line.content, _label, LabelError)
        except LabelError as error:
            bad.append(BadItemLine(path.name, line.number, str(error)))
            continue
        key = (*label.place, label.labeller)
        labels.pop(key, None)
        labels[key] = label
    return list(labels.values()), bad


def _label(record: Record) -> Label:
    repeat = record.get("sample", 0)
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 0:
        raise LabelError(f"sample: should be a whole number from 0, found {show_value(repeat)}")
    item, model = _text(record, "item", "task/id"), _text(record, "model", "the model's name in the run")
    if "/" not in item:
        raise LabelError(f"item: should be task/id, such as dual_unsafe_vqa/7, found {show_value(item)}")
    contextual = _verdict(record, "contextual")
    intrinsic = _verdict(record, "intrinsic")
    if contextual is None and intrinsic is None:
        raise LabelError("contextual, intrinsic: one of them is needed")
    rest = {key: _text(record, key, "a text", "") for key in ("run", "response", "note", "time")}
    labeller = _text(record, "labeller", "who labelled", "?")
    return Label(
        item=item,
        model=model,
        repeat=repeat,
        run=rest["run"],
        response=rest["response"],
        contextual=contextual,
        intrinsic=intrinsic,
        labeller=labeller,
        note=rest["note"],
        time=rest["time"],
    )


def _text(record: Record, key: str, what: str, default: str | None = None) -> str:
    value = record.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise LabelError(f"{key}: should be {what}, found {show_value(value)}")
    return clean(value)


def _verdict(record: Record, key: str) -> int | None:
    scale, value = SCALES[key], record.get(key)
    if value is None:
        return None
    if isinstance(value, str) and value in scale.numbers:
        return scale.numbers[value]
    if isinstance(value, int) and not isinstance(value, bool) and value in scale.labels:
        return value
    raise LabelError(
        f"{key}: should be {', '.join(f'{word} ({label})' for word, label in scale.numbers.items())}, found {show_value(value)}"
    )
