"""Batches that are stopped when rows have ended: when that is worth it, and that the other rows go on as if nothing had been."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pictures
from tiny_models import CHAMELEON, EMU3, JANUS, LLAMA, LLAVA, QWEN2_5_VL, QWEN3, QWEN3_VL, Tiny
from unisafe_providers.base import Image, Request, Response, Text
from unisafe_providers.local.engine import Engine, Prepared, Watch
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.local.worker import load_engine
from unisafe_providers.workers.refill import Refill

Weights = Callable[[Tiny], Path]
SEES = (QWEN2_5_VL, QWEN3_VL, LLAVA, JANUS, EMU3, CHAMELEON)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return cache(lambda tiny: tiny.build(tmp_path_factory.mktemp("models") / tiny.name))


def loaded(folder: Path, sees: bool = False, **options: Any) -> Engine:
    from unisafe_providers.local.device import Device

    return load_engine(LocalSettings(library="transformers", model=str(folder), sees=sees, **options), Device("cpu"))


def png(width: int, height: int, shade: int = 90) -> Image:
    content = io.BytesIO()
    Pictures.new("RGB", (width, height), (shade, 80, 120)).save(content, "PNG")
    return Image.from_bytes(content.getvalue())


class Stopping(Watch):
    """Stops a batch after some steps."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def wants_rest(self, live: int, rows: int, left: int) -> bool:
        self._left -= 1
        return self._left <= 0


def answer_in_pieces(engine: Engine, requests: list[Request], steps: int, rows: int) -> tuple[list[Response], int]:
    """Answers by batches of `rows` that are stopped after `steps`, and how many batches that took; what is left goes to the end."""
    waiting: list[tuple[int, Prepared]] = list(enumerate(map(engine.prepare, requests)))
    answers: dict[int, Response] = {}
    batches = 0
    while waiting:
        batch, waiting = waiting[:rows], waiting[rows:]
        batches += 1
        for (place, _), outcome in zip(batch, engine.answer([one for _, one in batch], Stopping(steps)), strict=True):
            if isinstance(outcome, Response):
                answers[place] = outcome
            else:
                waiting.append((place, outcome))
    return [answers[place] for place in range(len(requests))], batches


def same(one: Response, other: Response) -> bool:
    return (one.text, one.finish, one.usage) == (other.text, other.finish, other.usage)


@pytest.mark.parametrize("temperature", [0.0, 1.0], ids=["greedy", "sampled"])
@pytest.mark.parametrize("tiny", [LLAMA, QWEN3, *SEES], ids=lambda tiny: tiny.name)
def test_an_answer_written_in_several_batches_is_the_answer_written_alone(
    tiny: Tiny, temperature: float, folder_of: Weights
) -> None:
    engine = loaded(folder_of(tiny), sees=tiny in SEES)
    engine.model.generation_config.suppress_tokens = list(engine._placeholders) or None  # random weights write them now and then
    assert bool(engine._placeholders) == (tiny in SEES)
    prompts = ["Birds", "A quiet morning by the sea, with a cup of tea", "Write one sentence about mountains", "Bread", "Rain"]
    pictures = (png(60, 40),) if tiny in SEES else ()
    requests = [
        Request(kind="chat", parts=(*pictures, Text(prompt)), max_tokens=room, temperature=temperature, seed=3)
        for prompt, room in zip(prompts, (24, 3, 17, 1, 9), strict=True)
    ]
    alone = [engine.answer([engine.prepare(request)])[0] for request in requests]
    pieces, batches = answer_in_pieces(engine, requests, steps=5, rows=3)
    assert batches > 2, "they were stopped"
    assert all(map(same, pieces, alone))


def test_an_answer_that_holds_an_image_s_placeholder_is_not_read_again(folder_of: Weights) -> None:
    engine = loaded(folder_of(LLAVA), sees=True)
    image = engine.model.config.image_token_id
    engine.model.generation_config.suppress_tokens = [
        number for number in range(len(engine.tokenizer)) if number not in (image, 50)
    ]
    requests = [Request(kind="chat", parts=(png(30, 30), Text(text)), max_tokens=9, temperature=0.0) for text in ("Sea", "Bread")]
    alone = [engine.answer([engine.prepare(request)])[0] for request in requests]
    assert all(map(same, answer_in_pieces(engine, requests, steps=2, rows=2)[0], alone))


@pytest.mark.parametrize("extra", [{"min_new_tokens": 8}, {"num_beams": 2}, {"guidance_scale": 1.5}])
def test_arguments_that_ask_where_an_answer_begins_let_each_batch_run_to_its_end(extra: dict[str, Any], folder_of: Weights) -> None:
    engine = loaded(folder_of(LLAMA), extra=extra)
    requests = [Request(kind="chat", parts=(Text(text),), max_tokens=12, temperature=0.0) for text in ("Birds", "Rain")]
    assert answer_in_pieces(engine, requests, steps=3, rows=2)[1] == 1


# ---------------------------------------------------------------- when it is worth it


def played(ends: list[int], reading: float, waiting: int = 99, rooms: int = 1_000) -> int:
    """The step after which a batch is stopped whose rows end after `ends` steps of 0.1 s each; its longest if it is not."""
    refill = Refill(len(ends), 100, 0.0)
    now = reading
    for step in range(1, max(ends) + 1):
        live = sum(end > step for end in ends)
        if refill.is_worth_it(live, rooms - step, waiting, now):
            return step
        now += 0.1
    return max(ends)


def test_a_batch_is_stopped_when_its_ended_rows_have_wasted_what_reading_again_costs() -> None:
    assert 20 < played([20] * 8 + [1_000] * 8, reading=1.0) < 60
    assert played([20] * 8 + [1_000] * 8, reading=10.0) > 60, "where reading is dear, later"
    assert played([20] * 15 + [1_000], reading=1.0) < played([20] * 4 + [1_000] * 12, reading=1.0)


def test_a_batch_whose_rows_all_run_to_their_limit_is_not_stopped() -> None:
    assert played([1_000] * 16, reading=1.0) == 1_000


def test_a_batch_is_not_stopped_shortly_before_its_limit() -> None:
    assert played([20] * 8 + [60] * 8, reading=3.0, rooms=60) == 60


def test_nothing_is_stopped_if_nothing_waits() -> None:
    assert played([20] * 8 + [1_000] * 8, reading=1.0, waiting=0) == 1_000
    assert played([20] * 8 + [1_000] * 8, reading=1.0, waiting=1) > played([20] * 8 + [1_000] * 8, reading=1.0, waiting=8)
