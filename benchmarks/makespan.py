"""The time of a run beside its lower bound: lognormal latencies, judging overlapped with generation.

    uv run python -m benchmarks.makespan [--items 3000] [--concurrency 100]

The lower bound is the work of the busiest endpoint over its concurrency (sum of its measured latencies / concurrency). The baseline
is the same work done one stage after the other: all responses, then all intents, then all verdicts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import common
from unisafe_async import evaluate
from unisafe_async.commands.session import run_loop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--latency", type=float, default=1.0, help="median, in seconds")
    given = parser.parse_args()
    flags = ("--latency", str(given.latency), "--sigma", "0.5")
    with tempfile.TemporaryDirectory() as name, common.server(*flags) as url:
        folder = Path(name)
        config = common.config(folder, common.dataset(folder, given.items), url, given.concurrency)
        runs: list = []

        async def once() -> None:
            result = await evaluate(config, on_start=runs.append)
            assert result.unjudged == 0, result

        started = time.perf_counter()
        run_loop(once)
        took = time.perf_counter() - started
        model, judge = runs[0].lanes[0].endpoint.counts, runs[0].judging.counts
        bound = max(model.seconds, judge.seconds) / given.concurrency
        stages = (model.seconds + judge.seconds) / given.concurrency
        print(f"{given.items:,} items, {model.calls:,} + {judge.calls:,} calls, median latency {given.latency:g} s, sigma 0.5, "
              f"concurrency {given.concurrency} each")  # fmt: skip
        print(f"makespan {took:.1f} s; lower bound {bound:.1f} s; ratio {took / bound:.3f}")
        print(f"baseline, one stage after the other: at least {stages:.1f} s, ratio {stages / bound:.3f}")


if __name__ == "__main__":
    main()
