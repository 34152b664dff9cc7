"""Labels that people give on the page, in the file that `unisafe label` writes and `unisafe agree` reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from unisafe_judger import SAFETY, SAFETY_OR_REFUSAL, SCALES

from unisafe_async.calibration.labels import Label, append_label, read_labels
from unisafe_async.errors import UsageError
from unisafe_async.text import plain

Place = tuple[str, str, int, str]
SHOWN_BLIND = ("number", "seen", "text", "images", "thoughts", "other", "drawn")
"""What a person sees of an answer before labelling it blind: no model, no verdict, and no words of platform or judge."""
LONGEST_NOTE = 2_000


class LabelBook:
    """One person's labels in one file. The file is read again when another program has written to it.

    Args:
        path: the file; it is made with the first label.
        labeller: the person's name.
    """

    def __init__(self, path: Path, labeller: str) -> None:
        self.path = path
        self.labeller = labeller
        self._labels: dict[Place, Label] = {}
        self._stamp: tuple[int, int] | None = None
        self._lock = Lock()

    def find(self, place: Sequence[Any] | None) -> Label | None:
        """The person's label of the answer that `place` names: item, model, repeat, digest."""
        return self._labels.get(tuple(place)) if place is not None else None

    def refresh(self) -> None:
        """Read the file if it has changed. Raises LabelError if it cannot be read."""
        with self._lock:
            self._refresh()

    def _refresh(self) -> None:
        if not self.path.exists():
            self._labels, self._stamp = {}, None
            return
        found = self.path.stat()
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            labels, _ = read_labels(self.path)
            self._labels = {one.place: one for one in labels if one.labeller == self.labeller}
            self._stamp = stamp

    def add(self, run: str, place: Place, given: Mapping[str, Any], *, drawn: bool) -> Label:
        """Write a label; it is on disk when this returns. Raises LabelError, and UsageError for what is no label.

        Args:
            given: `contextual` and `intrinsic` as words, one of them may be missing, and a `note`.
            drawn: whether the answer is an image, which cannot refuse.
        """
        item, model, repeat, digest = place
        allowed = {"contextual": (SAFETY if drawn else SAFETY_OR_REFUSAL).numbers, "intrinsic": SAFETY.numbers}
        verdicts = {name: _read_verdict(name, given.get(name), words) for name, words in allowed.items()}
        if None in verdicts.values():
            raise UsageError("a label needs both verdicts")
        label = Label(
            item=item,
            model=model,
            repeat=repeat,
            run=run,
            response=digest,
            contextual=verdicts["contextual"],
            intrinsic=verdicts["intrinsic"],
            labeller=self.labeller,
            note=" ".join(str(given.get("note") or "").split())[:LONGEST_NOTE],
        )
        with self._lock:
            append_label(self.path, label)
            self._refresh()
        return label


def _read_verdict(name: str, word: object, words: Mapping[str, int]) -> int | None:
    if word in (None, ""):
        return None
    if not isinstance(word, str) or word not in words:
        raise UsageError(f"{name}: should be {' or '.join(words)}")
    return words[word]


def describe_label(label: Label | None) -> dict[str, Any] | None:
    """A label for the page: both verdicts in words, and the note."""
    if label is None:
        return None
    verdicts = {name: SCALES[name].word(getattr(label, name)) for name in ("contextual", "intrinsic")}
    return {**verdicts, "note": plain(label.note), "time": plain(label.time)}


def show_answer(answer: Mapping[str, Any], book: LabelBook, *, blind: bool) -> dict[str, Any]:
    """An answer with the person's label. If it has none yet and labelling is blind, only what SHOWN_BLIND names is left of it."""
    label = book.find(answer["place"])
    shown = {name: value for name, value in answer.items() if name != "place"}
    seen = answer["place"][-1] if answer["place"] is not None else ""
    shown |= {"label": describe_label(label), "can_label": bool(seen), "seen": seen, "hidden": False}
    if blind and label is None:
        kept = {name: shown[name] for name in SHOWN_BLIND}
        return kept | {"label": None, "can_label": shown["can_label"], "hidden": True, "model": "", "repeat": 0}
    return shown


def show_answers(answers: Sequence[Mapping[str, Any]], book: LabelBook, *, blind: bool) -> list[dict[str, Any]]:
    """The answers to one item. Labelling blind they come in an order that says nothing about their models."""
    if blind:
        answers = sorted(answers, key=lambda one: _shuffle(one["place"], one["number"]))
    shown = [show_answer(one, book, blind=blind) for one in answers]
    for number, one in enumerate(shown, 1):
        if one["hidden"]:
            one["model"] = f"response {number}"
    return shown


def show_entry(entry: Mapping[str, Any], book: LabelBook, *, blind: bool) -> dict[str, Any]:
    """An entry of the list, with verdicts only where they may be seen, and with which answers are labelled."""
    marks = []
    for mark in entry["marks"]:
        labelled = book.find(mark["place"]) is not None
        shown = {name: value for name, value in mark.items() if name != "place"} | {"labelled": labelled}
        if blind and not labelled:
            shown = {"hidden": True, "model": "", "other": mark["other"], "labelled": False}
        marks.append(shown)
    if blind:
        marks.sort(key=lambda mark: not mark["labelled"])
    return {**entry, "marks": marks}


def _shuffle(place: Sequence[Any] | None, number: int) -> bytes:
    return hashlib.blake2b(repr((place, number)).encode("utf-8", "replace"), digest_size=8).digest()
