"""What the whole program costs beside a server that it starts: against a bare client of the same server, before and after.

    uv run python -m benchmarks.served [--items 1000] [--at-once 4] [--latency 0.05]     a server that answers after 50 ms
    uv run python -m benchmarks.served --python /envs/llama/bin/python --items 60        SmolLM2 behind llama-cpp-python's server

The bare client sends the same bodies over aiohttp, as many at once, and does nothing else. Both times begin when the server is
ready; the program's ends with the last row, so it holds cache, judging (simulated, in this process) and rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
from unisafe_cache import Row
from unisafe_providers.base import OnDevice
from unisafe_providers.served.provider import ServedProvider

from benchmarks.common import SMOLLM2
from unisafe_async import evaluate, parse_config
from unisafe_async.benchmark.taxonomy import CATEGORY_OF
from unisafe_async.run.endpoints import provider_of
from unisafe_async.run.evaluation import Run

FAKE = Path(__file__).parents[1] / "tests" / "fake_server.py"


def settings_of(folder: Path, texts: Sequence[str], given: argparse.Namespace) -> dict[str, Any]:
    """The configuration of a run over `texts`; its one model is served."""
    items = folder / "items.jsonl"
    task = {"task": "malicious_text_generation", "category": next(iter(CATEGORY_OF))}
    records = [{"id": number, "prompt": text, **task} for number, text in enumerate(texts)]
    items.write_text("".join(json.dumps(record) + "\n" for record in records))
    if given.python:
        model = {
            "provider": "llama-cpp-python",
            "model": given.gguf,
            "serve": {"python": given.python, "args": ["--n_ctx", "2048", "--n_threads_batch", "1"]},
        }
    else:
        command = [sys.executable, "-S", str(FAKE), "{model}", "--port", "{port}", "--latency", str(given.latency)]
        model = {"provider": "server", "model": "fake", "serve": {"command": command}}
    return {
        "dataset": {"source": str(items)},
        "generation": {"max_tokens": given.tokens, "temperature": 0.0},
        "cache": {"path": str(folder / "run.duckdb")},
        "judge": {"provider": "simulated", "model": "judge", "takes": ["text", "image"], "simulation": {"guess": 0.5}},
        "models": [{"name": "served", "device": "cpu", "max_concurrency": given.at_once, **model}],
    }


async def run_whole(settings: dict[str, Any]) -> tuple[float, int]:
    """Seconds from the server being ready to the last row, and the tokens that the model made."""
    runs: list[Run] = []
    last = 0.0

    def note_row(_: Row) -> None:
        nonlocal last
        last = time.monotonic()

    await evaluate(parse_config(settings), on_start=runs.append, on_row=note_row)
    endpoint = runs[0].lanes[0].endpoint
    assert isinstance(endpoint.provider, OnDevice)
    status = endpoint.provider.status
    return last - status.began - status.load_seconds, endpoint.counts.tokens_out


@asynccontextmanager
async def started_server(settings: dict[str, Any], folder: Path) -> AsyncIterator[tuple[str, str]]:
    """Address and model's name of such a server."""
    provider = provider_of(parse_config(settings).models[0], folder)
    assert isinstance(provider, ServedProvider)
    async with provider:
        standing = await provider.stand()
        yield standing.server.url, settings["models"][0]["model"]


async def ask_bare(url: str, model: str, texts: Sequence[str], given: argparse.Namespace) -> tuple[float, int]:
    """Seconds and tokens of the same requests without this program."""
    left, tokens = iter(texts), 0

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal tokens
        for text in left:
            body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": given.tokens, "temperature": 0.0}
            async with session.post(f"{url}/chat/completions", json=body) as answer:
                tokens += (await answer.json())["usage"]["completion_tokens"]

    started = time.monotonic()
    async with aiohttp.ClientSession() as session, anyio.create_task_group() as group:
        for _ in range(given.at_once):
            group.start_soon(work, session)
    return time.monotonic() - started, tokens


async def compare(given: argparse.Namespace) -> None:
    texts = [f"Write one sentence about the number {number}." for number in range(given.items)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = settings_of(folder, texts, given)

        async def bare() -> tuple[float, int]:
            async with started_server(settings, folder) as (url, model):
                await ask_bare(url, model, texts[: given.at_once], given)
                return await ask_bare(url, model, texts, given)

        before = await bare()
        whole, tokens = await run_whole(settings)
        after = await bare()
    alone = (before[0] + after[0]) / 2
    speed = (before[1] / before[0] + after[1] / after[0]) / 2
    server = "llama-cpp-python" if given.python else f"{given.latency * 1000:g} ms each"
    print(f"{given.items:,} requests, {given.at_once} at once, {server}")
    print(f"  bare client   {alone:6.2f} s (before {before[0]:.2f} s, after {after[0]:.2f} s), {speed:,.0f} tokens/s")
    print(f"  whole program {whole:6.2f} s, {tokens / whole:,.0f} tokens/s")
    print(f"  over the bare client {(whole / alone - 1) * 100:+.1f}%; tokens/s {tokens / whole / speed:.3f} of it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--python", help="the interpreter of an environment that holds llama-cpp-python's server")
    parser.add_argument("--gguf", default=str(SMOLLM2), help="the model's file")
    anyio.run(compare, parser.parse_args())


if __name__ == "__main__":
    main()
