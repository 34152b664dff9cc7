"""Images that a vendor does not take as they are: made to fit once, always in the same way, and said."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO

import anyio
import pytest
from PIL import Image as Pillow
from unisafe_providers.base import Capabilities, Image, Rejected, Request, Text
from unisafe_providers.hosted.anthropic import Anthropic
from unisafe_providers.hosted.gemini import Gemini
from unisafe_providers.images import ImageLimits, fit_image, fits
from unisafe_providers.presets import load_presets
from vendors import KEY, anthropic, gemini

CLAUDE = load_presets()["anthropic"].images


def picture(format_: str, size: tuple[int, int] = (40, 20), mode: str = "RGB", colour: object = "red") -> bytes:
    file = BytesIO()
    Pillow.new(mode, size, colour).save(file, format_)  # type: ignore[arg-type]
    return file.getvalue()


def noise(side: int) -> bytes:
    """A PNG that no encoder makes small."""
    file = BytesIO()
    Pillow.effect_noise((side, side), 90).save(file, "PNG")
    return file.getvalue()


def size_of(data: bytes) -> tuple[int, int]:
    return Pillow.open(BytesIO(data)).size


@asynccontextmanager
async def claude() -> AsyncIterator[tuple[Anthropic, anthropic.AnthropicServer]]:
    """A provider with Anthropic's limits, and the server that it asks."""
    async with (
        anthropic.AnthropicServer(anthropic.message()) as server,
        Anthropic("claude", server.url, KEY, Capabilities(image_in=True), images=CLAUDE) as provider,
    ):
        yield provider, server


def about(data: bytes, media_type: str) -> Request:
    return Request(kind="chat", parts=(Image.from_bytes(data, media_type), Text("what is this?")))


async def test_an_image_that_the_vendor_takes_is_sent_byte_by_byte() -> None:
    data = picture("PNG")
    async with claude() as (provider, server):
        await provider.call(about(data, "image/png"))
        assert provider.notes == []
    assert base64.b64decode(server.asked[0].body["messages"][0]["content"][0]["source"]["data"]) == data


async def test_a_type_that_the_vendor_does_not_take_is_converted_once_and_said() -> None:
    data = picture("BMP")
    async with claude() as (provider, server):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(provider.call, about(data, "image/bmp"))
        await provider.call(about(picture("BMP", colour="blue"), "image/bmp"))
    assert provider.notes == ["2 images were converted from image/bmp to image/png for Anthropic"]
    sources = [one.body["messages"][0]["content"][0]["source"] for one in server.asked]
    assert {source["media_type"] for source in sources} == {"image/png"}
    assert len({source["data"] for source in sources}) == 2
    assert Pillow.open(BytesIO(base64.b64decode(sources[0]["data"]))).convert("RGB").getpixel((0, 0)) in ((255, 0, 0), (0, 0, 255))


async def test_an_image_with_too_long_an_edge_is_scaled_down() -> None:
    async with claude() as (provider, server):
        await provider.call(about(picture("PNG", (8004, 20)), "image/png"))
    sent = base64.b64decode(server.asked[0].body["messages"][0]["content"][0]["source"]["data"])
    assert size_of(sent) == (8000, 20)
    assert provider.notes == ["1 image was scaled down for Anthropic"]


async def test_gemini_gets_no_gif() -> None:
    async with (
        gemini.GeminiServer(gemini.candidate({"text": "Hi."})) as server,
        Gemini("gemini", server.url, KEY, Capabilities(image_in=True), images=load_presets()["gemini"].images) as provider,
    ):
        await provider.call(about(picture("GIF"), "image/gif"))
    assert server.asked[0].body["contents"][0]["parts"][0]["inlineData"]["mimeType"] == "image/png"


def test_what_is_too_many_bytes_becomes_a_smaller_jpeg_always_the_same() -> None:
    limits = ImageLimits(types=("image/png", "image/jpeg"), max_bytes=20_000)
    data = noise(300)
    first, media_type, did = fit_image(data, "image/png", limits)
    assert (media_type, did) == ("image/jpeg", "scaled down and converted from image/png to image/jpeg")
    assert len(first) <= 20_000
    assert size_of(first)[0] < 300
    assert fit_image(data, "image/png", limits)[0] == first


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
def test_transparency_lies_over_white_whatever_the_vendor_takes(kind: str) -> None:
    clear = picture("WEBP", mode="RGBA", colour=(0, 0, 0, 0))
    flat, flat_type, _ = fit_image(clear, "image/webp", ImageLimits(types=(kind,)))
    assert (flat_type, Pillow.open(BytesIO(flat)).getpixel((0, 0))) == (kind, (255, 255, 255))


def test_a_picture_that_moves_is_sent_as_its_first_frame() -> None:
    file = BytesIO()
    Pillow.new("RGB", (8, 8), "red").save(file, "GIF", save_all=True, append_images=[Pillow.new("RGB", (8, 8), "blue")])
    assert fits(picture("GIF"), "image/gif", CLAUDE)
    assert not fits(file.getvalue(), "image/gif", CLAUDE)
    still, media_type, _ = fit_image(file.getvalue(), "image/gif", CLAUDE)
    assert (media_type, Pillow.open(BytesIO(still)).convert("RGB").getpixel((0, 0))) == ("image/png", (255, 0, 0))


async def test_a_file_that_is_no_picture_fails_its_item_alone() -> None:
    async with claude() as (provider, server):
        with pytest.raises(Rejected, match="image/tiff"):
            await provider.call(about(b"no picture at all", "image/tiff"))
    assert not server.asked


def test_every_preset_that_knows_limits_or_prices_says_where_they_were_read() -> None:
    for name, preset in load_presets().items():
        limits = preset.images
        assert bool(limits.source) == any((limits.types, limits.max_bytes, limits.max_edge, limits.max_count)), name
        assert bool(preset.prices) == bool(preset.prices_read and preset.prices_source), name
