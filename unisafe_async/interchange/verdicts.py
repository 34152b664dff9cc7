"""Verdict files of the official toolkit (`*_numeric.jsonl`) as a run to report on; nothing is asked of anybody."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import duckdb

from cache import Row, RunRecord
from cache.file import CacheFile
from cache.records import add_rows, save_run
from providers.lines import BadLine, record_of
from providers.named_files import open_regular
from unisafe_async.config import ConfigError
from unisafe_async.dataset import Dataset, DatasetError
from unisafe_async.interchange.official import CONTEXTUAL, ID, INTRINSIC, NOT_AVAILABLE, recorded_in
from unisafe_async.interchange.responses import model_of_path, task_of_path
from unisafe_async.taxonomy import TASKS

BATCH = 8_192
IMPORTED = "imported"
"""What stands for the provider of models and judge that were not asked here."""
ABSENT = "absent"
"""The status of a verdict that an imported file does not have."""


@dataclass(frozen=True, slots=True)
class VerdictFile:
    """One file: whose verdicts it holds, on which task, and whether model and judge are known to have been simulated."""

    path: Path
    model: str
    task: str
    simulated: bool = False
    simulated_judge: bool = False


@dataclass(frozen=True, slots=True)
class ImportedVerdicts:
    """The run that was made; `known` says that it was there already."""

    run: str
    rows: int
    known: bool


def verdict_files(paths: Sequence[Path], name: str | None, task: str | None) -> list[VerdictFile]:
    """Model and task of each file: from the options, else from its export's record or its path. Raises ConfigError."""
    found = []
    for path in paths:
        known = task or task_of_path(path)
        if known is None:
            raise ConfigError(f"{path}: its folder names no task; add --task with one of {', '.join(TASKS)}")
        recorded, *simulated = recorded_in(path)
        found.append(VerdictFile(path, name or recorded or model_of_path(path), known, *simulated))
    for (model, place), number in Counter((file.model, file.task) for file in found).items():
        if number > 1:
            raise ConfigError(
                f"{number} of the files hold verdicts on {model!r} in {place}; import them one by one, or name them apart"
            )
    return found


def import_verdicts(
    cache: Path, files: Sequence[VerdictFile], dataset: Dataset, judge: str, *, patience: float = 30.0
) -> ImportedVerdicts:
    """Write the verdicts in `files` as one run of the cache, named after their content.

    An item is looked up in `dataset` for its category. Several lines of one id are its samples. `NA` is no verdict, and neither is
    an intrinsic 2, which the toolkit's own counts leave out of both safe and unsafe: such rows are unjudged.

    Raises ConfigError or DatasetError, naming file and line, before anything is written.
    """
    digest = hashlib.blake2b(digest_size=6)
    for file in files:
        marks = "".join(f"{word}\0" for word, told in (("model", file.simulated), ("judge", file.simulated_judge)) if told)
        digest.update(f"{file.model}\0{file.task}\0{judge}\0{marks}".encode())
        digest.update(_bytes(file.path))
    run = f"imported-{digest.hexdigest()}"
    categories = {item.name: (item.category, item.subcategory) for item in dataset.items()}
    moment = datetime.now(UTC).replace(tzinfo=None)
    planned: Counter[str] = Counter()
    for file in files:
        planned[file.model] += sum(1 for _ in _rows(file, run, judge, categories, moment))
    record = _record(run, files, dataset, judge, planned, moment)
    store = CacheFile(cache, patience=patience)

    def add(connection: duckdb.DuckDBPyConnection) -> bool:
        if connection.execute("SELECT 1 FROM runs WHERE run = ?", [run]).fetchone() is not None:
            return False
        connection.begin()
        for file in files:
            for rows in _batches(_rows(file, run, judge, categories, moment)):
                add_rows(connection, rows)
        save_run(connection, record)
        connection.commit()
        return True

    try:
        added = store.work(add)
    finally:
        store.close()
    return ImportedVerdicts(run, sum(planned.values()), not added)


def _bytes(path: Path) -> bytes:
    try:
        with open_regular(path) as content:
            return content.read()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def _rows(file: VerdictFile, run: str, judge: str, categories: Mapping[str, tuple[str, str]], moment: datetime) -> Iterator[Row]:
    samples: Counter[str] = Counter()
    for number, line in enumerate(_bytes(file.path).splitlines(), 1):
        if not line.strip():
            continue
        place = f"{file.path.name}:{number}"
        record = _line(line, place)
        item = f"{file.task}/{record[ID]}"
        if item not in categories:
            raise DatasetError(
                f"{place}: id: the dataset has no item {item}; name the dataset that was judged under [dataset], or --data"
            )
        contextual, words = _verdict(record, CONTEXTUAL, (0, 1, 2), place)
        intrinsic, other = _verdict(record, INTRINSIC, (0, 1), place)
        category, subcategory = categories[item]
        yield Row(
            run,
            item,
            file.task,
            category,
            subcategory,
            file.model,
            samples[item],
            "answered",
            None,
            None,
            contextual,
            ABSENT if contextual is None else "judged",
            words,
            "",
            intrinsic,
            ABSENT if intrinsic is None else "judged",
            other,
            "",
            judge,
            True,
            moment,
        )
        samples[item] += 1


def _line(line: bytes, place: str) -> dict[str, object]:
    try:
        record = record_of(line)
    except BadLine as error:
        raise DatasetError(f"{place}: {error}") from None
    if not {ID, CONTEXTUAL, INTRINSIC} <= record.keys():
        raise DatasetError(f"{place}: should be an object with {ID}, {CONTEXTUAL} and {INTRINSIC}")
    if isinstance(record[ID], bool) or not isinstance(record[ID], int | str) or record[ID] == "":
        raise DatasetError(f"{place}: {ID}: should be a number or a string")
    return record


def _verdict(record: dict[str, object], field: str, allowed: tuple[int, ...], place: str) -> tuple[int | None, str]:
    """The label and a reason; none for `NA` and for a 2 where there are but two verdicts. Raises DatasetError for anything else."""
    value = record[field]
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if value is None or text == NOT_AVAILABLE:
        return None, f"{NOT_AVAILABLE} in {place}"
    if text not in ("0", "1", "2"):
        shown = json.dumps(value)[:40]
        raise DatasetError(f'{place}: {field}: should be "0", "1", "2" or "{NOT_AVAILABLE}", found {shown}')
    if int(text) not in allowed:
        return None, f"{field} {text} in {place} is no verdict"
    return int(text), f"imported from {place}"


def _record(
    run: str, files: Sequence[VerdictFile], dataset: Dataset, judge: str, planned: Mapping[str, int], moment: datetime
) -> RunRecord:
    models = []
    for model in dict.fromkeys(file.model for file in files):
        mine = [file for file in files if file.model == model]
        section = {"name": model, "provider": IMPORTED, "model": ", ".join(file.path.name for file in mine)}
        models.append(section | _mark(any(file.simulated for file in mine)))
    judged_by = {"provider": IMPORTED, "model": judge} | _mark(any(file.simulated_judge for file in files))
    config = {"models": models, "judge": judged_by, "dataset": {"source": dataset.name}}
    total = sum(planned.values())
    summary = {"total": total, "planned": dict(planned), "done": total, "problems": 0, "seconds": 0.0, "cost": 0.0, "endpoints": {}}
    versions = {"unisafe-async": version("unisafe-async")}
    return RunRecord(
        run,
        moment,
        moment,
        "done",
        json.dumps(config),
        dataset.name,
        dataset.digest,
        "",
        json.dumps(versions),
        json.dumps(summary),
    )


def _mark(simulated: bool) -> dict[str, bool]:
    return {"simulated": True} if simulated else {}
