"""Picture files that not every reader shows alike, made as cameras, scanners and image models make them."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image as Pillow

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encoded(picture: Pillow.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def halves(size: tuple[int, int] = (20, 10)) -> Pillow.Image:
    """Blue on the left, red on the right."""
    picture = Pillow.new("RGB", size, RED)
    picture.paste(BLUE, (0, 0, size[0] // 2, size[1]))
    return picture


def exif(orientation: object) -> bytes:
    told = Pillow.Exif()
    told[274] = orientation
    return told.tobytes()


def turned(orientation: object = 6, kind: str = "JPEG") -> bytes:
    """`halves`, lying as a camera that was held upright stores it: with 6, blue belongs on top."""
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    return encoded(halves(), kind, exif=exif(orientation), **options)


def ramp() -> bytes:
    """16-bit grey from black to white in 256 steps."""
    picture = Pillow.new("I;16", (256, 4))
    picture.putdata([step * 257 for step in range(256)] * 4)
    return encoded(picture, "PNG")


def see_through(kind: str = "PNG", **options: Any) -> bytes:
    """Blue on the left; on the right nothing, with black under it."""
    picture = halves().convert("RGBA")
    picture.paste((0, 0, 0, 0), (10, 0, 20, 10))
    return encoded(picture, kind, **options)


def moving(kind: str, **options: Any) -> bytes:
    """`halves`, then green."""
    return encoded(halves(), kind, save_all=True, append_images=[Pillow.new("RGB", (20, 10), "green")], **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], bits: int, colour: int, rows: list[bytes], *before: bytes, behind: bytes = b"") -> bytes:
    """A PNG file chunk by chunk: bits a sample, PNG's number of the colour type, rows without filter, further chunks."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + pixels + behind + chunk(b"IEND", b"")
