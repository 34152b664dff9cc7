"""What goes between the program and a model's process comes out as it went in."""

from __future__ import annotations

import io
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from unisafe_providers.base import Image, Request, Response, Text, Usage, clean
from unisafe_providers.workers.frames import pack, pack_request, pack_response, read_frame, unpack_request, unpack_response


async def test_a_request_keeps_its_identity_and_its_images(tmp_path: Path) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(b"of a file")

    async def stored() -> bytes:
        return b"of the cache"

    images = [Image("a", "image/png", file), Image("b", "image/jpeg", b"in memory"), Image("c", "image/png", stored)]
    request = Request(
        kind="edit",
        parts=(*images, Text("mild \U0001f33c")),
        system="s",
        max_tokens=3,
        temperature=0.5,
        seed=7,
        size="64x32",
        sample=2,
    )
    head, blobs = read_frame(io.BytesIO(await pack_request(5, request, alone=True)))
    found = unpack_request(head, blobs)
    assert (head["id"], head["alone"]) == (5, True)
    assert found == request
    assert found.canonical == request.canonical
    assert [image.source for image in found.images] == [file, b"in memory", b"of the cache"]


@given(st.text(), st.lists(st.binary(max_size=50), max_size=3))
def test_a_response_comes_out_as_it_went_in(text: str, images: list[bytes]) -> None:
    response = Response(
        text=clean(text),
        images=tuple(map(Image.from_bytes, images)),
        finish="length",
        reason="why",
        usage=Usage(tokens_in=3, tokens_out=4, images=len(images), cost=0.0),
        latency=1.5,
    )
    head, blobs = read_frame(io.BytesIO(pack_response(9, response)))
    assert head["id"] == 9
    assert unpack_response(head, blobs) == response


def test_a_frame_that_was_cut_off_is_no_frame() -> None:
    frame = pack({"type": "ready"}, [b"blob"])
    assert read_frame(io.BytesIO(frame)) == ({"type": "ready"}, [b"blob"])
    assert all(read_frame(io.BytesIO(frame[:length])) is None for length in range(len(frame)))
