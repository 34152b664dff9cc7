"""Whether bytes are a picture: decoded once, before anything that a model drew is kept or judged."""

from __future__ import annotations

import re
import warnings
from io import BytesIO
from typing import NamedTuple

MAX_BYTES = 50 * 1024 * 1024
MAX_PIXELS = 64_000_000
MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif", "BMP": "image/bmp"}
"""Formats that datasets and files of answers may hold, by Pillow's names, and their media types."""
KEPT = {**MEDIA_TYPES, "MPO": "image/jpeg"}
"""Formats that are kept as they are where a model drew them."""
CONVERTED = ("AVIF", "HEIF", "TIFF", "JPEG2000", "PPM", "ICO", "QOI")
"""Formats that become PNG, where the Pillow that is installed reads them: judges and terminals seldom do."""
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
MARKUP = re.compile(rb"\A\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*+<!?(svg|doctype html|html|[a-z]+)", re.I | re.S)


class NotAPicture(ValueError):
    """Bytes that hold no picture that can be read; the message says what they are."""


class Picture(NamedTuple):
    """A picture file that can be decoded, and its media type by its bytes."""

    data: bytes
    media_type: str


def decoded(data: bytes) -> Picture:
    """The file itself, or the same picture as PNG where the format is one of CONVERTED. Raises NotAPicture.

    The whole file is decoded, so a cut one is found; what unpacks to more than 64 million pixels is not read.
    """
    from PIL import Image as Pillow

    if len(data) > MAX_BYTES:
        raise NotAPicture(f"a file of {len(data) // 2**20} MiB, more than {MAX_BYTES // 2**20} MiB")
    Pillow.init()
    readable = Pillow.OPEN
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(BytesIO(data), formats=[name for name in (*KEPT, *CONVERTED) if name in readable]) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    raise NotAPicture(f"a picture of {width} x {height} pixels, more than {MAX_PIXELS:,}")
                kind = str(picture.format)
                picture.load()
                if kind == "PNG":
                    _check_chunks(data)
                return Picture(data, KEPT[kind]) if kind in KEPT else Picture(_png(picture), "image/png")
    except NotAPicture:
        raise
    except Pillow.DecompressionBombError:
        raise NotAPicture(f"a picture of more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's readers raise many kinds on hostile files
        raise NotAPicture(_named(data, error)) from None


def _check_chunks(data: bytes) -> None:
    """Raises where a PNG file ends before its last chunk, which its pixels alone do not tell."""
    from PIL import Image as Pillow

    with Pillow.open(BytesIO(data), formats=["PNG"]) as again:
        again.verify()


def _png(picture: object) -> bytes:
    from PIL import Image as Pillow

    assert isinstance(picture, Pillow.Image)
    file = BytesIO()
    kept = picture if picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else picture.convert("RGB")
    kept.save(file, "PNG")
    return file.getvalue()


def _named(data: bytes, error: Exception) -> str:
    """What bytes that are no picture seem to be."""
    if not data.strip():
        return f"{len(data)} blank bytes" if data else "nothing"
    if data.startswith(SIGNATURES):
        why = "" if "cannot identify" in str(error) else f" ({error})"
        return f"a picture that is cut off or broken{why}"[:200]
    markup = MARKUP.match(data[:2_000])
    if markup is not None:
        name = markup[1].lower()
        return "an SVG drawing" if name == b"svg" or b"<svg" in data[:2_000] else "an HTML page" if b"html" in name else "markup"
    if data.lstrip()[:1] in b"{[":
        return "JSON"
    words = data[:60].decode("utf-8", "replace")
    return f"text ({words!r})" if words.isprintable() else f"{len(data):,} bytes of no known picture format"
