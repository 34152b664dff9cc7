"""Compares the toolkit's own numbers with our reading of the same replies: how many verdicts differ, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from unisafe_judger import SAFETY_OR_REFUSAL
from unisafe_providers.lines import BadLine, lines_of, record_of

from unisafe_async.interchange.official import CONTEXTUAL, ID, INTRINSIC, NOT_AVAILABLE
from unisafe_async.interchange.verdict_lines import NUMBERS, ReadFile, Reading, VerdictLine, id_of
from unisafe_async.text import count

WORDS = {str(label): word for label, word in SAFETY_OR_REFUSAL.words.items()}


@dataclass(kw_only=True)
class Differences:
    """The differences among the `compared` verdicts that both files have, by the values on both sides.

    Args:
        errors: failed calls, by the number that the toolkit turned each into.
        unread: replies in which our parser reads no verdict, by the toolkit's number.
        read: replies in which our parser reads a verdict and the toolkit reads none.
        other: replies in which both read a verdict, by the toolkit's and ours.
        missing: lines in the file of numbers without a line in the file of replies.
    """

    compared: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    read: int = 0
    other: Counter[tuple[str, str]] = field(default_factory=Counter)
    missing: int = 0

    def __add__(self, other: Differences) -> Differences:
        return Differences(
            compared=self.compared + other.compared,
            errors=self.errors + other.errors,
            unread=self.unread + other.unread,
            read=self.read + other.read,
            other=self.other + other.other,
            missing=self.missing + other.missing,
        )

    @property
    def total(self) -> int:
        return self.errors.total() + self.unread.total() + self.read + self.other.total()

    def add(self, theirs: str, ours: Reading) -> None:
        """Count one verdict; `theirs` is a digit, or anything else for no verdict."""
        self.compared += 1
        mine = "" if ours.label is None else str(ours.label)
        if theirs not in NUMBERS:
            self.read += bool(mine)
        elif ours.status == "failed":
            self.errors[theirs] += 1
        elif not mine:
            self.unread[theirs] += ours.status == "unparsed"
        elif mine != theirs:
            self.other[theirs, mine] += 1


def compare(read: ReadFile) -> Differences | None:
    """The numbers beside `read`; None if there are none, or they cannot be read.

    The toolkit writes both files line by line, so lines with the same number belong together. If one file was sorted or cut,
    lines with the same id do.
    """
    numbers = _numbers(read)
    if numbers is None:
        return None
    by_line = all(line.number in numbers and numbers[line.number][0] == line.item for line in read.lines)
    ours: dict[object, VerdictLine] = {line.number if by_line else (line.item, line.repeat): line for line in read.lines}
    found = Differences(missing=max(0, len(numbers) - len(read.lines) - len(read.refused)))
    seen: Counter[str] = Counter()
    for number, (item, contextual, intrinsic) in numbers.items():
        mine = ours.get(number if by_line else (item, seen[item]))
        seen[item] += 1
        if mine is not None:
            found.add(contextual, mine.contextual)
            found.add(intrinsic, mine.intrinsic)
    return found


def _numbers(read: ReadFile) -> dict[int, tuple[str, str, str]] | None:
    """Item and both numbers of each line in the file beside `read`; an empty id counts as 0, as in `read`."""
    if read.file.numbers is None:
        return None
    try:
        lines = list(lines_of(read.file.numbers))
    except OSError:
        return None
    found = {}
    for number, _, line in lines:
        try:
            record = record_of(line)
            contextual, intrinsic = (str(record[field]).strip() for field in (CONTEXTUAL, INTRINSIC))
            found[number] = (f"{read.file.task}/{id_of(record[ID], '')}", contextual, intrinsic)
        except (BadLine, KeyError):
            continue
    return found


def describe_differences(found: Differences) -> list[str]:
    """Why they differ, one line for each kind: `3 failed calls, unjudged here: refusal (2), unsafe (1) in its numbers`."""
    lines = []
    if found.errors:
        lines.append(f"{count(found.errors.total(), 'failed call')}, unjudged here: {_words(found.errors)} in its numbers")
    if found.unread:
        replies = count(found.unread.total(), "reply without a verdict", "replies without a verdict")
        lines.append(f"{replies}, unjudged here: {_words(found.unread)} in its numbers")
    if found.read:
        lines.append(f"{count(found.read, 'verdict')} of a reply: {NOT_AVAILABLE} in its numbers")
    for (theirs, ours), number in found.other.most_common():
        lines.append(f"{count(number, 'verdict')}: {WORDS[ours]} in the reply, {WORDS[theirs]} in its numbers")
    return lines


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{WORDS[digit]} ({number:,})" for digit, number in counts.most_common())
