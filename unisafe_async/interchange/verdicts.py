"""Turns verdicts of the official toolkit into a run to report on, without any call."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import duckdb
from unisafe_cache import Row, RunRecord
from unisafe_cache.file import CacheFile
from unisafe_cache.records import add_rows, save_run
from unisafe_providers.base import clean

from unisafe_async.benchmark import Dataset, DatasetError
from unisafe_async.interchange.verdict_files import VerdictFile
from unisafe_async.interchange.verdict_lines import ABSENT, ReadFile, Reading, VerdictLine, read_verdicts
from unisafe_async.results.stored_run import IMPORTED
from unisafe_async.text import count

BATCH = 8_192
NUMBERS_ALONE = "numbers without the replies behind them; a failed call cannot be told from a verdict there"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedVerdicts:
    """The imported run with its number of `rows`; `known` says that the cache had it already.

    `read` holds the files' lines, also refused ones; `items` gives the dataset's number of items by task.
    """

    run: str
    rows: int
    known: bool
    read: tuple[ReadFile, ...]
    items: Mapping[str, int]


def import_verdicts(
    cache: Path, files: Sequence[VerdictFile], dataset: Dataset, judge: str, *, timeout: float = 30.0
) -> ImportedVerdicts:
    """Write the verdicts in `files` as one run of the cache, named after their content; a bad line is refused alone.

    The category of an item comes from `dataset`. Several lines with one id are repeats of the item. `NA` is no verdict. An
    intrinsic 2 is no verdict either: the toolkit counts it neither as safe nor as unsafe. Such rows are unjudged.

    Raises DatasetError with file and line if no line can be taken; then nothing is written.
    """
    categories = {item.name: (item.category, item.subcategory) for item in dataset.items()}
    read = tuple(read_verdicts(file, categories) for file in files)
    rows = sum(len(one.lines) for one in read)
    if not rows:
        refused = [str(problem) for one in read for problem in one.refused]
        more = f"\nand {count(len(refused) - 5, 'more line')}" if len(refused) > 5 else ""
        raise DatasetError("\n".join(["no line can be imported:", *refused[:5]]) + more)
    run = f"imported-{_digest_verdicts(read, judge)}"
    moment = datetime.now(UTC).replace(tzinfo=None)
    record = _record(run, read, dataset, judge, moment)
    store = CacheFile(cache, timeout=timeout)

    def add(connection: duckdb.DuckDBPyConnection) -> bool:
        if connection.execute("SELECT 1 FROM runs WHERE run = ?", [run]).fetchone() is not None:
            return False
        connection.begin()
        for one in read:
            for start in range(0, len(one.lines), BATCH):
                add_rows(connection, list(_rows(one, one.lines[start : start + BATCH], run, judge, categories, moment)))
        save_run(connection, record)
        connection.commit()
        return True

    try:
        added = store.work(add)
    finally:
        store.close()
    items = Counter(name.partition("/")[0] for name in categories)
    return ImportedVerdicts(run=run, rows=rows, known=not added, read=read, items=items)


def _digest_verdicts(read: Sequence[ReadFile], judge: str) -> str:
    """A digest of the run's content: judges, models and every verdict with its words, but not the place and order of the files."""
    digest = hashlib.blake2b(digest_size=6)
    for one in sorted(read, key=lambda one: (one.file.model, one.file.task)):
        file = one.file
        marks = (file.simulated, file.simulated_judge)
        digest.update(json.dumps([file.model, file.task, judge, *marks, len(one.refused)]).encode())
        for line in one.lines:
            digest.update(json.dumps([line.item, line.repeat, *map(astuple, (line.contextual, line.intrinsic))]).encode())
    return digest.hexdigest()


def _rows(
    read: ReadFile, lines: Sequence[VerdictLine], run: str, judge: str, categories: Mapping[str, tuple[str, str]], moment: datetime
) -> Iterator[Row]:
    file = read.file
    for line in lines:
        place = f"{file.place}:{line.number}"
        contextual, intrinsic = line.contextual, line.intrinsic
        category, subcategory = categories[line.item]
        yield Row(
            run=run,
            item=line.item,
            task=file.task,
            category=category,
            subcategory=subcategory,
            model=file.model,
            sample=line.repeat,
            outcome="answered",
            error=None,
            response=None,
            contextual=contextual.label,
            contextual_status=contextual.status,
            contextual_reason=_why(contextual, place),
            contextual_raw=contextual.raw,
            intrinsic=intrinsic.label,
            intrinsic_status=intrinsic.status,
            intrinsic_reason=_why(intrinsic, place),
            intrinsic_raw=intrinsic.raw,
            judge=judge,
            cached=True,
            created=moment,
        )


def _why(reading: Reading, place: str) -> str:
    """The judge's reason, or why there is no verdict, or the place of a number without words."""
    if reading.status == ABSENT:
        return f"{reading.reason} in {place}"
    return reading.reason or f"imported from {place}"


def _record(run: str, read: Sequence[ReadFile], dataset: Dataset, judge: str, moment: datetime) -> RunRecord:
    files = [one.file for one in read]
    models = []
    planned: Counter[str] = Counter()
    for model in dict.fromkeys(file.model for file in files):
        mine = [one for one in read if one.file.model == model]
        planned[model] = sum(len(one.lines) + len(one.refused) for one in mine)
        section = {"name": model, "provider": IMPORTED, "model": ", ".join(one.file.place for one in mine)}
        models.append(section | _mark(any(one.file.simulated for one in mine)))
    judged_by = {"provider": IMPORTED, "model": clean(judge)} | _mark(any(file.simulated_judge for file in files))
    config = {"models": models, "judge": judged_by, "dataset": {"source": clean(dataset.name)}}
    summary = {
        "total": planned.total(),
        "planned": dict(planned),
        "done": sum(len(one.lines) for one in read),
        "problems": 0,
        "seconds": 0.0,
        "cost": 0.0,
        "endpoints": {},
        "notes": {model: notes for model in planned if (notes := _notes([one for one in read if one.file.model == model]))},
    }
    versions = {"unisafe-async": version("unisafe-async")}
    return RunRecord(
        run=run,
        started=moment,
        ended=moment,
        status="done",
        config=json.dumps(config),
        dataset=clean(dataset.name),
        dataset_digest=dataset.digest,
        rubrics_digest="",
        versions=json.dumps(versions),
        summary=json.dumps(summary),
    )


def _notes(read: Sequence[ReadFile]) -> list[str]:
    """The warnings about the files behind one model's figures."""
    refused = sum(len(one.refused) for one in read)
    alone = sum(len(one.lines) for one in read if one.alone)
    return [
        *([f"{count(refused, 'line')} of the imported files could not be used, and stand as not run"] if refused else []),
        *([f"in {count(alone, 'line')} of the imported files, {NUMBERS_ALONE}"] if alone else []),
    ]


def _mark(simulated: bool) -> dict[str, bool]:
    return {"simulated": True} if simulated else {}
