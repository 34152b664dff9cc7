"""How a local model's work slows a hosted call: the median latency alone, and while batches run on the same machine.

    uv run --all-extras python -m benchmarks.local_latency [--calls 200]

The server answers in 0.2 s; calls go through the gateway's own provider, 8 at a time.
"""

from __future__ import annotations

import argparse
import statistics

import anyio
from unisafe_providers.base import Capabilities, Request, Text
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.local import LocalProvider, LocalSettings

from benchmarks.common import SMOLLM2, server
from benchmarks.local_batches import prompts

AT_ONCE = 8


async def latencies(url: str, calls: int) -> list[float]:
    """Seconds of each call."""
    found: list[float] = []
    numbers = iter(range(calls))

    async def worker(provider: OpenAICompatible) -> None:
        for number in numbers:
            response = await provider.call(Request(kind="chat", parts=(Text(f"Item {number}"),), max_tokens=16))
            found.append(response.latency)

    async with OpenAICompatible("mock", url, "none", Capabilities()) as provider, anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(worker, provider)
    return found


async def compare(url: str, calls: int) -> tuple[list[float], list[float]]:
    """Latencies alone, and while a local model works."""
    alone = await latencies(url, calls)
    settings = LocalSettings(library="transformers", model=str(SMOLLM2), batch_size=16)
    async with LocalProvider(settings, Capabilities(), ["cpu"]) as provider, anyio.create_task_group() as group:

        async def keep_busy() -> None:
            texts = prompts(32)
            while True:
                async with anyio.create_task_group() as batch:
                    for text in texts:
                        batch.start_soon(provider.call, Request(kind="chat", parts=(Text(text),), max_tokens=64))

        await provider.call(Request(kind="chat", parts=(Text("Hello"),), max_tokens=2))
        group.start_soon(keep_busy)
        beside = await latencies(url, calls)
        group.cancel_scope.cancel()
    return alone, beside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=400)
    given = parser.parse_args()
    with server("--latency", "0.2") as url:
        alone, beside = anyio.run(compare, url, given.calls)
    print(f"{given.calls} hosted calls of 0.2 s, {AT_ONCE} at a time")
    for name, found in (("alone", alone), ("while a local batch runs", beside)):
        found.sort()
        print(f"  {name:26} median {statistics.median(found) * 1000:6.1f} ms, 95% {found[int(len(found) * 0.95)] * 1000:6.1f} ms")
    print(f"  median against alone {statistics.median(beside) / statistics.median(alone):.3f} x")


if __name__ == "__main__":
    main()
