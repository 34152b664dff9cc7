"""Reads bytes that should be a picture, once and with one reader, and makes the picture that everybody sees (mending.py)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from anyio import to_thread

from unisafe_providers.base import Image, digest_of
from unisafe_providers.errors import UnisafeError
from unisafe_providers.mending import RULES, faults_of, mend, needs_pixels

if TYPE_CHECKING:
    from PIL.Image import Image as Pillow

MAX_BYTES = 50 * 1024 * 1024
MAX_PIXELS = 64_000_000
MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif", "BMP": "image/bmp"}
"""Formats that datasets may hold, by Pillow's names, and their media types."""
KEPT = {**MEDIA_TYPES, "MPO": "image/jpeg"}
"""Formats of model pictures that are stored unchanged; every reader takes the first picture of an MPO file."""
CONVERTED = ("AVIF", "HEIF", "TIFF", "JPEG2000", "PPM", "ICO", "QOI")
"""Formats that become PNG if the installed Pillow reads them: judges and terminals seldom read them."""
PNG = "image/png"
COMPRESSION = 3
"""zlib's level for mended pictures: it needs a third of the usual level's time, and files are hardly larger."""
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
MARKUP = re.compile(rb"\A\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*+<!?(svg|doctype html|html|[a-z]+)", re.I | re.S)


class NotAPicture(UnisafeError, ValueError):
    """Bytes that hold no readable picture; the message says what they are, and `why` follows `is broken:`."""

    @property
    def why(self) -> str:
        return str(self)


class Broken(NotAPicture):
    """A picture file that cannot be decoded."""

    def __init__(self, why: str) -> None:
        super().__init__(f"a picture that is cut off or broken{f' ({why})' if why else ''}"[:200])
        self._why = why

    @property
    def why(self) -> str:
        return self._why[:200] or "it cannot be identified"


class TooManyPixels(NotAPicture):
    """A picture that is too large when unpacked; `size` says how large."""

    def __init__(self, size: str) -> None:
        super().__init__(f"a picture of {size}")
        self.size = size


class Picture(NamedTuple):
    """A picture file, its media type from its bytes, and the steps that mend it, in words; empty for a sound picture."""

    data: bytes
    media_type: str
    mended: str = ""


class Look(NamedTuple):
    """A file's header: media type, and the steps that mend the picture.

    `decoded` says that the pixels were needed too. `mended` is None if they are needed but the caller did not allow decoding.
    """

    media_type: str
    mended: str | None
    decoded: bool


# ---------------------------------------------------------------- the reader


@contextmanager
def open_picture(data: bytes, formats: Iterable[str] = (*KEPT, *CONVERTED)) -> Iterator[Pillow]:
    """The picture in `data` with its header read, in one of `formats` (Pillow's names). Every error of Pillow becomes NotAPicture.

    A picture of more than 64 million pixels is not read.
    """
    from PIL import Image as Pillow

    if len(data) > MAX_BYTES:
        raise NotAPicture(f"a file of {len(data) // 2**20} MiB, more than {MAX_BYTES // 2**20} MiB")
    readable = _readers(formats)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(BytesIO(data), formats=readable) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    raise TooManyPixels(f"{width} x {height} pixels, more than {MAX_PIXELS:,}")
                yield picture
    except NotAPicture:
        raise
    except Pillow.DecompressionBombError:
        raise TooManyPixels(f"more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's readers raise many kinds on hostile files
        if data.startswith(SIGNATURES):
            raise Broken("" if "cannot identify" in str(error) else str(error)) from None
        raise NotAPicture(_guess_format(data)) from None


def _readers(formats: Iterable[str]) -> list[str]:
    """The `formats` that the installed Pillow reads; for the usual ones it need not load all of its readers."""
    from PIL import Image as Pillow
    from PIL import WebPImagePlugin  # noqa: F401 the only usual one that `preinit` leaves out

    Pillow.preinit()
    if not KEPT.keys() >= set(formats):
        Pillow.init()
    return [name for name in formats if name in Pillow.OPEN]


def look(data: bytes, formats: Iterable[str] = tuple(KEPT), *, pixels: bool = True) -> Look:
    """The facts in a picture's header and, with `pixels`, those that only the pixels tell. Raises NotAPicture."""
    with open_picture(data, formats) as picture:
        media_type, needed = KEPT.get(str(picture.format), PNG), needs_pixels(picture, data)
        if needed and not pixels:
            return Look(media_type, None, False)
        faults = faults_of(picture, data)
        if needed:
            picture.load()
        return Look(media_type, ", ".join(faults), needed)


def check(data: bytes, formats: Iterable[str] = tuple(KEPT)) -> None:
    """Decode the picture, a large JPEG at an eighth of its size. Raises NotAPicture."""
    with open_picture(data, formats) as picture:
        picture.draft("L", (64, 64))
        picture.load()


def decode_picture(data: bytes) -> Picture:
    """The file itself, or the same picture as PNG if its format is one of CONVERTED. Raises NotAPicture.

    The whole file is decoded, so a cut file is found.
    """
    with open_picture(data) as picture:
        kind = str(picture.format)
        if kind not in KEPT:
            return Picture(_encode_png(mend(picture, data)), PNG)
        faults = faults_of(picture, data)
        picture.load()
        if kind == "PNG":
            _check_chunks(data)
        return Picture(data, KEPT[kind], ", ".join(faults))


def _check_chunks(data: bytes) -> None:
    """Raises if a PNG file ends before its last chunk; its pixels alone do not show that."""
    from PIL import Image as Pillow

    with Pillow.open(BytesIO(data), formats=["PNG"]) as again:
        again.verify()


# ---------------------------------------------------------------- the picture that everybody sees


def turn_upright(data: bytes, edge: int | None = None) -> Pillow:
    """The picture that everybody sees, mode L or RGB. Raises NotAPicture.

    Args:
        edge: this many pixels of the longer edge are enough, if the file can be read at a smaller size.
    """
    with open_picture(data) as picture:
        return mend(picture, data, edge)


def mend_picture(data: bytes) -> bytes:
    """The picture that everybody sees as a PNG file: the same pixels give the same bytes. Raises NotAPicture."""
    return _encode_png(turn_upright(data))


def convert_as_seen(data: bytes) -> Picture:
    """The file itself if it is sound, else the mended picture. Raises NotAPicture."""
    found = look(data)
    return Picture(mend_picture(data), PNG, found.mended) if found.mended else Picture(data, found.media_type)


def derive_mended_digest(digest: str) -> str:
    """The digest by which requests name the mended picture of the file with `digest`.

    It depends on the file and the rules, not on the encoder's bytes. So it is the same with every Pillow and zlib, it is known
    before anything is decoded, and it leads from the request back to the file.
    """
    return digest_of(f"{digest} mended by rules {RULES}".encode())


def show_image(image: Image) -> Image:
    """`image` as others see it: itself if it is sound or nobody has looked, else the mended picture."""
    return Image(derive_mended_digest(image.digest), PNG, _Mending(image), "") if image.mended else image


class _Mending:
    """Reads an image and mends it, once."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._data: bytes | None = None

    async def __call__(self) -> bytes:
        """Raises OSError if the image can no longer be read."""
        if self._data is None:
            try:
                self._data = await to_thread.run_sync(mend_picture, await self._image.read())
            except NotAPicture as error:
                raise OSError(f"the image holds {error}") from None
        return self._data


def _encode_png(picture: Pillow) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG", compress_level=COMPRESSION)
    return file.getvalue()


# ---------------------------------------------------------------- what is none


def _guess_format(data: bytes) -> str:
    """A guess what bytes are that hold no picture."""
    if not data.strip():
        return f"{len(data)} blank bytes" if data else "nothing"
    markup = MARKUP.match(data[:2_000])
    if markup is not None:
        name = markup[1].lower()
        return "an SVG drawing" if name == b"svg" or b"<svg" in data[:2_000] else "an HTML page" if b"html" in name else "markup"
    if data.lstrip()[:1] in b"{[":
        return "JSON"
    words = data[:60].decode("utf-8", "replace")
    return f"text ({words!r})" if words.isprintable() else f"{len(data):,} bytes of no known picture format"
