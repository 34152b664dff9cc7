"""A rerun with everything cached: calls answered a second and peak memory, beside one DuckDB query for each call.

uv run python -m benchmarks.cached_rerun [--items 25000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks import common
from unisafe_async import Config, parse_config
from unisafe_async.commands.session import run_loop

QUERIES = 500


def simulated(folder: Path, source: Path) -> Config:
    """A simulated model and judge, so that the benchmark measures the cache."""
    endpoint = {"provider": "simulated", "takes": ["text", "image"], "max_concurrency": 256}
    table = {
        "dataset": {"source": str(source)},
        "cache": {"path": str(folder / "bench.duckdb")},
        "judge": {**endpoint, "model": "judge"},
        "models": [{**endpoint, "name": "sim", "model": "permissive", "gives": ["text", "image"], "simulation": NEVER_EMPTY}],
    }
    return parse_config(table, "benchmark")


NEVER_EMPTY = {"refusal": 0.0, "blocked": 0.0, "empty": 0.0}
"""Settings with which every item takes its four calls."""


def run(folder: Path, items: int, label: str) -> None:
    """One evaluation in this process."""
    from unisafe_async.library import evaluate
    from unisafe_async.run.evaluation import Run

    config = simulated(folder, folder / f"items-{items}.jsonl")
    runs: list[Run] = []

    async def once() -> None:
        result = await evaluate(config, on_start=runs.append)
        assert result.unjudged == 0, result

    started = time.perf_counter()
    run_loop(once)
    took = time.perf_counter() - started
    counts = [runs[0].lanes[0].endpoint.counts, runs[0].judging.counts]
    calls, cached = sum(one.calls for one in counts), sum(one.cached for one in counts)
    print(f"{label:<14} {items:,} items: {calls:,} calls made, {cached:,} cached; {(calls + cached) / took:8,.0f} calls/s, "
          f"{took:.1f} s, peak {common.peak_mib():.0f} MiB", flush=True)  # fmt: skip


def in_a_process(items: int, folder: str, label: str) -> str:
    """Call `run` in a process of its own, so that the peak memory is that process's; returns its output."""
    options = ["--items", str(items), "--folder", folder, "--label", label]
    command = [sys.executable, "-m", "benchmarks.cached_rerun", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=25_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--label", default="")
    given = parser.parse_args()
    if given.folder is not None:
        run(given.folder, given.items, given.label)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        common.dataset(folder, given.items)
        for label in ("first run", "rerun, cached"):
            print(in_a_process(given.items, name, label), end="", flush=True)
        with duckdb.connect(str(folder / "bench.duckdb"), read_only=True) as connection:
            keys = connection.execute(f"SELECT key FROM responses USING SAMPLE {QUERIES}").fetchall()
            started = time.perf_counter()
            for key in keys:
                connection.execute("SELECT * FROM responses WHERE key = ?", key).fetchall()
            print(f"baseline       one query a call: {QUERIES / (time.perf_counter() - started):8,.0f} calls/s")


if __name__ == "__main__":
    main()
