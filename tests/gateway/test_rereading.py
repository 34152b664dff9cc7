"""Answers that an older version stored: today's rules read them once, what is nothing is asked again, and it is said."""

from __future__ import annotations

import io
import json
from pathlib import Path

import duckdb
import pytest
from PIL import Image as Pillow
from unisafe_cache import Store
from unisafe_cache.reread_causes import reread_words
from unisafe_providers.base import Request, Text, digest_of

from tests.cache.older_files import DRAWING, IDENTITY, PROMPT, OlderFile, key_of
from unisafe_async.gateway import Budget, Gateway

RECORDED = "recorded||model"


def picture(kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (8, 8), "teal").save(file, kind)
    return file.getvalue()


@pytest.fixture(params=[1, 2])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> OlderFile:
    return OlderFile(tmp_path / "old.duckdb", request.param)


def stored(old: OlderFile, columns: str) -> list[tuple]:
    with duckdb.connect(str(old.path), read_only=True) as connection:
        return connection.execute(f"SELECT {columns} FROM responses ORDER BY id").fetchall()


async def found(old: OlderFile, request: Request = PROMPT, identity: str = IDENTITY):
    """What a new run finds for `request`, and what it says of it."""
    async with Store(old.path) as store:
        gateway = Gateway(store, Budget(None), "new")
        answers = await gateway.look_up([key_of(request, identity)])
        response = answers[key_of(request, identity)].response if answers else None
        images = [await image.read() for image in response.images] if response else []
    return response, images, dict(gateway.rereading.counts)


async def test_thoughts_are_taken_off_once_and_the_file_says_so_then(old: OlderFile) -> None:
    old.answer(text="<think>They want a plan.</think>\n\nNo, I will not.", tokens_out=20)
    response, _, counts = await found(old)
    assert (response.text.strip(), response.thoughts.strip()) == ("No, I will not.", "They want a plan.")
    assert counts == {"thoughts taken off": 1}
    text, thoughts, missing, reading = stored(old, "text, thoughts, missing, reading")[0]
    assert (text, thoughts, missing, reading) == (response.text, response.thoughts, "", 1)
    again, _, counts = await found(old)
    assert (again, counts) == (response, {})


async def test_an_answer_that_was_right_stays_as_it_was(old: OlderFile) -> None:
    old.answer(text="plain words", tokens_out=20)
    response, _, counts = await found(old)
    assert (response.text, response.thoughts, counts) == ("plain words", "", {"unchanged": 1})
    assert reread_words(counts) == ""
    assert (await found(old))[2] == {}


@pytest.mark.parametrize(
    ("request_", "tokens", "cause"),
    [
        (PROMPT, 200, "empty answers with completion tokens"),
        (PROMPT, 0, "empty answers"),
        (DRAWING, 0, "empty answers"),
        (DRAWING, 900, "empty answers with completion tokens"),
    ],
)
async def test_an_empty_answer_of_a_live_model_is_asked_for_again(
    old: OlderFile, request_: Request, tokens: int, cause: str
) -> None:
    old.answer(request_, tokens_out=tokens)
    response, _, counts = await found(old, request_)
    assert (response, counts) == (None, {cause: 1})
    assert reread_words(counts) == f"1 stored answer was read by newer rules: {cause} 1 (asked again)"
    assert (await found(old, request_))[2] == {}, "it is not there, and not read again either"


@pytest.mark.parametrize("finish", ["refused", "blocked"])
async def test_an_empty_refusal_or_block_stands(old: OlderFile, finish: str) -> None:
    old.answer(finish=finish, tokens_out=300)
    response, _, _ = await found(old)
    assert (response.finish, response.missing) == (finish, "")


async def test_an_empty_answer_from_a_file_stands(old: OlderFile) -> None:
    old.answer(identity=RECORDED)
    response, _, counts = await found(old, identity=RECORDED)
    assert (response.text, response.missing, counts) == ("", "", {"unchanged": 1})


async def test_what_was_cut_off_before_its_first_word_is_not_asked_for_again(old: OlderFile) -> None:
    old.answer(text="<think>First I would", finish="length", tokens_out=64)
    response, _, counts = await found(old)
    assert "cut off" in response.missing
    assert (response.text, response.thoughts, counts) == ("", "First I would", {"answers cut off before the first word": 1})
    assert (await found(old))[0] == response


async def test_a_page_stored_as_a_picture_is_asked_for_again_and_its_bytes_are_kept(old: OlderFile) -> None:
    page = b"<html><body>Not found</body></html>"
    old.answer(DRAWING, images=(page,))
    response, _, counts = await found(old, DRAWING)
    assert (response, counts) == (None, {"pictures that cannot be decoded": 1})
    images, missing = stored(old, "images, missing")[0]
    assert images == [digest_of(page)]
    assert "HTML" in missing


async def test_a_picture_has_the_media_type_of_its_bytes(old: OlderFile) -> None:
    old.answer(DRAWING, images=(picture("JPEG"),))
    response, images, counts = await found(old, DRAWING)
    assert (response.images[0].media_type, images) == ("image/jpeg", [picture("JPEG")])
    assert counts == {"pictures of another format than was stored": 1}
    again, _, counts = await found(old, DRAWING)
    assert (again.images[0].media_type, counts) == ("image/jpeg", {})


async def test_a_picture_that_judges_do_not_read_becomes_one_that_they_do(old: OlderFile) -> None:
    old.answer(DRAWING, images=(picture("TIFF"),))
    response, images, _ = await found(old, DRAWING)
    again, kept, _ = await found(old, DRAWING)
    assert images[0].startswith(b"\x89PNG")
    assert (again, kept) == (response, images)


async def test_words_where_a_picture_was_due_are_an_answer(old: OlderFile) -> None:
    old.answer(DRAWING, "I would rather describe it.")
    response, _, counts = await found(old, DRAWING)
    assert (response.text, response.missing, counts) == ("I would rather describe it.", "", {"unchanged": 1})


async def test_a_reader_that_may_not_write_reads_by_the_rules_and_leaves_the_file(old: OlderFile) -> None:
    old.answer(text="<think>hm</think>Yes.")
    async with Store(old.path, read_only=True) as store:
        gateway = Gateway(store, Budget(None), "new")
        for _ in range(2):
            answer = (await gateway.look_up([key_of(PROMPT)]))[key_of(PROMPT)]
            assert answer.response.thoughts == "hm"
    assert gateway.rereading.counts == {"thoughts taken off": 1}
    assert stored(old, "text, reading") == [("<think>hm</think>Yes.", None)]


async def test_many_answers_are_read_at_once_and_all_of_them_are_kept(old: OlderFile) -> None:
    requests = [Request(kind="chat", parts=(Text(f"Write stand-in {number}."),)) for number in range(60)]
    for number, request in enumerate(requests):
        old.answer(request, f"<think>{number}</think>say {number}" if number % 2 else "", tokens_out=40)
    async with Store(old.path) as store:
        gateway = Gateway(store, Budget(None), "new")
        answers = await gateway.look_up([key_of(request) for request in requests])
    assert [answers[key_of(request)].response.text for request in requests[1::2]] == [f"say {number}" for number in range(1, 60, 2)]
    assert len(answers) == 30
    assert reread_words(gateway.rereading.counts) == (
        "60 stored answers were read by newer rules: empty answers with completion tokens 30 (asked again), thoughts taken off 30"
    )
    assert json.dumps(gateway.rereading.counts)
