"""The time that the whole program adds to a bare batched loop: dataset, cache, judging and rows, around one local model.

    uv run --all-extras python -m benchmarks.local_overhead [--items 500] [--tokens 16]

The same prompts and batch size both ways; loading is left out of both; the judge is simulated, in this process.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import anyio

from benchmarks.common import SMOLLM2
from benchmarks.local_batches import BATCH, Bare, by_hand, prompts
from unisafe_async import evaluate, parse_config
from unisafe_async.benchmark.taxonomy import CATEGORY_OF
from unisafe_async.run.evaluation import Run


async def whole(folder: Path, texts: list[str], tokens: int) -> tuple[float, float]:
    """Seconds of the run without loading, and seconds that the model worked."""
    items = folder / "items.jsonl"
    records = [
        {"id": number, "task": "malicious_text_generation", "category": next(iter(CATEGORY_OF)), "prompt": text}
        for number, text in enumerate(texts)
    ]
    await anyio.Path(items).write_text("".join(json.dumps(record) + "\n" for record in records))
    config = parse_config(
        {
            "dataset": {"source": str(items)},
            "generation": {"max_tokens": tokens, "temperature": 0.0},
            "cache": {"path": str(folder / "run.duckdb")},
            "judge": {"provider": "simulated", "model": "judge", "takes": ["text", "image"], "simulation": {"guess": 0.5}},
            "models": [
                {
                    "name": "SmolLM2",
                    "provider": "transformers",
                    "model": str(SMOLLM2),
                    "device": "cpu",
                    "batch_size": BATCH,
                    "extra": {"min_new_tokens": tokens},
                }
            ],
        }
    )
    runs: list[Run] = []
    started = time.monotonic()
    await evaluate(config, on_start=runs.append)
    seconds = time.monotonic() - started
    status = runs[0].lanes[0].endpoint.provider.status  # type: ignore[attr-defined]
    return seconds - status.load_seconds, status.busy_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=16)
    given = parser.parse_args()
    texts = prompts(given.items)
    bare = Bare()
    bare.generate(["Hello"], given.tokens)
    first = given.items * given.tokens / by_hand(bare, texts, given.tokens, BATCH)
    with tempfile.TemporaryDirectory() as folder:
        seconds, busy = anyio.run(whole, Path(folder), texts, given.tokens)
    second = given.items * given.tokens / by_hand(bare, texts, given.tokens, BATCH)
    loop = (first + second) / 2
    print(f"{given.items} items, {given.tokens} new tokens each, batches of {BATCH}")
    print(f"  bare batched loop {loop:6.1f} s (before {first:.1f} s, after {second:.1f} s)")
    print(f"  whole program     {seconds:6.1f} s, of which the model worked {busy:.1f} s")
    print(f"  over the bare loop {(seconds / loop - 1) * 100:+.1f}%; outside the model {(seconds / busy - 1) * 100:+.1f}%")


if __name__ == "__main__":
    main()
