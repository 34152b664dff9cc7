"""Pictures in a cassette: each becomes a tiny one of the same type, with the size and type of the original noted beside it."""

from __future__ import annotations

import base64
import binascii
import io
import re
from typing import Any

SIDE = 8
"""Pixels of a placeholder's side: its colours are the picture's, so that a black stand-in stays black."""
MOST_PIXELS = 100_000_000
SHORTEST = 64
DATA_URL = re.compile(r"(data:image/[\w.+-]+;base64,)([A-Za-z0-9+/_=-]+)")
BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


def shrink_picture(data: bytes) -> tuple[bytes, dict[str, Any]] | None:
    """A tiny picture and a note about the original; None if `data` is no picture that Pillow knows."""
    from PIL import Image as Picture

    try:
        with Picture.open(io.BytesIO(data)) as picture:
            form, (width, height) = str(picture.format), picture.size
            if width * height > MOST_PIXELS:
                return None
            out = io.BytesIO()
            picture.convert("RGB").resize((SIDE, SIDE)).save(out, form)
    except Exception:  # Pillow's plugins raise anything for a broken picture
        return None
    return out.getvalue(), {"type": Picture.MIME.get(form, form), "width": width, "height": height, "bytes": len(data)}


def shrink_base64(text: str) -> tuple[str, dict[str, Any]] | None:
    """The same for a picture in base64; None for any other text."""
    if len(text) < SHORTEST or BASE64.fullmatch(text) is None:
        return None
    try:
        data = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    shrunk = shrink_picture(data)
    return None if shrunk is None else (base64.b64encode(shrunk[0]).decode(), shrunk[1])
