"""Table `batches`: batch jobs at a vendor. A job is in it before the vendor is asked, until its answers are in `responses`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from unisafe_cache.columns import build_record
from unisafe_cache.domains import OPEN_JOBS as OPEN_JOBS
from unisafe_cache.domains import find_first_wrong
from unisafe_cache.errors import CacheError

COLUMNS = "id, identity, keys, status, most, run, created"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """One batch job, without its requests (they stay in the file).

    Args:
        id: the vendor's name of the job; during the submission, its tag.
        keys: responses.key of each request.
        status: `submitting` while it is not known whether the vendor took it, then `submitted`. `cancelling` once the user has
            given it up: then requests without an answer may be sent anew. In the end `collected`, `cancelled` or `failed`.
        max_cost: the most that it can cost, in US dollars.
        created: the time just before the submission, in UTC.
    """

    id: str
    identity: str
    keys: tuple[str, ...]
    status: str
    max_cost: float
    run: str
    created: datetime

    @property
    def handed_over(self) -> bool:
        return self.status != "submitting"

    @property
    def open(self) -> bool:
        """Whether the job may still bring answers."""
        return self.status in OPEN_JOBS

    @property
    def first_id(self) -> int:
        """The smallest id of an answer that came after this job was begun (records.Ids)."""
        return int(self.created.replace(tzinfo=UTC).timestamp() * 1e6) << 12


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Why a job was not begun: another run has some of its requests in `jobs` under way, or has `answered` them (keys)."""

    answered: frozenset[str]
    jobs: tuple[BatchRecord, ...]


def begin_batch(
    connection: duckdb.DuckDBPyConnection, record: BatchRecord, requests: Sequence[str], since: int
) -> Overtaken | None:
    """Store a job before its submission, with the canonical JSON of its requests, in the order of its keys.

    Stores nothing if another run on the same cache was quicker with one of the requests. Answers with an id below `since` do not
    count.
    """
    keys = frozenset(record.keys)
    jobs = tuple(job for job in open_batches(connection, record.identity) if not keys.isdisjoint(job.keys))
    answered = find_answered(connection, record.keys, since)
    if jobs or answered:
        return Overtaken(answered, jobs)
    values = [record.id, record.identity, list(record.keys), record.run, record.created, list(requests), record.max_cost]
    connection.execute("INSERT INTO batches VALUES (?, ?, ?, 'submitting', ?, ?, ?, ?)", values)
    return None


def find_answered(connection: duckdb.DuckDBPyConnection, keys: Sequence[str], since: int) -> frozenset[str]:
    """The `keys` that have an answer with an id from `since` on."""
    sql = "SELECT DISTINCT key FROM responses WHERE id >= $2 AND key IN (SELECT unnest($1::VARCHAR[]))"
    return frozenset(row[0] for row in connection.execute(sql, [list(keys), since]).fetchall())


def drop_batch(connection: duckdb.DuckDBPyConnection, record: BatchRecord) -> None:
    """Forget a job that the vendor refused."""
    connection.execute("DELETE FROM batches WHERE id = ? AND identity = ?", [record.id, record.identity])


def accept_batch(connection: duckdb.DuckDBPyConnection, tag: str, job: str) -> None:
    """Note that the vendor took the job and calls it `job`."""
    connection.execute("UPDATE batches SET id = ?, status = 'submitted' WHERE id = ?", [job, tag])


def cancel_batch(connection: duckdb.DuckDBPyConnection, identity: str, job: str) -> None:
    """Note that the user gives a model's job up; its answers so far will still be collected."""
    sql = "UPDATE batches SET status = 'cancelling' WHERE id = ? AND identity = ? AND status = 'submitted'"
    connection.execute(sql, [job, identity])


def end_batch(connection: duckdb.DuckDBPyConnection, identity: str, job: str, status: str) -> None:
    """Note that a model's job is over: `collected`, `cancelled` or `failed`."""
    connection.execute("UPDATE batches SET status = ?, requests = NULL WHERE id = ? AND identity = ?", [status, job, identity])


def open_batches(connection: duckdb.DuckDBPyConnection, identity: str) -> list[BatchRecord]:
    """The jobs of a model that are or may be under way. Raises CacheError if the table holds something that no run writes."""
    _check(connection)
    where = "WHERE identity = $1 AND status IN (SELECT unnest($2::VARCHAR[]))"
    found = connection.execute(f"SELECT {COLUMNS} FROM batches {where} ORDER BY created", [identity, list(OPEN_JOBS)]).fetchall()
    return [_record(row) for row in found]


def read_statuses(
    connection: duckdb.DuckDBPyConnection, identity: str, created: datetime
) -> dict[tuple[str, datetime], tuple[str, str]]:
    """Id and status of a model's jobs that began at `created` or later, over or not, by their run and their beginning."""
    sql = "SELECT run, created, id, status FROM batches WHERE identity = ? AND created >= ?"
    found = connection.execute(sql, [identity, created]).fetchall()
    return {(run, begun): (job, status) for run, begun, job, status in found}


def list_batches(connection: duckdb.DuckDBPyConnection) -> list[BatchRecord]:
    """Every job of every model, the newest first. Raises CacheError if the table holds something that no run writes."""
    _check(connection)
    found = connection.execute(f"SELECT {COLUMNS} FROM batches ORDER BY created DESC, id DESC").fetchall()
    return [_record(row) for row in found]


def _check(connection: duckdb.DuckDBPyConnection) -> None:
    if wrong := find_first_wrong(connection, "batches", "batches"):
        raise CacheError(f"batch jobs cannot be read: {wrong}; another program wrote or changed it")


def _record(row: tuple[Any, ...]) -> BatchRecord:
    return build_record(BatchRecord, (row[0], row[1], tuple(row[2]), *row[3:]))


def list_known_jobs(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Every job of any model whose vendor's name we know: none of them can be the job of an interrupted submission."""
    return {row[0] for row in connection.execute("SELECT id FROM batches").fetchall()}


def find_unanswered(connection: duckdb.DuckDBPyConnection, identity: str, job: str, since: int) -> dict[str, str]:
    """The requests of a model's job, by key, that have no answer with an id from `since` on."""
    sql = """
        WITH job AS (SELECT unnest(keys) AS key, unnest(requests) AS request FROM batches WHERE id = $1 AND identity = $3)
        SELECT key, request FROM job
        WHERE key NOT IN (SELECT key FROM responses WHERE id >= $2 AND key IN (SELECT key FROM job))
    """
    return dict(connection.execute(sql, [job, since, identity]).fetchall())


def find_under_way(connection: duckdb.DuckDBPyConnection, identity: str) -> dict[str, str]:
    """The keys of a model's requests in jobs under way, each with its job."""
    return {key: record.id for record in open_batches(connection, identity) for key in record.keys}
