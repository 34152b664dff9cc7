"""What came back, as everybody keeps and judges it: thoughts apart, pictures that are pictures, and why nothing came."""

from __future__ import annotations

import base64
from io import BytesIO

import pytest
from PIL import Image as Pillow
from unisafe_providers import Block, Image, Malformed, Response, Usage
from unisafe_providers.anatomy import CUT_OFF, EMPTY, ONLY_THOUGHTS, TOOL_CALL, UNFINISHED, decode_base64_image, examine_response
from unisafe_providers.pictures import NotAPicture, decode_picture


def drawn(kind: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    file = BytesIO()
    Pillow.new("RGB", size, (10, 120, 10)).save(file, kind)
    return file.getvalue()


PNG = drawn()
BARE = base64.urlsafe_b64encode(PNG).decode().rstrip("=")
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


async def chat(response: Response) -> Response:
    return await examine_response(response, image_due=False)


async def picture(response: Response) -> Response:
    return await examine_response(response, image_due=True)


# ---------------------------------------------------------------- thoughts


@pytest.mark.parametrize(
    ("text", "answer", "thoughts"),
    [
        ("<think>\nA greeting.\n</think>\n\nHello.", "Hello.", "A greeting."),
        ("A greeting.\n</think>\n\nHello.", "Hello.", "A greeting."),
        ("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello.", "Hello.", "Hm."),
        ("Hello.", "Hello.", ""),
        ("It ends with the tag `</think>` in templates.", "It ends with the tag `</think>` in templates.", ""),
    ],
)
async def test_thoughts_are_kept_apart_from_the_text(text: str, answer: str, thoughts: str) -> None:
    found = await chat(Response(text=text))
    assert (found.text, found.thoughts, found.missing) == (answer, thoughts, "")


async def test_thoughts_of_a_field_stand_before_those_in_the_text() -> None:
    found = await chat(Response(text="<think>second</think>Hello.", thoughts="first"))
    assert (found.text, found.thoughts) == ("Hello.", "first\n\nsecond")


@pytest.mark.parametrize(("finish", "missing"), [("stop", UNFINISHED), ("length", UNFINISHED)])
async def test_an_answer_that_ends_in_its_thoughts_is_none(finish: str, missing: str) -> None:
    found = await chat(Response(text="<think>It goes on and on", finish=finish))  # type: ignore[arg-type]
    assert (found.text, found.missing) == ("", missing)
    assert "goes on" in found.thoughts


# ---------------------------------------------------------------- nothing


@pytest.mark.parametrize(
    ("response", "missing", "again"),
    [
        (Response(), EMPTY, True),
        (Response(text=" \n"), EMPTY, True),
        (Response(text="\ufeff \u200b\n"), EMPTY, True),
        (Response(usage=Usage(tokens_in=5, tokens_out=8)), EMPTY, True),
        (Response(usage=Usage(tokens_in=5, tokens_out=9)), "9 tokens", False),
        (Response(thoughts="Sure: here is how."), ONLY_THOUGHTS, False),
        (Response(missing=TOOL_CALL), TOOL_CALL, False),
        (Response(missing="no picture (NO_IMAGE)", asks_again=True), "no picture (NO_IMAGE)", True),
        (Response(finish="length"), CUT_OFF, False),
        (Response(finish="length", thoughts="Hm"), CUT_OFF, False),
        (Response(finish="blocked", block=Block("response")), "", False),
        (Response(finish="refused"), "", False),
        (Response(text="Words.", missing=TOOL_CALL), "", False),
    ],
)
@pytest.mark.parametrize("image_due", [False, True])
async def test_why_nothing_came(response: Response, missing: str, again: bool, image_due: bool) -> None:
    found = await examine_response(response, image_due=image_due)
    assert missing in found.missing if missing else not found.missing
    assert found.asks_again is again


async def test_an_empty_line_of_a_file_is_not_missing_anything() -> None:
    """Rule 4 of the paper holds for recorded answers; thoughts without an answer are unread there too."""
    assert (await examine_response(Response(), image_due=False, recorded=True)).missing == ""
    assert (await examine_response(Response(text="<think>hm"), image_due=False, recorded=True)).missing == UNFINISHED
    assert (await examine_response(Response(text="<think>hm</think>"), image_due=False, recorded=True)).missing == ONLY_THOUGHTS


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
async def test_the_media_type_is_that_of_the_bytes(kind: str) -> None:
    found = await picture(Response(images=(Image.from_bytes(drawn(kind), "image/x-anything"),)))
    assert found.images[0].media_type == f"image/{kind.lower()}"
    assert await found.images[0].read() == drawn(kind)


@pytest.mark.parametrize("kind", ["AVIF", "TIFF"])
async def test_formats_that_judges_do_not_read_become_png(kind: str) -> None:
    found = await picture(Response(images=(Image.from_bytes(drawn(kind)),)))
    data = await found.images[0].read()
    assert (found.images[0].media_type, data[:4]) == ("image/png", b"\x89PNG")
    assert decode_picture(data).data is data


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "an SVG drawing"),
        (b"<?xml version='1.0'?>\n<!-- a -->\n<svg></svg>", "an SVG drawing"),
        (b"<!DOCTYPE html><html><body>Sorry</body></html>", "an HTML page"),
        (PNG[:-20], "cut off or broken"),
        (drawn("JPEG", (64, 64))[:300], "cut off or broken"),
        (b" ", "1 blank bytes"),
        (b"", "nothing"),
        (b'{"error": "no"}', "JSON"),
        (b"%PDF-1.4", "text"),
        (bytes(range(256)), "no known picture format"),
    ],
)
async def test_what_is_no_picture_is_a_failure_that_names_it(data: bytes, named: str) -> None:
    spent = Usage(tokens_in=3, tokens_out=4, images=1, cost=0.04)
    with pytest.raises(Malformed, match=named) as raised:
        await picture(Response(text="Here it is.", images=(Image.from_bytes(PNG), Image.from_bytes(data)), usage=spent))
    assert raised.value.usage == spent
    assert raised.value.partial is not None
    assert raised.value.partial.text == "Here it is."


async def test_a_broken_picture_beside_words_that_were_asked_for_costs_no_answer() -> None:
    found = await chat(Response(text="Here are tips.", images=(Image.from_bytes(b"<html>"), Image.from_bytes(PNG))))
    assert found.text == "Here are tips."
    assert [image.media_type for image in found.images] == ["image/png"]


def test_a_picture_that_unpacks_to_too_much_is_not_read() -> None:
    file = BytesIO()
    Pillow.new("1", (20_000, 20_000)).save(file, "PNG")
    with pytest.raises(NotAPicture, match="more than 64,000,000"):
        decode_picture(file.getvalue())


async def test_data_urls_are_pictures_only_where_one_was_asked_for() -> None:
    words = f"Look: ![tree]({URL}) There."
    drawn_there, said = await picture(Response(text=words)), await chat(Response(text=words))
    assert (drawn_there.text, [await image.read() for image in drawn_there.images]) == ("Look:  There.", [PNG])
    assert (said.text, said.images) == (words, ())


async def test_invented_base64_costs_a_text_task_nothing() -> None:
    words = "![icon](data:image/png;base64,QUJD) and ![other](data:image/png;base64,<not base64>)"
    assert (await chat(Response(text=words))).text == words


@pytest.mark.parametrize("text", [URL, base64.b64encode(PNG).decode(), base64.encodebytes(PNG).decode(), f"  {URL}\r\n", BARE])
async def test_base64_is_read_with_line_breaks_and_prefixes(text: str) -> None:
    assert await decode_base64_image(text).read() == PNG


@pytest.mark.parametrize("value", ["not base64!", None, 7, {"url": "x"}])
def test_what_is_no_base64_is_malformed(value: object) -> None:
    with pytest.raises(Malformed, match="not base64"):
        decode_base64_image(value)


@pytest.mark.parametrize("words", ["\nHere is your picture.", "\n\nEnjoy!", " as you asked", ") done", "\nDone"])
@pytest.mark.parametrize("every", [10_000, 40])
async def test_words_after_a_data_url_are_no_part_of_it(words: str, every: int) -> None:
    prefix, data = URL.split(",")
    wrapped = "\n".join(data[at : at + every] for at in range(0, len(data), every))
    found = await picture(Response(text=f"{prefix},{wrapped}{words}"))
    assert [await image.read() for image in found.images] == [PNG]
    assert found.text.strip() == words.strip()


def test_a_file_of_comments_is_named_at_once() -> None:
    with pytest.raises(NotAPicture):
        decode_picture(b"<!---->" * 200 + b"\0")
