"""The frames between the two processes: a JSON head and, after it, the bytes of images.

A frame is the length of the head and the number of blobs and their lengths (unsigned 32 bits, little endian), the head, the blobs.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from unisafe_providers.base import Block, Image, Request, Response, Text, Usage

PREFIX = struct.Struct("<II")
Blobs = Sequence[bytes]


def pack(head: dict[str, Any], blobs: Blobs = ()) -> bytes:
    """One frame."""
    body = orjson.dumps(head)
    lengths = struct.pack(f"<{len(blobs)}I", *(len(blob) for blob in blobs))
    return b"".join((PREFIX.pack(len(body), len(blobs)), lengths, body, *blobs))


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]] | None:
    """The next frame of a blocking stream; None at its end."""
    try:
        size, count = PREFIX.unpack(_read_exactly(stream, PREFIX.size))
        lengths = struct.unpack(f"<{count}I", _read_exactly(stream, 4 * count))
        return orjson.loads(_read_exactly(stream, size)), [_read_exactly(stream, length) for length in lengths]
    except EOFError:
        return None


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found


class Frames:
    """Frames out of pieces of a stream, as they come."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> list[tuple[dict[str, Any], list[bytes]]]:
        """The frames that are whole with this piece."""
        self._rest += piece
        found = []
        while (size := _whole(self._rest)) is not None:
            frame, self._rest = bytes(self._rest[:size]), self._rest[size:]
            read = read_frame(io.BytesIO(frame))
            assert read is not None
            found.append(read)
        return found


def _whole(content: bytearray) -> int | None:
    """The bytes of the first frame; None if it is not whole yet."""
    if len(content) < PREFIX.size:
        return None
    size, count = PREFIX.unpack_from(content)
    if len(content) < PREFIX.size + 4 * count:
        return None
    lengths = struct.unpack_from(f"<{count}I", content, PREFIX.size)
    whole = PREFIX.size + 4 * count + size + sum(lengths)
    return whole if len(content) >= whole else None


# ---------------------------------------------------------------- requests


async def pack_request(identifier: int, request: Request, alone: bool, *, inline: bool = False) -> bytes:
    """A request as a frame; an image in a file is sent as its path, unless `inline`. Raises OSError if an image cannot be read."""
    parts: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for part in request.parts:
        if isinstance(part, Text):
            parts.append({"text": part.text})
        elif isinstance(part.source, Path) and not inline:
            parts.append({"digest": part.digest, "media_type": part.media_type, "path": str(part.source.absolute())})
        else:
            parts.append({"digest": part.digest, "media_type": part.media_type, "blob": len(blobs)})
            blobs.append(await part.read())
    names = ("kind", "system", "max_tokens", "temperature", "top_p", "seed", "size", "sample")
    content = {name: getattr(request, name) for name in names}
    return pack({"type": "ask", "id": identifier, "alone": alone, "request": content, "parts": parts}, blobs)


def unpack_request(head: dict[str, Any], blobs: Blobs) -> Request:
    parts = tuple(
        Text(part["text"])
        if "text" in part
        else Image(part["digest"], part["media_type"], Path(part["path"]) if "path" in part else blobs[part["blob"]])
        for part in head["parts"]
    )
    return Request(parts=parts, **head["request"])


# ---------------------------------------------------------------- responses


def pack_response(identifier: int, response: Response) -> bytes:
    """A response from a frame; its images hold their bytes."""
    blobs = [image.source for image in response.images if isinstance(image.source, bytes)]
    usage = response.usage
    return pack(
        {
            "type": "answer",
            "id": identifier,
            "text": response.text,
            "finish": response.finish,
            "block": [response.block.stage, list(response.block.categories)] if response.block else None,
            "reason": response.reason,
            "latency": response.latency,
            "usage": [usage.tokens_in, usage.tokens_out, usage.images],
        },
        blobs,
    )


def unpack_response(head: dict[str, Any], blobs: Blobs) -> Response:
    images = tuple(Image.from_bytes(blob) for blob in blobs)
    tokens_in, tokens_out, drawn = head["usage"]
    block = Block(head["block"][0], tuple(map(tuple, head["block"][1]))) if head["block"] else None
    return Response(
        text=head["text"],
        images=images,
        finish=head["finish"],
        reason=head["reason"],
        usage=Usage(tokens_in=tokens_in, tokens_out=tokens_out, images=drawn, cost=0.0),
        latency=head["latency"],
        block=block,
    )
