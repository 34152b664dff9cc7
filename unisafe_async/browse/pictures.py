"""The images of a row: finds their bytes, blurs them unless the user asks, and makes them small enough to draw.

The cache holds the pictures that a model drew. Of pictures that it was sent, the cache holds only digests. Such an image is found
again in the run's dataset, and shown only if its file still has the sent digest, or the digest of the same file mended
(unisafe_providers/pictures.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import duckdb
from PIL import Image as Picture
from PIL import ImageFilter
from unisafe_cache import read_file
from unisafe_providers.base import digest_of
from unisafe_providers.errors import UnisafeError
from unisafe_providers.pictures import MAX_BYTES, NotAPicture, TooManyPixels, derive_mended_digest, turn_upright

from unisafe_async.benchmark import Dataset, DatasetError
from unisafe_async.benchmark.item import Item
from unisafe_async.results.reopening import reopen
from unisafe_async.results.rows import Facets

LARGEST = 1024
"""Pixels of the longer side of a drawn image."""
BLURRED = 10
"""Pixels of the longer side of a blurred image, before it is enlarged."""


class NoPicture(UnisafeError):
    """An image cannot be shown; the message says why."""


class Pictures:
    """Finds the images of one run's rows. Its methods read files: call them off the event loop.

    Args:
        cache: the cache file.
        facets: the run.
        folders: the folders that the dataset's path may be relative to, the likeliest first, because a run does not record the
            folder of its bench.toml.
    """

    def __init__(self, cache: Path, facets: Facets, folders: Sequence[Path]) -> None:
        self._cache = cache
        self._facets = facets
        self._folders = tuple(dict.fromkeys(folder.resolve() for folder in folders))

    def read_made(self, digest: str) -> bytes:
        """The bytes of an image that a model drew. Raises NoPicture."""
        data = read_file(self._cache, lambda connection: _read_stored(connection, digest))
        if data is None:
            raise NoPicture("is not in the cache")
        return data

    def read_sent(self, item: str, digest: str) -> bytes:
        """The bytes of the image that was sent for `item`. Raises NoPicture with what would help."""
        data = read_file(self._cache, lambda connection: _read_stored(connection, digest))
        if data is not None:
            return data
        dataset, index = self._dataset
        if dataset is None:
            raise NoPicture(f"the run's dataset was not found: {self._missing}")
        found = self._item(dataset, index, item)
        if found is None or found.image is None:
            raise NoPicture(f"the dataset {self._facets.source} no longer has an image for {item}")
        try:
            if found.image.stat().st_size > MAX_BYTES:
                raise NoPicture(f"{found.image.name} is larger than {MAX_BYTES // 2**20} MiB")
            data = found.image.read_bytes()
        except OSError as error:
            raise NoPicture(f"{found.image.name} cannot be read: {error.strerror}") from None
        if digest not in (own := digest_of(data), derive_mended_digest(own)):
            raise NoPicture(f"{found.image.name} has changed since it was sent")
        return data

    def read_prompt(self, item: str) -> str | None:
        """The prompt of an item without a stored request, because no response came; None if it is not found."""
        dataset, index = self._dataset
        found = self._item(dataset, index, item) if dataset is not None else None
        return found.prompt if found is not None else None

    @staticmethod
    def _item(dataset: Dataset, index: dict[str, int], name: str) -> Item | None:
        try:
            return dataset.at(index[name]) if name in index else None
        except DatasetError:
            return None

    @cached_property
    def _dataset(self) -> tuple[Dataset | None, dict[str, int]]:
        """The dataset with the run's digest, else the first that opens, and each item's place in it. Sends nothing."""
        opened: list[tuple[Dataset, dict[str, int]]] = []
        self._missing = ""
        for folder in self._folders:
            try:
                dataset = reopen(self._facets.config, folder)
                index = {item.name: index for index, item in enumerate(dataset.items())}
            except DatasetError as error:
                self._missing = self._missing or str(error)
                continue
            opened.append((dataset, index))
            if dataset.digest == self._facets.dataset_digest:
                return opened[-1]
        return opened[0] if opened else (None, {})


def _read_stored(connection: duckdb.DuckDBPyConnection, digest: str) -> bytes | None:
    found = connection.execute("SELECT data FROM images WHERE digest = ?", [digest]).fetchone()
    return bytes(found[0]) if found else None


def open_picture(read: Callable[[], bytes], *, reveal: bool) -> Picture.Image:
    """The image from `read` as everybody sees it, small enough to draw, blurred unless `reveal`. Raises NoPicture."""
    try:
        shown = turn_upright(read(), LARGEST).convert("RGB")
    except TooManyPixels as error:
        raise NoPicture(f"unpacks to {error.size}") from None
    except NotAPicture as error:
        raise NoPicture(f"is broken: {error.why}") from None
    shown.thumbnail((LARGEST, LARGEST))
    return shown if reveal else blur(shown)


def blur(picture: Picture.Image) -> Picture.Image:
    """Blur the image to patches of colour, at most 10 along the longer side."""
    scale = BLURRED / max(picture.size)
    few = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Picture.Resampling.BOX)
    size = (max(1, min(picture.width, 160)), max(1, round(picture.height * min(picture.width, 160) / picture.width)))
    return few.resize(size, Picture.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(3))


def folders_of(config: Path, cache: Path) -> list[Path]:
    """The folders that may hold a run's dataset: beside the configuration, beside the cache, in the working folder."""
    return [config.parent, cache.parent, Path()]
