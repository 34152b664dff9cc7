"""Table `submitted_jobs`: requests that a vendor answers by a job of its own each, from before the submission until the answer.

The vendor is paid for a job that it took. So the row is on disk before the job is polled, and only the answer's commit, the vendor
or the user deletes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job's record before it goes into the table; `request` is canonical JSON."""

    record: JobRecord
    request: str


def begin_submissions(connection: duckdb.DuckDBPyConnection, begun: Sequence[Submission]) -> list[JobRecord | None]:
    """Store that requests are being submitted, unless they have a job; returns what the table held of each before."""
    keys = [one.record.key for one in begun]
    before = {record.key: record for record in _read(connection, "key IN (SELECT unnest($value::VARCHAR[]))", keys)}
    new = [one for one in begun if (held := before.get(one.record.key)) is None or held.job is None]
    _replace(connection, new)
    return [before.get(key) for key in keys]


def note_jobs(connection: duckdb.DuckDBPyConnection, taken: Sequence[Submission]) -> list[None]:
    """Store the jobs that the vendor took for requests."""
    _replace(connection, taken)
    return [None] * len(taken)


def _replace(connection: duckdb.DuckDBPyConnection, submissions: Sequence[Submission]) -> None:
    newest = {one.record.key: one for one in submissions}
    if not newest:
        return
    connection.begin()
    drop_jobs(connection, list(newest))
    appender = connection.appender("submitted_jobs")
    for one in newest.values():
        record = one.record
        appender.append_row(
            record.key, record.identity, one.request, record.job, record.state, record.cost, record.run, record.created
        )
    appender.flush()
    connection.commit()


def note_lost(connection: duckdb.DuckDBPyConnection, key: str) -> None:
    """Note that the vendor no longer knows the request's job, or no longer has its answer."""
    connection.execute("UPDATE submitted_jobs SET state = 'lost' WHERE key = ? AND job IS NOT NULL", [key])


def drop_jobs(connection: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> list[None]:
    """Delete what is stored of the requests' jobs: the requests may be submitted anew."""
    connection.execute("DELETE FROM submitted_jobs WHERE key IN (SELECT unnest($1::VARCHAR[]))", [list(keys)])
    return [None] * len(keys)


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


def _read(connection: duckdb.DuckDBPyConnection, where: str, value: object) -> list[JobRecord]:
    where = f"FROM submitted_jobs WHERE {where}"
    found = connection.execute(f"SELECT {COLUMNS} {where} ORDER BY created DESC, key", {"value": value}).fetchall()
    if found and (wrong := find_first_wrong(connection, "submitted_jobs", f"(SELECT * {where})", {"value": value})):
        raise CacheError(f"submitted jobs cannot be read: {wrong}; another program wrote or changed it")
    return [_record(row) for row in found]


def _record(row: tuple[Any, ...]) -> JobRecord:
    return build_record(JobRecord, row)
