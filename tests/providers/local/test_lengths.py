"""How long requests are before they run: what decides who shares a batch, what fits the model, and how much is tried at first."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pictures
from tiny_models import CHAMELEON, EMU3, JANUS, LLAMA, LLAVA, QWEN2_5_VL, QWEN3_VL, Tiny
from unisafe_providers.base import Image, Rejected, Request, Text
from unisafe_providers.local.engine import Engine
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.local.worker import load_engine
from unisafe_providers.workers.batches import BatchSizes, Pool, Waiting

Weights = Callable[[Tiny], Path]
SEES = (QWEN2_5_VL, QWEN3_VL, LLAVA, JANUS, EMU3, CHAMELEON)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return cache(lambda tiny: tiny.build(tmp_path_factory.mktemp("models") / tiny.name))


def loaded(folder: Path, **options: Any) -> Engine:
    from unisafe_providers.local.device import Device

    return load_engine(LocalSettings(library="transformers", model=str(folder), **options), Device("cpu"))


def picture(width: int, height: int, turned: bool = False) -> Image:
    content, exif = io.BytesIO(), Pictures.Exif()
    exif[0x0112] = 6 if turned else 1
    Pictures.new("RGB", (width, height), (90, 80, 120)).save(content, "JPEG", exif=exif)
    return Image.from_bytes(content.getvalue())


def asked(*pictures: Image, text: str = "What is this?", room: int = 2) -> Request:
    return Request(kind="chat", parts=(*pictures, Text(text)), max_tokens=room, temperature=0.0)


@pytest.mark.parametrize("tiny", SEES, ids=lambda tiny: tiny.name)
def test_images_are_as_long_as_the_model_s_processor_makes_them(tiny: Tiny, folder_of: Weights) -> None:
    engine = loaded(folder_of(tiny), sees=True)
    if hasattr(engine.processor.image_processor, "merge_size"):  # as large as the real model takes them
        engine.processor.image_processor.size = {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 400}
    requests = [
        asked(),
        asked(picture(40, 40)),
        asked(picture(300, 90), text="What is this? It is calm."),
        asked(picture(90, 300)),
        asked(picture(300, 90, turned=True)),
    ]
    for request in requests:
        prepared = engine.prepare(request)
        assert prepared.length == pytest.approx(engine.answer([prepared])[0].usage.tokens_in, abs=3)


@pytest.mark.parametrize("tiny", [QWEN2_5_VL, LLAVA], ids=lambda tiny: tiny.name)
def test_a_processor_without_arithmetic_is_tried_on_blank_images(
    tiny: Tiny, folder_of: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded(folder_of(tiny), sees=True)
    monkeypatch.setattr(engine.processor, "_get_num_multimodal_tokens", None)
    for request in (asked(picture(50, 30)), asked(picture(50, 30), picture(28, 56))):
        prepared = engine.prepare(request)
        assert prepared.length == engine.answer([prepared])[0].usage.tokens_in


def test_a_picture_that_is_longer_than_the_model_takes_is_refused_before_it_runs(folder_of: Weights) -> None:
    engine = loaded(folder_of(QWEN2_5_VL), sees=True)
    engine.processor.image_processor.size = {"shortest_edge": 28 * 28, "longest_edge": 12_845_056}
    with pytest.raises(Rejected, match=r"the prompt is 9,\d\d\d tokens long, and the model takes 8,192"):
        engine.prepare(asked(picture(2_800, 2_600)))


def test_a_picture_that_cannot_be_read_is_refused_before_it_is_in_a_batch(folder_of: Weights) -> None:
    engine = loaded(folder_of(QWEN2_5_VL), sees=True)
    with pytest.raises(Rejected, match="an image of the request cannot be read"):
        engine.prepare(asked(Image.from_bytes(b"\xff\xd8\xff no picture")))


@pytest.mark.parametrize(("tiny", "tokens"), [(JANUS, 64), (EMU3, 4 * 5 + 3)], ids=["janus", "emu3"])
def test_an_image_that_is_drawn_has_the_length_of_its_tokens_and_begins_with_two(
    tiny: Tiny, tokens: int, folder_of: Weights
) -> None:
    engine = loaded(folder_of(tiny), draws=True)
    prepared = engine.prepare(Request(kind="image", parts=(Text("A calm lake"),), size="32x32", seed=1))
    assert (prepared.room, prepared.first) == (tokens, 2)
    assert engine.prepare(asked()).first is None, "text begins as it always did"


# ---------------------------------------------------------------- what is tried at first, and how it grows


def taken(sizes: BatchSizes, waiting: list[tuple[int, int]], group: str = "text", first: int | None = None) -> list[int]:
    """The prompts' lengths in the next batch, of waiting requests with (length, room)."""
    pool = Pool()
    for number, (length, room) in enumerate(waiting):
        pool.add(Waiting(identifier=number, group=group, length=length, room=room, payload=None))
    return [one.length for one in pool.take(sizes.size(group, first), sizes.tokens(group))]


def test_large_pictures_begin_with_few_and_short_prompts_with_many() -> None:
    sizes = BatchSizes(None, 16, 64, first_tokens=16_384)
    assert taken(sizes, [(16_384, 1_024)] * 40) == [16_384]
    assert len(taken(sizes, [(2_000, 48)] * 40)) == 8
    assert len(taken(sizes, [(100, 200)] * 40)) == 16


def test_tokens_double_while_there_is_room_and_what_is_long_does_not_hold_back_what_is_short() -> None:
    sizes = BatchSizes(None, 16, 64, first_tokens=16_000)
    sizes.note_success("text", 1, headroom=True, tokens=10_000)
    assert sizes.tokens("text") == 32_000, "a second one of that length had no place"
    sizes.note_success("text", 16, headroom=True, tokens=8_000)
    assert (sizes.size("text"), sizes.tokens("text")) == (32, 32_000), "that was full by number, not by tokens"
    sizes.note_failure("text", 2, tokens=32_000)
    assert (sizes.size("text"), sizes.tokens("text")) == (32, 16_000)
    sizes.note_success("text", 1, headroom=True, tokens=16_000)
    assert sizes.tokens("text") == 16_000, "what did not fit is not tried again"
    assert len(taken(sizes, [(100, 200)] * 40)) == 32
    sizes.note_success("image", 2, headroom=False, tokens=16_000)
    assert sizes.tokens("image") == 16_000


def test_the_user_s_number_of_requests_is_tried_at_once_and_halved_when_memory_runs_out() -> None:
    sizes = BatchSizes(20, 16, 64, first_tokens=16_000)
    assert len(taken(sizes, [(5_000, 1_000)] * 40)) == 20
    sizes.note_failure("text", 20, tokens=120_000)
    assert len(taken(sizes, [(5_000, 1_000)] * 40)) == 10
    assert len(taken(BatchSizes(None, 16, 64, 16_000, max_tokens=4_096), [(924, 100)] * 40)) == 4, (
        "the user's tokens hold from the first"
    )


def test_a_group_may_begin_with_fewer_than_others() -> None:
    sizes = BatchSizes(None, 16, 64, first_tokens=16_000)
    assert len(taken(sizes, [(30, 576)] * 40, "drawn", first=2)) == 2
    sizes.note_success("drawn", 2, headroom=True, tokens=1_212)
    assert len(taken(sizes, [(30, 576)] * 40, "drawn", first=2)) == 4


def test_what_is_left_of_an_answer_counts_with_what_is_written() -> None:
    sizes = BatchSizes(None, 16, 64, max_tokens=4_000)
    assert taken(sizes, [(900, 100), (890, 1_000), (880, 1_000)]) == [900, 890], "the longest prompt and the longest room"


def test_a_batch_may_grow_by_what_is_free_beside_the_weights() -> None:
    import torch
    from unisafe_providers.local.device import GIB, Device, _read_resident

    resident = _read_resident()
    device = Device("cpu", memory_gb=(1.25 * resident + 200e6) / GIB)

    def run(size: float) -> bool:
        device.reset_peak()
        torch.ones(int(size), dtype=torch.uint8)
        return device.has_headroom()

    assert run(20e6), "more than half is in use, and most of the rest is free"
    assert not run(0.2 * resident + 200e6), "twice that would not fit"
    assert run(20e6), "one large batch does not stop the growth of small ones"


def test_what_a_model_of_text_takes_is_unchanged(folder_of: Weights) -> None:
    engine = loaded(folder_of(LLAMA))
    prepared = engine.prepare(asked())
    assert prepared.length == engine.answer([prepared])[0].usage.tokens_in
