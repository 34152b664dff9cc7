"""Table `batches`: batch jobs at a vendor, known here before the vendor is asked and until their answers are in `responses`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from cache.domains import OPEN_JOBS as OPEN_JOBS
from cache.domains import first_wrong
from cache.errors import CacheError

COLUMNS = "id, identity, keys, status, most, run, created"


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One job, without its requests (they stay in the file).

    Args:
        id: the vendor's name of the job; while it is being handed over, its tag.
        keys: responses.key of each request.
        status: `submitting` while it is not known whether the vendor took it, `submitted`, or `cancelling` once the user gave it
            up: then what it does not answer is free to be sent anew. In the end `collected`, `cancelled` or `failed`.
        most: US dollars that it can cost at most.
        created: UTC, before it was handed over.
    """

    id: str
    identity: str
    keys: tuple[str, ...]
    status: str
    most: float
    run: str
    created: datetime

    @property
    def handed_over(self) -> bool:
        return self.status != "submitting"

    @property
    def open(self) -> bool:
        """Whether something may still come of it."""
        return self.status in OPEN_JOBS

    @property
    def first_id(self) -> int:
        """The least id of an answer that came after this job was begun (records.Ids)."""
        return int(self.created.replace(tzinfo=UTC).timestamp() * 1e6) << 12


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Why a job was not begun: another run has some of its requests in `jobs` under way, or has them `answered` (keys)."""

    answered: frozenset[str]
    jobs: tuple[BatchRecord, ...]


def begin_batch(
    connection: duckdb.DuckDBPyConnection, record: BatchRecord, requests: Sequence[str], since: int
) -> Overtaken | None:
    """Keep a job that is about to be handed over, with the canonical JSON of its requests, in the order of its keys.

    Nothing is kept where another run on the same cache was quicker with one of them; an answer older than the id `since` is none.
    """
    keys = frozenset(record.keys)
    jobs = tuple(job for job in open_batches(connection, record.identity) if not keys.isdisjoint(job.keys))
    answered = answered_of(connection, record.keys, since)
    if jobs or answered:
        return Overtaken(answered, jobs)
    values = [record.id, record.identity, list(record.keys), record.run, record.created, list(requests), record.most]
    connection.execute("INSERT INTO batches VALUES (?, ?, ?, 'submitting', ?, ?, ?, ?)", values)
    return None


def answered_of(connection: duckdb.DuckDBPyConnection, keys: Sequence[str], since: int) -> frozenset[str]:
    """Those of `keys` that have an answer with an id from `since` on."""
    sql = "SELECT DISTINCT key FROM responses WHERE id >= $2 AND key IN (SELECT unnest($1::VARCHAR[]))"
    return frozenset(row[0] for row in connection.execute(sql, [list(keys), since]).fetchall())


def drop_batch(connection: duckdb.DuckDBPyConnection, record: BatchRecord) -> None:
    """Forget a job that the vendor did not take, as it said itself."""
    connection.execute("DELETE FROM batches WHERE id = ? AND identity = ?", [record.id, record.identity])


def accept_batch(connection: duckdb.DuckDBPyConnection, tag: str, job: str) -> None:
    """The vendor took the job and calls it `job`."""
    connection.execute("UPDATE batches SET id = ?, status = 'submitted' WHERE id = ?", [job, tag])


def cancel_batch(connection: duckdb.DuckDBPyConnection, identity: str, job: str) -> None:
    """The user gives a model's job up; its answers so far are still to be collected."""
    sql = "UPDATE batches SET status = 'cancelling' WHERE id = ? AND identity = ? AND status = 'submitted'"
    connection.execute(sql, [job, identity])


def end_batch(connection: duckdb.DuckDBPyConnection, identity: str, job: str, status: str) -> None:
    """Nothing more is to come of a model's job: `collected`, `cancelled` or `failed`."""
    connection.execute("UPDATE batches SET status = ?, requests = NULL WHERE id = ? AND identity = ?", [status, job, identity])


def open_batches(connection: duckdb.DuckDBPyConnection, identity: str) -> list[BatchRecord]:
    """The jobs of a model that are under way, or may be. Raises CacheError where the table holds what no run writes."""
    _check(connection)
    where = "WHERE identity = $1 AND status IN (SELECT unnest($2::VARCHAR[]))"
    found = connection.execute(f"SELECT {COLUMNS} FROM batches {where} ORDER BY created", [identity, list(OPEN_JOBS)]).fetchall()
    return [_record(row) for row in found]


def statuses_since(
    connection: duckdb.DuckDBPyConnection, identity: str, created: datetime
) -> dict[tuple[str, datetime], tuple[str, str]]:
    """Id and status of a model's jobs begun at `created` or later, over or not, by the run that began them and when it did."""
    sql = "SELECT run, created, id, status FROM batches WHERE identity = ? AND created >= ?"
    found = connection.execute(sql, [identity, created]).fetchall()
    return {(run, begun): (job, status) for run, begun, job, status in found}


def batches(connection: duckdb.DuckDBPyConnection) -> list[BatchRecord]:
    """Every job of every model, the newest first. Raises CacheError where the table holds what no run writes."""
    _check(connection)
    found = connection.execute(f"SELECT {COLUMNS} FROM batches ORDER BY created DESC, id DESC").fetchall()
    return [_record(row) for row in found]


def _check(connection: duckdb.DuckDBPyConnection) -> None:
    if wrong := first_wrong(connection, "batches", "batches"):
        raise CacheError(f"batch jobs cannot be read: {wrong}; another program wrote or changed it")


def _record(row: tuple[Any, ...]) -> BatchRecord:
    return BatchRecord(row[0], row[1], tuple(row[2]), *row[3:])


def known_jobs(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Every job that a vendor has ever named to us, of whichever model: none of them can be another one's."""
    return {row[0] for row in connection.execute("SELECT id FROM batches").fetchall()}


def unanswered(connection: duckdb.DuckDBPyConnection, identity: str, job: str, since: int) -> dict[str, str]:
    """Of a model's job, the requests by key that have no answer with an id from `since` on."""
    sql = """
        WITH job AS (SELECT unnest(keys) AS key, unnest(requests) AS request FROM batches WHERE id = $1 AND identity = $3)
        SELECT key, request FROM job
        WHERE key NOT IN (SELECT key FROM responses WHERE id >= $2 AND key IN (SELECT key FROM job))
    """
    return dict(connection.execute(sql, [job, since, identity]).fetchall())


def under_way(connection: duckdb.DuckDBPyConnection, identity: str) -> dict[str, str]:
    """The keys of a model's requests that are in a job under way, each with the job."""
    return {key: record.id for record in open_batches(connection, identity) for key in record.keys}
