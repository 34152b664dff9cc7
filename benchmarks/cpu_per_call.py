"""CPU a call, all in (cold cache, judge, rows, DuckDB), beside a bare aiohttp loop and the bare openai SDK, in one run.

uv run python -m benchmarks.cpu_per_call [--items 1000] [--concurrency 64]
uv run python -m benchmarks.cpu_per_call --beside FOLDER [--pairs 8]    # in turns with another checkout, such as a `git worktree`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import anyio
import httpx2
import openai
import orjson
import unisafe_providers.hosted.openai_compatible  # noqa: F401  imported before the clock starts, as the SDK is

from benchmarks import beside, common
from unisafe_async import evaluate
from unisafe_async.commands.session import run_loop

BODY = {"model": "mock", "messages": [{"role": "user", "content": "A mild stand-in. " * 60}], "max_tokens": 512}


async def sdk(url: str, calls: int, concurrency: int, *, best: bool) -> None:
    """Make a number of chat calls through the SDK: as it comes, or at its best (aiohttp transport, low-level post)."""
    limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    http = openai.DefaultAioHttpClient(limits=limits) if best else httpx2.AsyncClient(limits=limits)
    async with openai.AsyncOpenAI(api_key="none", base_url=url, http_client=http, max_retries=0, timeout=60) as client:
        numbers = iter(range(calls))

        async def work() -> None:
            for _ in numbers:
                if best:
                    await client.post("/chat/completions", cast_to=httpx2.Response, body=BODY)
                else:
                    await client.chat.completions.create(**BODY)  # type: ignore[call-overload]

        async with anyio.create_task_group() as group:
            for _ in range(concurrency):
                group.start_soon(work)


async def bare(url: str, calls: int, concurrency: int) -> None:
    """Make a number of chat calls through aiohttp alone: the body is encoded once, and no answer is parsed."""
    headers, body = {"content-type": "application/json", "authorization": "Bearer none"}, orjson.dumps(BODY)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency), headers=headers) as session:
        numbers = iter(range(calls))

        async def work() -> None:
            for _ in numbers:
                async with session.post(f"{url}/chat/completions", data=body) as answer:
                    await answer.read()

        async with anyio.create_task_group() as group:
            for _ in range(concurrency):
                group.start_soon(work)


def timed(name: str, calls: int, main: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of CPU a call; printed."""
    before, started = common.cpu(), time.perf_counter()
    run_loop(main)
    spent = (common.cpu() - before) / calls * 1000
    print(f"{name:<44} {spent:6.3f} ms CPU a call   {calls / (time.perf_counter() - started):7,.0f} calls/s", flush=True)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--beside", type=Path, help="the folder of another checkout")
    parser.add_argument("--pairs", type=int, default=8)
    given = parser.parse_args()
    if given.beside is not None:
        flags = ("--items", str(given.items), "--concurrency", str(given.concurrency))
        beside.compare("benchmarks.cpu_per_call", given.beside, given.pairs, flags)
    else:
        measure(given.items, given.concurrency)


def measure(items: int, concurrency: int) -> None:
    """Print the CPU of a call, and of its baselines."""
    with tempfile.TemporaryDirectory() as name, common.server("--latency", "0") as url:
        folder = Path(name)
        config = common.config(folder, common.dataset(folder, items), url, concurrency)
        calls = 0

        async def ours() -> None:
            nonlocal calls
            result = await evaluate(config, on_start=lambda run: runs.append(run))
            assert result.unjudged == 0, result

        runs: list = []
        before, started = common.cpu(), time.perf_counter()
        run_loop(ours)
        spent, took = common.cpu() - before, time.perf_counter() - started
        calls = sum(lane.endpoint.counts.calls for lane in runs[0].lanes) + runs[0].judging.counts.calls
        print(f"concurrency {concurrency}, {items:,} items, {calls:,} calls, server latency 0")
        print(f"{'unisafe, all in':<44} {spent / calls * 1000:6.3f} ms CPU a call   {calls / took:7,.0f} calls/s", flush=True)
        loop = timed("a bare aiohttp loop, nothing else", calls, lambda: bare(url, calls, concurrency))
        best = timed("openai SDK at its best, nothing else", calls, lambda: sdk(url, calls, concurrency, best=True))
        plain = timed("openai SDK as it comes, nothing else", calls, lambda: sdk(url, calls, concurrency, best=False))
        ours_ms = spent / calls * 1000
        print(
            f"unisafe / SDK as it comes {ours_ms / plain:.2f}, unisafe / SDK at its best {ours_ms / best:.2f}, "
            f"unisafe / bare aiohttp loop {ours_ms / loop:.2f}"
        )


if __name__ == "__main__":
    main()
