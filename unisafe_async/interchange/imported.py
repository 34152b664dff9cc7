"""The output of `import-verdicts` as lines of text: what was found, taken, refused, left unjudged and missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.interchange.verdict_files import Found
from unisafe_async.interchange.verdict_lines import ReadFile
from unisafe_async.interchange.verdict_numbers import Differences, compare, describe_differences
from unisafe_async.interchange.verdicts import NUMBERS_ALONE, ImportedVerdicts
from unisafe_async.text import count

LISTED = 50
"""The most refused lines that are listed."""
FILES = 10
"""The most left-out files that are named."""
CAUSES = 4
"""The most kinds of failed calls that are named."""


def import_lines(found: Found, done: ImportedVerdicts) -> Iterator[str]:
    """What was found and not found, model by model; then everything that was not taken unchanged; last the run's name."""
    for model in dict.fromkeys(one.file.model for one in done.read):
        mine = [one for one in done.read if one.file.model == model]
        yield from _of_model(model, mine, done)
        yield from _describe_compared(model, mine)
    yield from _read(done.read)
    yield from _describe_failed(done.read)
    yield from _describe_alone(done.read)
    yield from _describe_refused(found, done.read)
    yield from _describe_left_out(found.left_out)
    known = ", there already" if done.known else ""
    yield f"run {done.run}: {count(done.rows, 'row')}{known}; `unisafe report {done.run}` shows it"


def _of_model(model: str, read: Sequence[ReadFile], done: ImportedVerdicts) -> Iterator[str]:
    """`bagel: 2 of 7 tasks: Unsafe T2I Generation 12 of 13 items; not found: ...`."""
    tasks = [task for task in TASKS if task in done.items]
    reached = {one.file.task: len({line.item for line in one.lines}) for one in read}
    parts = [f"{TASKS[task].title} {reached[task]:,} of {count(done.items[task], 'item')}" for task in tasks if task in reached]
    files = count(len(read), "file")
    yield f"{model}: {len(parts)} of {count(len(tasks), 'task')} in {files}: {', '.join(parts) or 'none'}"
    missing = [TASKS[task].title for task in tasks if task not in reached]
    if missing:
        yield f"  not found: {', '.join(missing)}"


def _read(read: Sequence[ReadFile]) -> Iterator[str]:
    for one in read:
        if one.zeros:
            yield f'{one.file.place}: {count(one.zeros, "line")} with id "" taken for item 0, which the toolkit writes so'


def _describe_failed(read: Sequence[ReadFile]) -> Iterator[str]:
    """The number of verdicts that are none because the toolkit's call failed, and of replies that state none."""
    errors: Counter[str] = sum((one.errors for one in read), Counter())
    if errors:
        kinds = ", ".join(f"{kind} ({number:,})" for kind, number in errors.most_common(CAUSES))
        rest = errors.total() - sum(number for _, number in errors.most_common(CAUSES))
        yield (
            f"{count(errors.total(), 'verdict')} left unjudged, since the toolkit's call failed: {kinds}"
            f"{f', others ({rest:,})' if rest else ''}; the toolkit's own numbers turn these into verdicts"
        )
    for status, words in (
        ("unparsed", "left unjudged, since the judge's reply states no verdict"),
        ("absent", "that the files do not have (NA, null, or an intrinsic 2)"),
    ):
        number = sum(
            reading.status == status for one in read for line in one.lines for reading in (line.contextual, line.intrinsic)
        )
        if number:
            yield f"{count(number, 'verdict')} {words}"


def _describe_compared(model: str, read: Sequence[ReadFile]) -> Iterator[str]:
    """How far our reading of one model's replies differs from the toolkit's numbers, and why."""
    each = [differences for one in read if (differences := compare(one)) is not None]
    if not each:
        return
    found = sum(each, Differences())
    part = f"{found.total:,} of {count(found.compared, 'verdict')} differ from the toolkit's own numbers beside them"
    yield f"{model}: read from the judge's replies in {count(len(each), 'file')}; {part}"
    yield from (f"  {line}" for line in describe_differences(found))
    if found.missing:
        yield f"  {count(found.missing, 'line')} of its numbers have no reply, and are not taken"


def _describe_alone(read: Sequence[ReadFile]) -> Iterator[str]:
    alone = [one for one in read if one.alone]
    if not alone:
        return
    yield (
        f"caution: in {count(len(alone), 'file')}, {NUMBERS_ALONE}"
        ' (an "Error code: 429" becomes refusal); the files without `_numeric` in their names have the replies'
    )
    beside = [one.file.unread for one in alone if one.file.unread is not None]
    yield from _some([f"  beside it, but not named: {path}" for path in beside], FILES, "file")


def _describe_refused(found: Found, read: Sequence[ReadFile]) -> Iterator[str]:
    yield from (f"refused: {path}: {why}" for path, why in found.refused)
    yield from _some([f"refused: {problem}" for one in read for problem in one.refused], LISTED, "line")


def _describe_left_out(files: Sequence[tuple[Path, str]]) -> Iterator[str]:
    yield from _some([f"left out: {path}: {why}" for path, why in files], FILES, "file")


def _some(lines: Sequence[str], listed: int, noun: str) -> Iterator[str]:
    yield from lines[:listed]
    if len(lines) > listed:
        yield f"and {count(len(lines) - listed, f'more {noun}')} for reasons like these"
