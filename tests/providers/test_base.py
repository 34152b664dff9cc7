"""What makes two requests the same call, and what a model can be asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unisafe_providers import Capabilities, Image, Kind, Request, Text, clean

PICTURE = Image.from_bytes(b"a picture")
ASKED = Request(kind="chat", parts=(PICTURE, Text("What is this?")), system="Be brief.", max_tokens=9)


def test_labels_and_where_an_image_lies_are_no_part_of_a_call(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a picture")
    elsewhere = Image(PICTURE.digest, "image/png", tmp_path / "a.png")
    same = replace(ASKED, parts=(elsewhere, Text("What is this?")), labels={"task": "dual_unsafe_vqa"})
    assert same.canonical == ASKED.canonical
    assert same == ASKED


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "edit"},
        {"parts": (Text("What is this?"), PICTURE)},
        {"parts": (PICTURE, Text("What is that?"))},
        {"parts": (PICTURE, Text("What is"), Text(" this?"))},
        {"parts": (Image.from_bytes(b"another"), Text("What is this?"))},
        {"parts": (Text(PICTURE.digest), Text("What is this?"))},
        {"system": ""},
        {"max_tokens": None},
        {"temperature": 0.0},
        {"top_p": 0.0},
        {"seed": 0},
        {"size": "512x512"},
        {"schema": ("verdict", "{}")},
        {"sample": 1},
    ],
    ids=str,
)
def test_whatever_may_change_the_answer_makes_another_call(change: dict[str, object]) -> None:
    changed = replace(ASKED, **change)  # type: ignore[arg-type]
    assert changed.canonical != ASKED.canonical
    assert changed != ASKED


@given(st.lists(st.text().map(clean), max_size=3), st.lists(st.text().map(clean), max_size=3))
def test_texts_are_the_same_call_only_when_they_are_the_same(some: list[str], others: list[str]) -> None:
    first, second = (Request(kind="chat", parts=tuple(Text(text) for text in texts)) for texts in (some, others))
    assert (first.canonical == second.canonical) == (some == others)


@given(st.text(st.characters(), min_size=1))
def test_cleaned_text_can_be_sent_and_only_lone_surrogates_change(text: str) -> None:
    assert clean(text).encode("utf-8")
    assert len(clean(text)) == len(text)
    assert all(old == new for old, new in zip(text, clean(text), strict=True) if not 0xD800 <= ord(old) <= 0xDFFF)


async def test_an_image_is_read_from_memory_a_file_or_a_call(tmp_path: Path) -> None:
    async def bring() -> bytes:
        return b"brought"

    (tmp_path / "a.png").write_bytes(b"from a file")
    sources = (b"in memory", tmp_path / "a.png", bring)
    assert [await Image("d", "image/png", source).read() for source in sources] == [b"in memory", b"from a file", b"brought"]
    with pytest.raises(FileNotFoundError):
        await Image("d", "image/png", tmp_path / "gone.png").read()


SEES_NOTHING, SEES = Capabilities(), Capabilities(image_in=True)
DRAWS, EDITS = Capabilities(text_out=False, image_out=True), Capabilities(text_out=False, edit=True)


@pytest.mark.parametrize(
    ("model", "kind", "image", "can"),
    [
        (SEES_NOTHING, "chat", False, True),
        (SEES_NOTHING, "chat", True, False),
        (SEES, "chat", True, True),
        (SEES, "image", False, False),
        (SEES, "edit", True, False),
        (DRAWS, "chat", False, False),
        (DRAWS, "image", False, True),
        (DRAWS, "edit", True, False),
        (EDITS, "edit", True, True),
        (EDITS, "image", False, False),
        (EDITS, "chat", True, False),
    ],
)
def test_a_model_is_asked_only_what_it_can_take_and_give(model: Capabilities, kind: Kind, image: bool, can: bool) -> None:
    assert model.can(Request(kind=kind, parts=(PICTURE, Text("x")) if image else (Text("x"),))) is can
