"""Images for the page: decoded and written anew, so that a browser gets pixels alone, and nothing that is hidden in a file."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from unisafe_async.browse.pictures import Pictures, open_picture

SMALL, LARGE = 104, 1024
"""Pixels of the longer side, in the list and beside an answer."""
QUALITY = 82
KEPT = 256
"""Images in memory; the largest take some 200 kB each."""
MEDIA_TYPE = "image/webp"


class Gallery:
    """The images of one run's rows as WebP. Its methods read files and decode: call them off the event loop."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._made: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = Lock()

    def read(self, digest: str, item: str, *, small: bool) -> bytes:
        """An image of an item's request or answers, at most SMALL or LARGE pixels. Raises NoPicture, which says why."""
        key = (digest, SMALL if small else LARGE)
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        made = _write(lambda: self._pictures.read_sent(item, digest), key[1])
        with self._lock:
            self._made[key] = made
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        return made


def _write(read: Callable[[], bytes], edge: int) -> bytes:
    picture = open_picture(read, reveal=True)
    picture.thumbnail((edge, edge))
    written = io.BytesIO()
    picture.save(written, "WEBP", quality=QUALITY, method=2)
    return written.getvalue()
