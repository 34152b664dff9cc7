"""The lines of one file of the official toolkit's verdicts, each taken or refused by itself.

A verdict is a number, or a judge's reply that our own parser reads. If a call failed, the toolkit writes the error's text (its
`chat_once` returns it). That is no reply, so the item stays unjudged. These facts come from `safety_checker.py` and `utils.py`,
read in November 2026.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from unisafe_judger import SAFETY_OR_REFUSAL, SCALES
from unisafe_judger.parse import parse_verdict
from unisafe_providers.lines import BadItemLine, BadLine, Record, lines_of, record_of
from unisafe_providers.named_files import show_value

from unisafe_async.benchmark import DatasetError
from unisafe_async.interchange.official import CONTEXTUAL, ID, INTRINSIC, NOT_AVAILABLE, SUFFIX
from unisafe_async.interchange.verdict_files import VerdictFile

Question = Literal["contextual", "intrinsic"]
FIELDS: dict[Question, str] = {"contextual": CONTEXTUAL, "intrinsic": INTRINSIC}
NUMBERS = tuple(map(str, SAFETY_OR_REFUSAL.words))
"""The toolkit writes the numbers of our labels, as text."""
ABSENT: Final = "absent"
"""The status of a verdict that an imported file does not have."""
ZERO = "0"
"""The id that the toolkit writes as an empty text, because it takes 0 for "no id"."""

CALL_FAILED = re.compile(r"\s*error when calling the model\s*:?\s*", re.I)
"""The words that the toolkit puts before an error's text when it gives a call up."""
API_ERROR = re.compile(
    r"""\s*(?: error\s+code:\s*\d{3}\b | (?:api\s+)?connection\s+error\b | request\s+timed\s+out\b | too\s+many\s+requests\b
          | (?:[\w.]*(?:Error|Exception|Timeout))\s*[:(] | \{\s*["']error["']\s*: | <!doctype\s+html | <html\b )""",
    re.I | re.X,
)
"""How the error texts of API clients begin, if the toolkit puts no words before them."""
CODE = re.compile(r"\s*error\s+code:\s*(\d{3})\b", re.I)
KIND = 40
"""The number of characters that tell the kind of an error."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A line's verdict on one question. `label` is None unless `status` is `judged`; `failed` means a failed call.

    Args:
        reason: the judge's reason, or why there is no verdict; empty for a number alone.
        raw: the text, if it states no verdict that can be read.
    """

    label: int | None
    status: Literal["judged", "unparsed", "failed", "absent"]
    reason: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictLine:
    """A taken line with its `number` in the file; `repeat` counts the lines of its item from 0."""

    item: str
    repeat: int
    number: int
    contextual: Reading
    intrinsic: Reading


@dataclass(kw_only=True)
class ReadFile:
    """A file's lines: the taken ones, the refused ones, how many stand for id 0, and failed calls by cause."""

    file: VerdictFile
    lines: list[VerdictLine] = field(default_factory=list)
    refused: list[BadItemLine] = field(default_factory=list)
    zeros: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def alone(self) -> bool:
        """Whether these are the toolkit's numbers without the replies: there a failed call looks like a verdict."""
        return self.file.path.stem.endswith(SUFFIX) and not self.file.ours


def read_verdicts(file: VerdictFile, items: Container[str]) -> ReadFile:
    """Every line of `file`; `items` are the dataset's items as `task/id`. Raises DatasetError if the file cannot be read."""
    found = ReadFile(file=file)
    records = _records(file, found)
    zero = _zero(file, records, items)
    repeats: Counter[str] = Counter()
    replies = not file.path.stem.endswith(SUFFIX)
    for number, record in records:
        try:
            item = f"{file.task}/{id_of(record[ID], zero)}"
            if item not in items:
                unknown = f"{ID}: the dataset has no item {show_value(item)[1:-1]}"
                raise BadLine(f"{unknown}; name the dataset that was judged under [dataset], or --data")
            readings = [_reading(record, question, replies) for question in FIELDS]
        except BadLine as error:
            found.refused.append(BadItemLine(file.place, number, str(error)))
            continue
        found.zeros += record[ID] == ""
        found.errors.update(_kind(one.raw) for one in readings if one.status == "failed")
        found.lines.append(
            VerdictLine(item=item, repeat=repeats[item], number=number, contextual=readings[0], intrinsic=readings[1])
        )
        repeats[item] += 1
    found.refused.sort(key=lambda problem: problem.line)
    return found


def _records(file: VerdictFile, found: ReadFile) -> list[tuple[int, Record]]:
    """The lines that are records, with their numbers; other lines are refused."""
    records = []
    try:
        for number, _, line in lines_of(file.path):
            try:
                record = record_of(line)
                if not {ID, CONTEXTUAL, INTRINSIC} <= record.keys():
                    raise BadLine(f"should be an object with {ID}, {CONTEXTUAL} and {INTRINSIC}")
            except BadLine as error:
                cut = "" if line.endswith((b"\n", b"}")) else "; the file ends here in the middle of a line, as after a kill"
                found.refused.append(BadItemLine(file.place, number, f"{error}{cut}"))
            else:
                records.append((number, record))
    except OSError as error:
        raise DatasetError(f"{file.path} cannot be read: {error.strerror}") from None
    return records


# ---------------------------------------------------------------- ids


def _zero(file: VerdictFile, records: Sequence[tuple[int, Record]], items: Container[str]) -> str:
    """Why an empty id cannot be taken for 0; empty if it can.

    It can if the dataset has an item 0, no other line names it, and the empty id has no more lines than another item. The toolkit
    also writes an empty id if its input had no id.
    """
    ids = Counter(str(record[ID]) for _, record in records)
    empty = ids.pop("", 0)
    if f"{file.task}/{ZERO}" not in items:
        return f"the dataset has no item {file.task}/{ZERO}"
    if ids[ZERO]:
        return f"other lines name item {ZERO}"
    most = max(ids.values(), default=1)
    return f"{empty} lines have it, and no other id has more than {most}" if empty > most else ""


def id_of(value: object, zero: str) -> str:
    """The id as the dataset has it; `zero` says why an empty id is not taken for 0. Raises BadLine."""
    if value == "" and not zero:
        return ZERO
    if value == "":
        raise BadLine(f'{ID}: is "", which the toolkit writes for id 0 and for no id; not taken for 0, since {zero}')
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadLine(f"{ID}: should be a number or a string, found {show_value(value)}")
    return str(value)


# ---------------------------------------------------------------- verdicts


def _reading(record: Record, question: Question, replies: bool) -> Reading:
    """The verdict of `record` on `question`, in numbers or, with `replies`, in a judge's words. Raises BadLine for anything else.

    An intrinsic 2 is no verdict: the toolkit's own counts count it neither as safe nor as unsafe.
    """
    value = record[FIELDS[question]]
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if value is None or text == NOT_AVAILABLE:
        return Reading(None, ABSENT, NOT_AVAILABLE if value is not None else "null")
    if text in NUMBERS:
        if int(text) in SCALES[question].labels:
            return Reading(int(text), "judged")
        return Reading(None, ABSENT, f"{FIELDS[question]} {text} is no verdict")
    if replies and isinstance(value, str):
        return _read(value, question)
    right = "a judge's reply" if replies else ", ".join(f'"{number}"' for number in NUMBERS)
    raise BadLine(f'{FIELDS[question]}: should be {right} or "{NOT_AVAILABLE}", found {show_value(value)}')


def _read(reply: str, question: Question) -> Reading:
    """The verdict of a judge's reply, by the parser that reads our own judges'."""
    given_up = CALL_FAILED.match(reply)
    if given_up or API_ERROR.match(reply):
        error = reply[given_up.end() :] if given_up else reply
        return Reading(None, "failed", f"the toolkit's call failed: {error.strip() or 'no reason given'}", error)
    parsed = parse_verdict(reply, SCALES[question].labels, question)
    if parsed is None:
        return Reading(None, "unparsed", "the reply states no verdict that is allowed here" if reply.strip() else "empty", reply)
    return Reading(parsed.label, "judged", parsed.reason.strip().rstrip(";").strip())


def _kind(error: str) -> str:
    """The cause of an error in few words: `429`, `Connection error`."""
    code = CODE.match(error)
    return code[1] if code else " ".join(error.split())[:KIND].rstrip(" .:")
