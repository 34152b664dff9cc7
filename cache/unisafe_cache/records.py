"""The records in the tables, and the SQL that writes and reads them. Runs on an open connection; awaits nothing."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import duckdb
import orjson
from unisafe_providers.base import Block, Image, ImageSource, Response, Stage, Usage, clean


@dataclass(frozen=True, slots=True)
class Answer:
    """A paid response with its id in the table; `unread` if an older version stored it and today's rules have not read it."""

    id: int
    response: Response
    unread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """An answer before it goes into `responses`; `request` is the canonical JSON.

    `job` is the line of the job that brought it (table submitted_jobs): the commit ends that job. It is empty if the model is not
    asked by jobs, `{}` if it is but answered this request at once.
    """

    key: str
    identity: str
    request: str
    answer: Answer
    run: str
    job: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One item x model x repeat with both verdicts: the columns of table `rows`, in order."""

    run: str
    item: str
    task: str
    category: str
    subcategory: str
    model: str
    sample: int
    outcome: str
    error: str | None
    response: int | None
    contextual: int | None
    contextual_status: str
    contextual_reason: str
    contextual_raw: str
    intrinsic: int | None
    intrinsic_status: str
    intrinsic_reason: str
    intrinsic_raw: str
    judge: str
    cached: bool
    created: datetime
    judged: str | None = ""
    thoughts: int | None = None
    thoughts_status: str | None = ""
    thoughts_reason: str | None = ""
    beside_contextual: int | None = None
    beside_intrinsic: int | None = None
    beside_status: str | None = ""
    beside_reason: str | None = ""
    categories: str | None = ""

    @property
    def valid(self) -> bool:
        """Whether it has both verdicts; only such rows count in a score."""
        return self.contextual is not None and self.intrinsic is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One judge's vote on a row, if there are several judges: the columns of table `opinions`; `position` counts judges from 0."""

    run: str
    item: str
    model: str
    sample: int
    question: str
    judge: str
    position: int
    label: int | None
    status: str
    reason: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The record of a run: the columns of table `runs`; `config`, `versions` and `summary` are JSON."""

    run: str
    started: datetime
    ended: datetime | None
    status: str
    config: str
    dataset: str
    dataset_digest: str
    rubrics_digest: str
    versions: str
    summary: str


class Stored(NamedTuple):
    """A picture before it goes into `images`: media type, its bytes as they came, and how they are mended (base.Image)."""

    media_type: str
    data: bytes
    mended: str | None

    @classmethod
    async def of(cls, image: Image) -> Stored:
        """Raises OSError if its bytes can no longer be read."""
        return cls(image.media_type, await image.read(), image.mended)


class ImageLoader(Protocol):
    """A source of the bytes of stored images, such as the store."""

    def source(self, digest: str) -> ImageSource: ...


class Ids:
    """Makes ids that grow with time across processes: microseconds since 1970, then 12 random bits."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        self._last = max(self._last + 1, (time.time_ns() // 1000 << 12) | random.getrandbits(12))
        return self._last


def now() -> datetime:
    """The time in UTC without a zone, as the tables hold it."""
    return datetime.now(UTC).replace(tzinfo=None)


READING = 1
"""The number of the rules that read an answer's body (unisafe_providers/anatomy.py), stored with each answer; older answers have
none.
"""

LOOKUP = """
SELECT key, id, text, images, finish, reason, tokens_in, tokens_out, images_made, cost, latency,
       stage, categories, coalesce(thoughts, ''), coalesce(missing, ''), coalesce(model, ''), coalesce(estimated, false),
       coalesce(reading, 0)
FROM responses WHERE key IN (SELECT unnest($1::VARCHAR[])) AND id >= $2
    AND (coalesce(missing, '') = '' OR finish = 'length' OR run = $3)
ORDER BY id
"""
"""An incomplete answer counts in its own run only: a later run asks again, unless its answer would be cut off in the same way."""
ANY_KNOWN = "SELECT 1 FROM responses WHERE key IN (SELECT unnest($1::VARCHAR[])) LIMIT 1"
FEW = 256
"""A run that sends looks so many keys up at a time, and mostly finds none of them: ANY_KNOWN says that in half of LOOKUP's time."""


def look_up(
    connection: duckdb.DuckDBPyConnection, keys: Sequence[str], since: int, images: ImageLoader, run: str = ""
) -> dict[str, Answer]:
    """For each of `keys`, the newest answer that `run` may use, with an id from `since` on; keys without one are left out.

    An answer whose images are not all in the file does not count.
    """
    if len(keys) <= FEW and not connection.execute(ANY_KNOWN, [list(keys)]).fetchall():
        return {}
    found = connection.execute(LOOKUP, [list(keys), since, run]).fetchall()
    digests = {digest for record in found for digest in record[3]}
    known = _read_known_images(connection, digests) if digests else {}
    return {
        record[0]: Answer(record[1], _response(record[2:-1], known, images), record[-1] < READING)
        for record in found
        if known.keys() >= set(record[3])
    }


def _response(columns: Sequence[Any], known: Mapping[str, tuple[str, str | None]], images: ImageLoader) -> Response:
    """A response from LOOKUP's columns between id and reading."""
    text, digests, finish, reason, tokens_in, tokens_out, made, cost, latency, stage, categories, *rest = columns
    thoughts, missing, model, estimated = rest
    return Response(
        text=text,
        images=tuple(_image(digest, *known[digest], images) for digest in digests),
        finish=finish,
        reason=reason,
        usage=Usage(tokens_in=tokens_in, tokens_out=tokens_out, images=made, cost=cost, reported=not estimated),
        latency=latency,
        block=_block(stage, categories),
        thoughts=thoughts,
        missing=missing,
        model=model,
    )


def _image(digest: str, media_type: str, mended: str | None, images: ImageLoader) -> Image:
    return Image(digest, media_type, images.source(digest), mended)


def _block(stage: Stage | None, categories: str | None) -> Block | None:
    return Block(stage, tuple(json.loads(categories).items()) if categories else ()) if stage else None


def _read_known_images(connection: duckdb.DuckDBPyConnection, digests: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """Media type and `mended` of the digests that are stored."""
    sql = "SELECT digest, media_type, mended FROM images WHERE digest IN (SELECT unnest($1::VARCHAR[]))"
    return {digest: (kind, mended) for digest, kind, mended in connection.execute(sql, [list(digests)]).fetchall()}


def note_mended(connection: duckdb.DuckDBPyConnection, found: Mapping[str, str]) -> None:
    """Store how images are mended before judging, by digest."""
    new = "(SELECT unnest($1::VARCHAR[]) AS digest, unnest($2::VARCHAR[]) AS mended) AS new"
    sql = f"UPDATE images SET mended = new.mended FROM {new} WHERE images.digest = new.digest"
    connection.execute(sql, [list(found), list(found.values())])


def add_answers(connection: duckdb.DuckDBPyConnection, paid: Sequence[Paid], pictures: Mapping[str, Stored]) -> None:
    """Append answers to `responses`, and new images to `images`."""
    created = now()
    records = []
    for one in paid:
        response = one.answer.response
        usage = response.usage
        records.append(
            (
                one.answer.id,
                one.key,
                one.identity,
                one.request,
                clean(response.text),
                [image.digest for image in response.images],
                response.finish,
                clean(response.reason),
                usage.tokens_in,
                usage.tokens_out,
                usage.images,
                usage.cost,
                response.latency,
                one.run,
                created,
                response.block.stage if response.block else None,
                _categories(response.block),
                clean(response.thoughts),
                clean(response.missing),
                clean(response.model),
                not usage.reported,
                READING,
            )
        )
    _append(connection, "responses", records)
    add_pictures(connection, pictures)


def add_pictures(connection: duckdb.DuckDBPyConnection, pictures: Mapping[str, Stored]) -> None:
    """Append new images to `images`, by digest."""
    if pictures:
        known = _read_known_images(connection, pictures)
        _append(connection, "images", [(key, *value) for key, value in pictures.items() if key not in known])


def _categories(block: Block | None) -> str | None:
    return clean(json.dumps(dict(block.categories), ensure_ascii=False)) if block and block.categories else None


def parts_of(request: str | None) -> tuple[dict[str, str], ...]:
    """The texts and images (by digest) of a stored request; empty if it is no request."""
    try:
        content = orjson.loads(request or "")
    except ValueError:
        return ()
    parts = content.get("parts") if isinstance(content, dict) else None
    good = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return tuple({name: value for name, value in part.items() if isinstance(value, str)} for part in good)


def add_rows(connection: duckdb.DuckDBPyConnection, rows: Sequence[Row]) -> None:
    _append(connection, "rows", [tuple(map(_convert, ROW_VALUES(row))) for row in rows])


def add_opinions(connection: duckdb.DuckDBPyConnection, votes: Sequence[Vote]) -> None:
    _append(connection, "opinions", [tuple(map(_convert, astuple(vote))) for vote in votes])


ROW_FIELDS = tuple(field.name for field in fields(Row))
ROW_VALUES = attrgetter(*ROW_FIELDS)


def _append(connection: duckdb.DuckDBPyConnection, table: str, records: Sequence[tuple[object, ...]]) -> None:
    if records:
        appender = connection.appender(table)
        appender.append_rows(records)
        appender.flush()


def _convert(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


def save_run(connection: duckdb.DuckDBPyConnection, record: RunRecord) -> None:
    """Insert the run, or replace its record."""
    connection.execute("DELETE FROM runs WHERE run = ?", [record.run])
    connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", list(astuple(record)))
