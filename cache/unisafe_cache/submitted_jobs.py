"""Table `submitted_jobs`: requests that a vendor answers by a job of its own each, from before the submission until the answer.

The vendor is paid for a job that it took. So the row is on disk before the job is polled, and only the answer's commit, the vendor
or the user deletes it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from unisafe_cache.columns import build_record
from unisafe_cache.domains import find_first_wrong
from unisafe_cache.errors import CacheError

COLUMNS = "key, identity, job, state, cost, run, created"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A request's job, without the request (it stays in the file).

    Args:
        key: responses.key of the request.
        job: the job as one line of JSON (unisafe_providers.jobs.Job); None while it is not known whether the vendor took it.
        state: `submitting` while the request is on its way; then `submitted`, or `lost` after the vendor said that it no longer
            knows the job or no longer has its answer.
        cost: the most that it costs, in US dollars; None if no price is known.
        run: the run that submitted it.
        created: the time of the submission, in UTC.
    """

    key: str
    identity: str
    job: str | None
    state: str
    cost: float | None
    run: str
    created: datetime


def begin_submission(connection: duckdb.DuckDBPyConnection, record: JobRecord, request: str) -> JobRecord | None:
    """Store that `request` is being submitted, unless it has a job; returns what the table held of the request before."""
    before = find_job(connection, record.key)
    if before is None or before.job is None:
        _replace(connection, record, request)
    return before


def note_job(connection: duckdb.DuckDBPyConnection, record: JobRecord, request: str) -> None:
    """Store the job that the vendor took for `request`."""
    _replace(connection, record, request)


def _replace(connection: duckdb.DuckDBPyConnection, record: JobRecord, request: str) -> None:
    connection.begin()
    connection.execute("DELETE FROM submitted_jobs WHERE key = ?", [record.key])
    values = [record.key, record.identity, request, record.job, record.state, record.cost, record.run, record.created]
    connection.execute("INSERT INTO submitted_jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    connection.commit()


def note_lost(connection: duckdb.DuckDBPyConnection, key: str) -> None:
    """Note that the vendor no longer knows the request's job, or no longer has its answer."""
    connection.execute("UPDATE submitted_jobs SET state = 'lost' WHERE key = ? AND job IS NOT NULL", [key])


def drop_jobs(connection: duckdb.DuckDBPyConnection, keys: Collection[str]) -> None:
    """Delete what is stored of the requests' jobs: the requests may be submitted anew."""
    connection.execute("DELETE FROM submitted_jobs WHERE key IN (SELECT unnest($1::VARCHAR[]))", [list(keys)])


def end_jobs(connection: duckdb.DuckDBPyConnection, answered: Mapping[str, str]) -> None:
    """Delete the jobs whose answers are being committed, by key and line; another job of the same request stays."""
    connection.execute(
        "DELETE FROM submitted_jobs USING (SELECT unnest($1::VARCHAR[]) AS key, unnest($2::VARCHAR[]) AS job) AS answered "
        "WHERE submitted_jobs.key = answered.key AND coalesce(submitted_jobs.job, answered.job) = answered.job",
        [list(answered), list(answered.values())],
    )


def find_job(connection: duckdb.DuckDBPyConnection, key: str) -> JobRecord | None:
    """What is stored of a request's job. Raises CacheError if it is nothing that a run writes."""
    return next(iter(_read(connection, "key = $value", key)), None)


def find_jobs(connection: duckdb.DuckDBPyConnection, identity: str) -> dict[str, JobRecord]:
    """The jobs that the vendor took for a model's requests and that are not answered, by key."""
    return {record.key: record for record in _read(connection, "identity = $value AND job IS NOT NULL", identity)}


def list_jobs(connection: duckdb.DuckDBPyConnection) -> list[JobRecord]:
    """Every job of every model, the newest first. Raises CacheError if the table holds something that no run writes."""
    return _read(connection, "$value", "true")


def _read(connection: duckdb.DuckDBPyConnection, where: str, value: str) -> list[JobRecord]:
    where = f"FROM submitted_jobs WHERE {where}"
    found = connection.execute(f"SELECT {COLUMNS} {where} ORDER BY created DESC, key", {"value": value}).fetchall()
    if found and (wrong := find_first_wrong(connection, "submitted_jobs", f"(SELECT * {where})", {"value": value})):
        raise CacheError(f"submitted jobs cannot be read: {wrong}; another program wrote or changed it")
    return [_record(row) for row in found]


def _record(row: tuple[Any, ...]) -> JobRecord:
    return build_record(JobRecord, row)
