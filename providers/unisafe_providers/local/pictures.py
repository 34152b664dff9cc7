"""Images on their way into a model and out of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from unisafe_providers.base import Image, Rejected, Request
from unisafe_providers.pictures import NotAPicture, open_picture, turn_upright

ORIENTATION = 0x0112
"""The EXIF tag; from 5 on its values turn a picture by a quarter."""


def pictures_of(request: Request) -> list[Any]:
    """The images of a request as everybody sees them, RGB. Raises Rejected for an image that cannot be read."""
    pictures = []
    for image in request.images:
        assert isinstance(image.source, bytes | Path)
        try:
            data = image.source if isinstance(image.source, bytes) else image.source.read_bytes()
            pictures.append(turn_upright(data).convert("RGB"))
        except (OSError, NotAPicture) as error:
            raise Rejected(f"an image of the request cannot be read: {error}") from None
    return pictures


def sizes_of(request: Request) -> tuple[tuple[int, int], ...]:
    """Width and height of each image as everybody sees it, from the files' headers. Raises Rejected."""
    sizes = []
    for image in request.images:
        assert isinstance(image.source, bytes | Path)
        try:
            data = image.source if isinstance(image.source, bytes) else image.source.read_bytes()
            with open_picture(data) as picture:
                turned = picture.getexif().get(ORIENTATION, 1) in range(5, 9)
                sizes.append(picture.size[::-1] if turned else picture.size)
        except (OSError, NotAPicture) as error:
            raise Rejected(f"an image of the request cannot be read: {error}") from None
    return tuple(sizes)


def png_of(picture: Any) -> Image:
    """A PIL image as PNG: the same pixels give the same bytes."""
    content = io.BytesIO()
    picture.convert("RGB").save(content, "PNG")
    return Image.from_bytes(content.getvalue())


def size_of(request: Request) -> tuple[int, int] | None:
    """Width and height in pixels that a request asks for."""
    if request.size is None:
        return None
    width, height = request.size.split("x")
    return int(width), int(height)
