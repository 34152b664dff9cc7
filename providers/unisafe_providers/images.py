"""Which images a vendor takes, and how others are made to fit: always by the same rule, once for each image, and counted."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from unisafe_providers.base import Image, Rejected, Request
from unisafe_providers.mending import is_moving
from unisafe_providers.pictures import NotAPicture, open_picture, turn_upright

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

QUALITY = 90
SHRINK = 0.8
JPEG_EDGE = 65_500
"""The most pixels that an edge of a JPEG file can have."""
KEPT_BYTES = 64 * 1024 * 1024
"""Bytes of fitted images that are kept for retries and repeats; the image that was unused for the longest time goes first."""
LOSSLESS = frozenset({"image/png", "image/gif", "image/bmp", "image/tiff", "image/x-portable-pixmap"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """The limits that one vendor documents; None and an empty list mean no limit.

    Args:
        types: media types that the vendor takes.
        max_bytes: bytes of one image file, before base64.
        max_edge: pixels of the longer edge.
        max_count: images in a request.
        source: where we read the limits.
    """

    types: tuple[str, ...] = ()
    max_bytes: int | None = None
    max_edge: int | None = None
    max_count: int | None = None
    source: str = ""


class Fitting:
    """Images made to fit one vendor's limits.

    Args:
        vendor: its name in messages.
        limits: the vendor's limits.
    """

    def __init__(self, vendor: str, limits: ImageLimits) -> None:
        self._vendor = vendor
        self._limits = limits
        self._fitted: dict[str, Image] = {}
        self._changes: dict[str, set[str]] = {}
        self._turn = anyio.Lock()

    @property
    def notes(self) -> list[str]:
        """A line for each kind of change, with the number of images."""
        return [
            f"{len(digests):,} {'image was' if len(digests) == 1 else 'images were'} {change} for {self._vendor}"
            for change, digests in sorted(self._changes.items())
        ]

    async def fit(self, request: Request) -> Request:
        """`request` with images that the vendor takes. Raises Rejected when it has too many, or one that cannot be read."""
        most = self._limits.max_count
        if most is not None and len(request.images) > most:
            raise Rejected(f"{self._vendor} takes at most {most:,} images in a request; this one has {len(request.images):,}")
        parts = [await self._fit(part) if isinstance(part, Image) else part for part in request.parts]
        return (
            request
            if all(new is old for new, old in zip(parts, request.parts, strict=True))
            else replace(request, parts=tuple(parts))
        )

    async def _fit(self, image: Image) -> Image:
        known = self._fitted.pop(image.digest, None)
        if known is not None:
            self._fitted[image.digest] = known
            return known
        data = await image.read()
        if fits(data, image.media_type, self._limits):
            return image
        async with self._turn:  # two calls with the same image convert it once
            if image.digest in self._fitted:
                return self._fitted[image.digest]
            try:
                new, media_type, change = await to_thread.run_sync(fit_image, data, image.media_type, self._limits)
            except (OSError, NotAPicture) as error:
                raise Rejected(
                    f"{self._vendor} does not take this image ({image.media_type}), and it cannot be read: {error}"
                ) from None
            self._changes.setdefault(change, set()).add(image.digest)
            self._fitted[image.digest] = Image.from_bytes(new, media_type)
            self._forget()
            return self._fitted[image.digest]

    def _forget(self) -> None:
        sizes = {digest: len(image.source) for digest, image in self._fitted.items() if isinstance(image.source, bytes)}
        for digest in list(sizes)[:-1]:
            if sum(sizes.values()) <= KEPT_BYTES:
                return
            del self._fitted[digest], sizes[digest]


def fits(data: bytes, media_type: str, limits: ImageLimits) -> bool:
    """Whether an image can be sent as it is; if its type and size are right but its header cannot be read, the vendor decides."""
    if (limits.types and media_type not in limits.types) or (limits.max_bytes is not None and len(data) > limits.max_bytes):
        return False
    if limits.max_edge is None and media_type != "image/gif":
        return True
    try:
        with open_picture(data) as picture:
            return not is_moving(picture, data) and max(picture.size) <= (limits.max_edge or math.inf)
    except NotAPicture:
        return True


def fit_image(data: bytes, media_type: str, limits: ImageLimits) -> tuple[bytes, str, str]:
    """An image's bytes within `limits`, their media type, and a description of the change.

    The rule takes the picture that everybody sees (mending.py) and scales it to the longest edge allowed. It writes PNG if the
    source is lossless and the PNG is small enough, or if the vendor takes no JPEG, else JPEG of quality 90. Then it scales by 0.8
    until the file is small enough. Raises NotAPicture if it cannot be read, OSError if it cannot be written.
    """
    picture = turn_upright(data)
    edge = max(picture.size)
    target = min(edge, limits.max_edge or edge, JPEG_EDGE)
    while True:
        scaled = _scale(picture, target)
        new, new_type = _encode(scaled, media_type, limits)
        if limits.max_bytes is None or len(new) <= limits.max_bytes or target <= 16:
            break
        target = max(16, int(target * SHRINK))
    did = ["scaled down"] if target < edge else []
    did += [f"converted from {media_type} to {new_type}"] if new_type != media_type else []
    return new, new_type, " and ".join(did) or f"written anew as {new_type}"


def _scale(picture: Picture, edge: int) -> Picture:
    from PIL import Image as Pillow

    most = max(picture.size)
    if edge >= most:
        return picture
    width, height = (max(1, round(side * edge / most)) for side in picture.size)
    return picture.resize((width, height), Pillow.Resampling.LANCZOS)


def _encode(picture: Picture, media_type: str, limits: ImageLimits) -> tuple[bytes, str]:
    """The file and its type: PNG if the source is lossless and the PNG is small enough, or if JPEG is not taken; else JPEG."""
    png, jpeg = (not limits.types or kind in limits.types for kind in ("image/png", "image/jpeg"))
    if png and (media_type in LOSSLESS or not jpeg):
        file = BytesIO()
        picture.save(file, "PNG")
        if not jpeg or limits.max_bytes is None or file.tell() <= limits.max_bytes:
            return file.getvalue(), "image/png"
    file = BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue(), "image/jpeg"
