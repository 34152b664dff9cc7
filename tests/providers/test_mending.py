"""Whoever is shown a picture is shown the same one: upright, 8 bits, on white, RGB, still; and a sound one is not touched."""

from __future__ import annotations

import struct
import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from odd_pictures import BLUE, RED, WHITE, chunk, encoded, exif, halves, moving, png, ramp, see_through, turned
from PIL import Image as Pillow
from unisafe_providers.base import Image, Rejected, Request, Text
from unisafe_providers.images import ImageLimits, fit_image, fits
from unisafe_providers.local.pictures import pictures_of
from unisafe_providers.pictures import (
    NotAPicture,
    convert_as_seen,
    decode_picture,
    derive_mended_digest,
    look,
    mend_picture,
    show_image,
    turn_upright,
)
from unisafe_providers.workers.frames import pack_request, read_frame, unpack_request

SIXTEEN = struct.pack(">HHH", 0x1234, 0x8000, 0xFFFF)
UPRIGHT = ((10, 20), BLUE, RED)
"""Size, first and last pixel of `turned` as everybody is to see it."""
FLAT = ((20, 10), BLUE, RED)


def near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 2


def ends(picture: Pillow.Image) -> tuple[tuple[int, int], tuple[int, ...], tuple[int, ...]]:
    colours = picture.convert("RGB")
    first, last = colours.getpixel((0, 0)), colours.getpixel((picture.width - 1, picture.height - 1))
    return picture.size, first, last  # type: ignore[return-value]


def same(found: Pillow.Image, wanted: tuple[tuple[int, int], tuple[int, ...], tuple[int, ...]]) -> bool:
    size, first, last = ends(found)
    return size == wanted[0] and near(first, wanted[1]) and near(last, wanted[2])


def grey(*values: int) -> tuple[tuple[int, int], tuple[int, ...], tuple[int, ...]]:
    return (len(values), 1), (values[0],) * 3, (values[-1],) * 3


def uncovered_gif() -> bytes:
    """A GIF of 4 x 1 pixels whose only frame covers the last two, in red; no colour is transparent."""
    picture = Pillow.new("P", (2, 1), 0)
    picture.putpalette([255, 0, 0])
    file = bytearray(encoded(picture, "GIF"))
    file[6:8] = struct.pack("<H", 4)
    frame = file.index(b",", 13)
    file[frame + 1 : frame + 3] = struct.pack("<H", 2)
    return bytes(file)


def bmp_with_alpha(alpha: int) -> bytes:
    """A BMP of one red pixel with a mask for its fourth byte."""
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 1, 1, 1, 32, 3, 4, 2835, 2835, 0, 0) + masks + b"\0" * (108 - 56)
    return b"BM" + struct.pack("<IHHI", 14 + 108 + 4, 0, 0, 14 + 108) + header + bytes([0, 0, 255, alpha])


def associated_tiff() -> bytes:
    """A TIFF of premultiplied alpha: half-transparent red is stored as half red."""
    file = encoded(Pillow.new("RGBA", (2, 2), (128, 0, 0, 128)), "TIFF")
    tag = file.index(struct.pack("<HHI", 338, 3, 1)) + 8
    return file[:tag] + struct.pack("<H", 1) + file[tag + 2 :]


PALETTE = halves().quantize(4)
MENDED = {
    "JPEG lying": (turned(6), "turned upright", UPRIGHT),
    "JPEG upside down": (turned(3), "turned upright", ((20, 10), RED, BLUE)),
    "JPEG mirrored": (turned(2), "turned upright", ((20, 10), RED, BLUE)),
    "WebP lying": (turned(6, "WEBP"), "turned upright", UPRIGHT),
    "PNG lying": (turned(6, "PNG"), "turned upright", UPRIGHT),
    "PNG whose eXIf stands behind the pixels": (
        png((2, 1), 8, 2, [bytes([*BLUE, *RED])], behind=chunk(b"eXIf", exif(6)[6:])),
        "turned upright",
        ((1, 2), BLUE, RED),
    ),
    "lying and see-through": (
        see_through(exif=exif(6)),
        "laid on white, turned upright",
        ((10, 20), BLUE, WHITE),
    ),
    "MPO lying": (moving("MPO", exif=exif(6), quality=100, subsampling=0), "turned upright", UPRIGHT),
    "16-bit grey": (ramp(), "scaled to 8 bits", ((256, 4), (0,) * 3, (255,) * 3)),
    "16-bit grey with a transparent one": (
        png((2, 1), 16, 0, [struct.pack(">HH", 0x1234, 0x8000)], chunk(b"tRNS", b"\x12\x34")),
        "scaled to 8 bits, laid on white",
        grey(255, 128),
    ),
    "16-bit grey and alpha": (
        png((1, 1), 16, 4, [struct.pack(">HH", 0, 0x8000)]),
        "scaled to 8 bits, laid on white",
        grey(127),
    ),
    "16-bit RGB": (png((1, 1), 16, 2, [SIXTEEN]), "scaled to 8 bits", ((1, 1), (18, 128, 255), (18, 128, 255))),
    "16-bit RGB, its colour transparent": (
        png((1, 1), 16, 2, [SIXTEEN], chunk(b"tRNS", SIXTEEN)),
        "scaled to 8 bits, laid on white",
        grey(255),
    ),
    "RGBA": (see_through(), "laid on white", ((20, 10), BLUE, WHITE)),
    "WebP with alpha": (see_through("WEBP", lossless=True, exact=True), "laid on white", ((20, 10), BLUE, WHITE)),
    "grey and alpha": (encoded(Pillow.new("LA", (2, 1), (0, 0)), "PNG"), "laid on white", grey(255, 255)),
    "a palette's colour is transparent": (
        encoded(PALETTE, "PNG", transparency=PALETTE.getpixel((0, 0))),
        "laid on white",
        ((20, 10), WHITE, RED),
    ),
    "4-bit grey, one transparent": (
        png((2, 1), 4, 0, [b"\x5f"], chunk(b"tRNS", b"\0\x05")),
        "laid on white",
        grey(255, 255),
    ),
    "1-bit, one transparent": (png((2, 1), 1, 0, [b"\x40"], chunk(b"tRNS", b"\0\1")), "laid on white", grey(0, 255)),
    "GIF whose frame leaves room": (uncovered_gif(), "laid on white", ((4, 1), WHITE, RED)),
    "GIF that moves": (moving("GIF"), "made still", FLAT),
    "WebP that moves": (moving("WEBP", lossless=True), "made still", FLAT),
    "PNG that moves": (moving("PNG"), "made still", FLAT),
    "CMYK": (encoded(Pillow.new("CMYK", (2, 2), (0, 255, 255, 0)), "JPEG", quality=100), "converted to RGB", ((2, 2), RED, RED)),
    "BMP whose fourth byte is empty": (bmp_with_alpha(0), "converted to RGB", ((1, 1), RED, RED)),
}
SOUND = {
    "JPEG": encoded(halves(), "JPEG"),
    "grey JPEG": encoded(halves().convert("L"), "JPEG"),
    "JPEG that says upright": turned(1),
    "JPEG of orientation 9": turned(9),
    "JPEG of orientation 0": turned(0),
    "JPEG whose EXIF is cut off": encoded(halves(), "JPEG", exif=exif(6)[:16]),
    "JPEG whose EXIF is no EXIF": encoded(halves(), "JPEG", exif=b"Exif\0\0nonsense"),
    "MPO": moving("MPO"),
    "PNG": encoded(halves(), "PNG"),
    "palette": encoded(PALETTE, "PNG"),
    "1 bit": encoded(halves().convert("1"), "PNG"),
    "opaque alpha": encoded(halves().convert("RGBA"), "PNG"),
    "opaque grey and alpha": encoded(halves().convert("LA"), "PNG"),
    "a transparent colour that is nowhere": encoded(halves(), "PNG", transparency=(1, 2, 3)),
    "WebP": encoded(halves(), "WEBP"),
    "GIF": encoded(PALETTE, "GIF"),
    "BMP": encoded(halves(), "BMP"),
    "BMP with opaque alpha": bmp_with_alpha(255),
    "a colour profile": encoded(halves(), "PNG", icc_profile=b"\0" * 128),
    "one pixel wide": encoded(Pillow.new("L", (1, 100_000), 9), "PNG"),
}


@pytest.mark.parametrize("name", MENDED)
def test_a_picture_that_readers_show_differently_is_mended_and_it_is_said_how(name: str) -> None:
    data, words, wanted = MENDED[name]
    assert look(data).mended == words
    assert same(turn_upright(data), wanted)
    shown = convert_as_seen(data)
    assert (shown.media_type, shown.mended) == ("image/png", words)
    assert look(shown.data).mended == "", "the mended one is sound"
    assert same(Pillow.open(BytesIO(shown.data)), wanted)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_picture_stays_the_file_that_it_is(name: str) -> None:
    data = SOUND[name]
    shown = convert_as_seen(data)
    assert (shown.data is data, shown.mended) == (True, "")
    assert decode_picture(data).mended == ""
    with Pillow.open(BytesIO(data)) as plain:
        assert np.array_equal(np.asarray(plain.convert("RGB")), np.asarray(turn_upright(data).convert("RGB")))


@pytest.mark.parametrize("name", ["PNG that moves", "GIF that moves"])
def test_a_moving_picture_whose_second_frame_is_broken_is_its_first(name: str) -> None:
    data, words, wanted = MENDED[name]
    mark = b"fdAT" if b"fdAT" in data else b"!\xf9"
    cut = data[: data.rindex(mark) + 10]
    assert look(cut).mended == words
    assert same(turn_upright(cut), wanted)


def test_a_ramp_of_16_bits_keeps_all_its_steps() -> None:
    steps = set(np.asarray(turn_upright(ramp())).flat)
    assert len(steps) == 256
    small, *_ = fit_image(ramp(), "image/png", ImageLimits(max_edge=128))
    scaled = np.asarray(Pillow.open(BytesIO(small)).convert("L"))
    assert len(set(scaled.flat)) >= 120
    assert (scaled == 255).mean() < 0.02


@pytest.mark.parametrize(
    ("mode", "values", "wanted"),
    [
        ("F", [0.0, 0.5, 1.0], [0, 128, 255]),
        ("F", [0.0, 128.0, 255.0], [0, 128, 255]),
        ("F", [-1.0, 0.0, 1.0], [0, 128, 255]),
        ("F", [0.0, float("nan"), 1.0], [0, 0, 255]),
        ("F", [0.0, float("inf"), 1.0], [0, 255, 255]),
        ("I", [0, 32_768, 65_535], [0, 128, 255]),
        ("I", [0, 128, 255], [0, 128, 255]),
        ("I", [-100_000, 0, 100_000], [0, 128, 255]),
        ("I", [7, 7, 7], [7, 7, 7]),
    ],
)
def test_numbers_that_are_no_bytes_are_scaled_to_what_they_stand_for(mode: str, values: list[float], wanted: list[int]) -> None:
    picture = Pillow.new(mode, (3, 1))
    picture.putdata(values)
    drawn = decode_picture(encoded(picture, "TIFF"))
    assert drawn.media_type == "image/png"
    assert list(np.asarray(Pillow.open(BytesIO(drawn.data))).flat) == wanted


def test_colours_that_no_model_reads_become_rgb() -> None:
    lab = Pillow.open(BytesIO(decode_picture(encoded(Pillow.new("LAB", (2, 2), (136, 208, 195)), "TIFF")).data))
    red, green, blue = lab.getpixel((0, 0))  # type: ignore[misc]
    assert red > 240
    assert green < 40
    assert blue < 40
    inverted = encoded(Pillow.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG")
    assert ends(turn_upright(inverted))[1] == WHITE, "no ink is white, though Adobe's files say it the other way round"


def test_premultiplied_colours_are_laid_on_white_once() -> None:
    drawn = Pillow.open(BytesIO(decode_picture(associated_tiff()).data))
    assert near(drawn.getpixel((0, 0)), (255, 127, 127))  # type: ignore[arg-type]


# ---------------------------------------------------------------- the same pixels, wherever it is sent


@pytest.mark.parametrize("name", MENDED)
async def test_a_local_model_a_hosted_one_and_a_judge_get_the_same_pixels(name: str) -> None:
    data = MENDED[name][0]
    wanted = np.asarray(turn_upright(data).convert("RGB"))
    drawn = Image("digest", look(data).media_type, data, look(data).mended)
    judged = await show_image(drawn).read()
    hosted, *_ = fit_image(data, look(data).media_type, ImageLimits(types=("image/png",)))
    request = Request(kind="chat", parts=(Image.from_bytes(data), show_image(drawn), Text("What is it?")))
    frame = read_frame(BytesIO(await pack_request(1, request, False)))
    assert frame is not None
    local = pictures_of(unpack_request(*frame))
    for picture in (Pillow.open(BytesIO(judged)), Pillow.open(BytesIO(hosted)), *local):
        assert np.array_equal(np.asarray(picture.convert("RGB")), wanted)


async def test_a_sound_picture_is_judged_as_it_came() -> None:
    image = Image("digest", "image/png", SOUND["PNG"], "")
    assert show_image(image) is image


def test_a_local_model_rejects_what_is_no_picture() -> None:
    with pytest.raises(Rejected, match="cannot be read: an HTML page"):
        pictures_of(Request(kind="chat", parts=(Image.from_bytes(b"<!doctype html>"), Text("?"))))


def test_a_photograph_with_a_second_picture_in_it_is_not_written_anew_for_a_vendor() -> None:
    assert fits(SOUND["MPO"], "image/jpeg", ImageLimits(max_edge=8000))


def test_a_picture_that_no_jpeg_can_hold_is_scaled_to_what_one_can() -> None:
    new, kind, did = fit_image(SOUND["one pixel wide"], "image/png", ImageLimits(types=("image/jpeg",)))
    assert (kind, did) == ("image/jpeg", "scaled down and converted from image/png to image/jpeg")
    assert Pillow.open(BytesIO(new)).height <= 65_535


# ---------------------------------------------------------------- names


def test_the_name_of_a_mended_picture_is_the_same_in_every_process_and_with_every_encoder() -> None:
    assert derive_mended_digest("6b5fc54b49aab6b4c8b8f0f4a7d9dc55") == "5d346b10dc84f366e99fb1772b31c390"
    code = (
        "from odd_pictures import turned; from unisafe_providers.pictures import mend_picture; print(mend_picture(turned()).hex())"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
    assert bytes.fromhex(there) == mend_picture(turned())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png((60_000, 60_000), 8, 0, [b""]), "more than 64,000,000 pixels"),
        (png((0, 1), 8, 0, [b""]), "cut off or broken"),
        (turned()[:200], "cut off or broken"),
        (b"", "nothing"),
        (b"<svg/>", "an SVG drawing"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, words: str) -> None:
    for read in (decode_picture, turn_upright, mend_picture):
        with pytest.raises(NotAPicture, match=words):
            read(data)
