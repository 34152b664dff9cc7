"""Input images: identified by digest, mended if programs would show them differently, decoded once, never all in memory."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

from anyio import to_thread
from unisafe_providers.base import Image, digest_of
from unisafe_providers.pictures import (
    MAX_BYTES,
    MEDIA_TYPES,
    PNG,
    NotAPicture,
    TooManyPixels,
    check,
    derive_mended_digest,
    look,
    mend_picture,
)

from unisafe_async.benchmark.item import ItemError

KEPT_BYTES = 16 * 1024 * 1024
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")


@dataclass(frozen=True, slots=True)
class Identified:
    """A picture file as it is sent, the digest of the file itself, and the steps that mend it, in words (empty for none)."""

    image: Image
    digest: str
    mended: str


class ItemImages:
    """Remembers each file's digest and which files were found sound. Its methods read files: call them off the event loop."""

    def __init__(self) -> None:
        self._known: dict[Path, Identified] = {}
        self._sound: set[Path] = set()
        self._recent: dict[Path, bytes] = {}
        self._recent_bytes = 0
        self._lock = Lock()

    # -------------------------------------------------------- known by their headers

    def identify(self, path: Path) -> Image:
        """The image as it is sent. Raises ItemError if it cannot be read or is too large.

        A sound picture is named by the digest of its bytes, a mended one by `derive_mended_digest`. Only a picture that declares
        transparency is decoded for that.
        """
        return self._identify_file(path).image

    def identify_all(self, paths: Iterable[Path]) -> dict[Path, Image | ItemError]:
        """What `identify` returns or raises for each of `paths`."""
        found = {path: self._image_or_error(path, pixels=False) for path in dict.fromkeys(paths)}
        unknown = [path for path, image in found.items() if image is None]
        if unknown:
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1, len(unknown))) as pool:
                found |= zip(unknown, pool.map(self._image_or_error, unknown), strict=True)
        return {path: image for path, image in found.items() if image is not None}

    def digests(self, path: Path) -> tuple[str, ...]:
        """The digests that requests may name the picture by: today's, and the one from before pictures were mended."""
        known = self._identify_file(path)
        return tuple(dict.fromkeys((known.image.digest, known.digest)))

    def mended(self) -> Counter[str]:
        """How many of the pictures so far are mended, by the kind of mending."""
        return Counter(known.mended for known in list(self._known.values()) if known.mended)

    def _image_or_error(self, path: Path, *, pixels: bool = True) -> Image | ItemError | None:
        """None if the header is not enough and the caller does not allow to decode the `pixels`."""
        try:
            known = self._known.get(path) or self._look_at(path, self._file(path), pixels=pixels)
            return known.image if known is not None else None
        except ItemError as error:
            return error

    def _identify_file(self, path: Path) -> Identified:
        known = self._known.get(path) or self._look_at(path, self._file(path), pixels=True)
        assert known is not None
        return known

    def _file(self, path: Path) -> bytes:
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ItemError(f"image: {path.name} is larger than {MAX_BYTES // 2**20} MiB")
            return path.read_bytes()
        except OSError as error:
            raise ItemError(f"image: {path.name} cannot be read: {error.strerror}") from None

    def _look_at(self, path: Path, data: bytes, *, pixels: bool) -> Identified | None:
        if not data.startswith(SIGNATURES):
            raise ItemError(f"image: {path.name} is no image of a kind that can be sent ({', '.join(MEDIA_TYPES)})")
        try:
            found = look(data, MEDIA_TYPES, pixels=pixels)
        except NotAPicture as error:
            raise _explain_unusable(path, error) from None
        if found.mended is None:
            return None
        digest, read = digest_of(data), partial(self._read, path)
        if found.mended:
            image = Image(derive_mended_digest(digest), PNG, read)
        else:
            image = Image(digest, found.media_type, read)
            self._keep(path, data)
        if found.decoded and not found.mended:
            self._sound.add(path)
        known = self._known[path] = Identified(image, digest, found.mended)
        return known

    # -------------------------------------------------------- their bytes

    def bytes_of(self, path: Path) -> bytes:
        """The picture file as it is sent. Raises ItemError if it is broken or has changed, OSError if it is gone."""
        data = self._recent.get(path)
        if data is not None:
            return data
        known, data = self._identify_file(path), path.read_bytes()
        if digest_of(data) != known.digest:
            raise ItemError(f"image: {path.name} changed after it was checked; run again")
        if known.mended:
            try:
                data = mend_picture(data)
            except NotAPicture as error:
                raise _explain_unusable(path, error) from None
        self._keep(path, data, mended=bool(known.mended))
        return data

    async def _read(self, path: Path) -> bytes:
        """Raises OSError if the file can no longer be read."""
        data = self._recent.get(path)
        if data is not None:
            return data
        try:
            return await to_thread.run_sync(self.bytes_of, path)
        except ItemError as error:
            raise OSError(str(error)) from None

    def _keep(self, path: Path, data: bytes, *, mended: bool = False) -> None:
        """Remember an image's bytes for the next calls that send them; a few megabytes altogether.

        Mending takes time, so a mended picture may be larger.
        """
        with self._lock:
            if path not in self._recent and len(data) <= KEPT_BYTES // (2 if mended else 8):
                self._recent[path] = data
                self._recent_bytes += len(data)
                while self._recent_bytes > KEPT_BYTES:
                    self._recent_bytes -= len(self._recent.pop(next(iter(self._recent))))

    def is_sound(self, path: Path) -> bool:
        """Whether `verify` has found the image sound."""
        return path in self._sound

    def verify(self, path: Path) -> None:
        """Decode the image once. Raises ItemError for a broken file and for an image of more than 64 million pixels."""
        if path in self._sound:
            return
        try:
            if self._identify_file(path).mended:
                self.bytes_of(path)
            else:
                check(self._recent.get(path) or path.read_bytes(), MEDIA_TYPES)
        except NotAPicture as error:
            raise _explain_unusable(path, error) from None
        except OSError as error:
            raise ItemError(f"image: {path.name} cannot be read: {error.strerror}") from None
        self._sound.add(path)


def _explain_unusable(path: Path, error: NotAPicture) -> ItemError:
    if isinstance(error, TooManyPixels):
        return ItemError(f"image: {path.name} unpacks to {error.size}")
    return ItemError(f"image: {path.name} is broken: {error.why}")
