"""Answers that an older version stored: this version reads them by newer rules, and writes the result back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import duckdb
from unisafe_providers.base import clean

from unisafe_cache.records import READING, Stored, add_pictures

ASKED = """
SELECT id, identity, CASE WHEN json_valid(request) THEN coalesce(json_extract_string(request, '$.kind'), '') ELSE '' END
FROM responses WHERE id IN (SELECT unnest($1::BIGINT[]))
"""
REREAD = """
UPDATE responses SET text = new.text, thoughts = new.thoughts, missing = new.missing, reading = $5
FROM (SELECT unnest($1::BIGINT[]) AS id, unnest($2::VARCHAR[]) AS text, unnest($3::VARCHAR[]) AS thoughts,
             unnest($4::VARCHAR[]) AS missing) AS new
WHERE responses.id = new.id
"""
UNCHANGED = """
UPDATE responses SET thoughts = coalesce(thoughts, ''), missing = coalesce(missing, ''), reading = $2
WHERE id IN (SELECT unnest($1::BIGINT[]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """An answer by newer rules; `images` are digests, None if they are unchanged."""

    id: int
    text: str
    thoughts: str
    missing: str
    images: tuple[str, ...] | None = None


def asked_of(connection: duckdb.DuckDBPyConnection, ids: Collection[int]) -> dict[int, tuple[str, str]]:
    """The model that was asked and the kind of request, by the answer's id."""
    return {id_: (identity, kind) for id_, identity, kind in connection.execute(ASKED, [list(ids)]).fetchall()}


def write_back(
    connection: duckdb.DuckDBPyConnection,
    changed: Sequence[Reread],
    unchanged: Sequence[int],
    pictures: Mapping[str, Stored],
) -> None:
    """Store the new readings in one transaction, so that each answer is read again only once.

    Args:
        unchanged: ids of answers that the newer rules do not change.
        pictures: images that are new or have another media type than the stored one, by digest.
    """
    connection.begin()
    if changed:
        texts = zip(*((clean(one.text), clean(one.thoughts), clean(one.missing)) for one in changed), strict=True)
        connection.execute(REREAD, [[one.id for one in changed], *map(list, texts), READING])
    if unchanged:
        connection.execute(UNCHANGED, [list(unchanged), READING])
    for one in changed:
        if one.images is not None:
            connection.execute("UPDATE responses SET images = $1::VARCHAR[] WHERE id = $2", [list(one.images), one.id])
    for digest, stored in pictures.items():
        connection.execute("UPDATE images SET media_type = $1 WHERE digest = $2", [stored.media_type, digest])
    add_pictures(connection, pictures)
    connection.commit()
