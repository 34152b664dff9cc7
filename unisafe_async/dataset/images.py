"""Input images: identified by digest, verified before they are sent, never all in memory."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from threading import Lock

from anyio import to_thread
from PIL import Image as Picture
from PIL import UnidentifiedImageError

from providers.base import Image, digest_of
from providers.pictures import MAX_BYTES, MAX_PIXELS, MEDIA_TYPES
from unisafe_async.dataset.item import ItemError

KEPT_BYTES = 16 * 1024 * 1024
SIGNATURES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
    b"BM": "image/bmp",
}


class Images:
    """Remembers each file's digest and which files were found sound. Its methods read files: call them off the event loop."""

    def __init__(self) -> None:
        self._known: dict[Path, Image] = {}
        self._sound: set[Path] = set()
        self._recent: dict[Path, bytes] = {}
        self._recent_bytes = 0
        self._lock = Lock()

    def identify(self, path: Path) -> Image:
        """The image by the digest of its bytes. Raises ItemError when it cannot be read or is too large."""
        known = self._known.get(path)
        if known is not None:
            return known
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ItemError(f"image: {path.name} is larger than {MAX_BYTES // 2**20} MiB")
            data = path.read_bytes()
        except OSError as error:
            raise ItemError(f"image: {path.name} cannot be read: {error.strerror}") from None
        media_type = next((kind for start, kind in SIGNATURES.items() if data.startswith(start)), None)
        if media_type is None:
            raise ItemError(f"image: {path.name} is no image of a kind that can be sent ({', '.join(MEDIA_TYPES)})")
        self._keep(path, data)
        image = Image(digest_of(data), media_type, partial(self._read, path))
        self._known[path] = image
        return image

    async def _read(self, path: Path) -> bytes:
        data = self._recent.get(path)
        if data is None:
            data = await to_thread.run_sync(path.read_bytes)
            self._keep(path, data)
        return data

    def _keep(self, path: Path, data: bytes) -> None:
        """Remember an image's bytes for the calls that are about to send them; a few megabytes in all."""
        with self._lock:
            if path not in self._recent and len(data) <= KEPT_BYTES // 8:
                self._recent[path] = data
                self._recent_bytes += len(data)
                while self._recent_bytes > KEPT_BYTES:
                    self._recent_bytes -= len(self._recent.pop(next(iter(self._recent))))

    def is_sound(self, path: Path) -> bool:
        """Whether `verify` found it so."""
        return path in self._sound

    def verify(self, path: Path) -> None:
        """Decode it once. Raises ItemError for a broken file and for one that would unpack to more than 64 million pixels."""
        if path in self._sound:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Picture.DecompressionBombWarning)
                with Picture.open(path, formats=tuple(MEDIA_TYPES)) as picture:
                    width, height = picture.size
                    if width * height > MAX_PIXELS:
                        raise ItemError(f"image: {path.name} unpacks to {width} x {height} pixels, more than {MAX_PIXELS:,}")
                    picture.draft("L", (64, 64))
                    picture.load()
        except Picture.DecompressionBombError:
            raise ItemError(f"image: {path.name} unpacks to more than {MAX_PIXELS:,} pixels") from None
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise ItemError(f"image: {path.name} is broken: {error}") from None
        self._sound.add(path)
