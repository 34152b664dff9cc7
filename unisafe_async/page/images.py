"""Images for the page: files named by digest in a folder beside it, or small WebP copies inside it."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from unisafe_cache import read_file
from unisafe_providers.pictures import NotAPicture, convert_as_seen, turn_upright

from unisafe_async.benchmark import Dataset, ItemError
from unisafe_async.files import write_whole
from unisafe_async.page.errors import PageError

SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif", "image/bmp": ".bmp"}
EDGE = 512
"""Pixels of the longer edge of an image inside the page."""
QUALITY = 75
BATCH = 32


@dataclass
class PageImages:
    """The page's images.

    Attributes:
        base: the folder as an address relative to the page; empty if images are inside the page.
        names: file name by digest.
        data: WebP in base64 by digest.
        unusable: digests of bytes that a browser should not get as an image.
    """

    base: str = ""
    names: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    unusable: list[str] = field(default_factory=list)

    def __contains__(self, digest: str) -> bool:
        return digest in self.names or digest in self.data


def read_made_images(path: Path, digests: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """The models' images from the cache, a few at a time: the file is closed while they are processed."""
    wanted = sorted(digests)
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]

        def read(connection: duckdb.DuckDBPyConnection, batch: list[str] = batch) -> list[tuple[str, bytes]]:
            sql = "SELECT digest, data FROM images WHERE digest IN (SELECT unnest($1::VARCHAR[]))"
            return connection.execute(sql, [batch]).fetchall()

        yield from read_file(path, read)


def read_item_images(dataset: Dataset, inputs: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """The items' own images from their files, if they still have the sent digest."""
    sent = set(inputs.values())
    for item in dataset.items():
        if item.image is None or item.name not in inputs:
            continue
        try:
            digests = dataset.images.digests(item.image)
        except ItemError:
            continue
        for digest in sent.intersection(digests):
            sent.discard(digest)
            yield digest, item.image.read_bytes()


def store_in(folder: Path, page: Path, images: Iterable[tuple[str, bytes]]) -> PageImages:
    """Write each image as everybody sees it (a sound image unchanged) as `DIGEST.EXTENSION` into `folder`, which is created.

    Raises PageError if that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stored = PageImages(Path(os.path.relpath(folder.resolve(), page.parent.resolve())).as_posix())
        for digest, data in images:
            try:
                shown = convert_as_seen(data)
            except NotAPicture:
                stored.unusable.append(digest)
                continue
            file = folder / f"{digest}{SUFFIXES[shown.media_type]}"
            if not file.is_file() or file.stat().st_size != len(shown.data):
                with write_whole(file) as draft:
                    draft.write_bytes(shown.data)
            stored.names[digest] = file.name
    except FileExistsError:
        raise PageError(f"--images {folder}: is a file; name a folder") from None
    except OSError as error:
        raise PageError(f"--images {folder}: cannot be written: {error.strerror}") from None
    return stored


def embed_images(images: Iterable[tuple[str, bytes]]) -> PageImages:
    """A copy of each image of at most `EDGE` pixels, to put into the page."""
    kept = PageImages()
    for digest, data in images:
        try:
            kept.data[digest] = base64.b64encode(_shrink(data)).decode()
        except (NotAPicture, OSError):
            kept.unusable.append(digest)
    return kept


def _shrink(data: bytes) -> bytes:
    picture = turn_upright(data, EDGE)
    picture.thumbnail((EDGE, EDGE))
    written = io.BytesIO()
    picture.save(written, "WEBP", quality=QUALITY, method=2)
    return written.getvalue()
