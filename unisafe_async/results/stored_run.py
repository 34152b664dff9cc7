"""The one reader of a stored run: its record in table `runs`, with what its configuration and its summary say, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
from unisafe_cache import CacheError
from unisafe_cache.run_shapes import Config, Summary, WrongShape, read_shapes

from unisafe_async.benchmark.shards import Shard, ShardError, read_shard

IMPORTED = "imported"
"""The provider of models and judge in a run of imported verdicts (`import-verdicts`): nobody was asked here."""
IS_IMPORTED = f"coalesce(try_cast(config AS JSON) ->> '$.judge.provider', '') = '{IMPORTED}'"
"""StoredRun.is_imported in SQL, also where a run's record cannot be read."""
CALLED_NAME = "coalesce(try_cast(config AS JSON) ->> '$.run.name', '')"
"""What people call a run, in SQL."""
CALLED_TAGS = "coalesce(try_cast(json_extract_string(try_cast(config AS JSON), '$.run.tags[*]') AS VARCHAR[]), [])"
"""A run's tags, in SQL."""
SAMPLES = "coalesce((SELECT (config::JSON ->> '$.generation.samples')::INTEGER FROM runs WHERE run = $run), 1)"
"""StoredRun.samples in SQL: an item's sample that was not reached could be the unsafe one."""

RECORD = """
SELECT status, started, ended, dataset, coalesce(dataset_digest, ''), coalesce(rubrics_digest, ''), config, versions, summary
FROM runs WHERE run = ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run's record.

    Attributes:
        started, ended: UTC; None before it started, and while it runs.
        dataset, dataset_digest: the items.
        rubrics_digest: of the rubrics that it was judged by; empty where it is not known.
        config: the configuration, as far as anything reads it.
        settings: the same as it stands in the file, for whoever writes it down again.
        versions: by package, when the run was made.
        summary: its figures.
    """

    run: str
    status: str
    started: datetime | None
    ended: datetime | None
    dataset: str
    dataset_digest: str
    rubrics_digest: str
    config: Config
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    summary: Summary

    @property
    def is_imported(self) -> bool:
        """Whether its verdicts were imported; IS_IMPORTED is the same in SQL."""
        return self.config.judge.provider == IMPORTED

    @property
    def called(self) -> str:
        """What people call it, with its tags: `nightly [ci, gpt-5]`; empty for a run without either."""
        return describe_called(self.config)

    @property
    def shard(self) -> Shard | None:
        """Which part of the selected items it asked; None for all of them."""
        return find_shard(self.config)

    @property
    def items(self) -> str:
        """Its dataset and, of a part of it, which one: `sample, shard 3 of 8`."""
        return name_items(self.dataset, self.config)

    @property
    def samples(self) -> int:
        """How many samples the run asks of each item; SAMPLES is the same in SQL."""
        return self.config.generation.samples


def describe_called(config: Config) -> str:
    """The name and the tags of a run: `nightly [ci, gpt-5]`."""
    tags = f"[{', '.join(config.run.tags)}]" if config.run.tags else ""
    return " ".join(part for part in (config.run.name, tags) if part)


def find_shard(config: Config) -> Shard | None:
    """The part of the selected items that a run asks; None for all of them, and for a name that is no shard's."""
    try:
        return read_shard(config.dataset.shard) if config.dataset.shard else None
    except ShardError:
        return None


def name_items(dataset: str, config: Config) -> str:
    """A dataset and, of a part of it, which one."""
    shard = find_shard(config)
    return f"{dataset}, {shard.words}" if shard else dataset


def read_run(connection: duckdb.DuckDBPyConnection, run: str) -> StoredRun:
    """The record of `run` (a full name). Raises CacheError when there is none, or when it holds what no run writes."""
    found = find_run(connection, run)
    if found is None:
        raise CacheError(f"there is no run {run!r}; `unisafe runs` lists them")
    return found


def find_run(connection: duckdb.DuckDBPyConnection, run: str) -> StoredRun | None:
    """The record of `run`; None where there is none. Raises CacheError when it holds what no run writes."""
    record = connection.execute(RECORD, [run]).fetchone()
    if record is None:
        return None
    status, started, ended, dataset, dataset_digest, rubrics_digest, *texts = record
    try:
        shapes = read_shapes(*texts)
    except WrongShape as wrong:
        raise CacheError(f"run {run[:80]!r} cannot be read: {wrong}; another program wrote or changed it") from None
    return StoredRun(
        run=run,
        status=status,
        started=started,
        ended=ended,
        dataset=dataset,
        dataset_digest=dataset_digest,
        rubrics_digest=rubrics_digest,
        config=shapes.config,
        settings=shapes.settings,
        versions=shapes.versions,
        summary=shapes.summary,
    )
