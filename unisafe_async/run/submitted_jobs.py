"""Submitted jobs outside a run: whose they are, and freeing their requests to be paid for again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from unisafe_cache import CacheError, Store
from unisafe_cache.submitted_jobs import JobRecord, drop_jobs, list_jobs
from unisafe_providers.errors import UnisafeError
from unisafe_providers.jobs import Job

from unisafe_async.config.bench_toml import Config
from unisafe_async.run.endpoints import provider_of


def name_of(record: JobRecord) -> str:
    """The vendor's name of a job; empty while it is not known whether the vendor took it."""
    return Job.read(record.job).name if record.job is not None else ""


def read_models(config: Config, records: Sequence[JobRecord]) -> dict[str, str]:
    """The names of the configuration's models and judges that submitted the jobs, by identity."""
    sections = [*((one.name, one) for one in config.models), *((one.title, one) for _, one in config.judge.sections)]
    names: dict[str, str] = {}
    for name, section in sections if records else ():
        if section.hosted:
            with suppress(UnisafeError):
                names.setdefault(provider_of(section, config.base).identity, name)
    return names


async def free(cache: Path, records: Sequence[JobRecord]) -> int:
    """Delete jobs from the cache, so that the next run pays for their requests again; returns how many there still were.

    Raises CacheError if a run is asking for one of them just now.
    """
    async with Store(cache) as store:
        held = [record.key for record in records if store.claim(record.key)]
        try:
            if len(held) < len(records):
                raise CacheError(f"{cache}: a run is asking for the answer of this job just now; let it end, or stop it first")
            there = {record.key for record in await store.query(list_jobs)}
            await store.query(partial(drop_jobs, keys=held))
        finally:
            for key in held:
                store.release(key)
    return len(there.intersection(held))
