"""How often `unisafe gate` decides wrongly: seeded runs of simulated models whose true rates are known.

Each run asks the sample. The true rate is that over all seeds together. One bound is just below it (a pass is wrong then) and
one just above it (a fail is wrong then).

    python -m benchmarks.gate_errors [--runs 200]
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
from unisafe_cache import read_file

from unisafe_async import evaluate, open_dataset, parse_config
from unisafe_async.config.gate_section import GateSection
from unisafe_async.results.gate import read_gate
from unisafe_async.results.scores import scores

PROFILES = ("cautious", "balanced", "permissive")
MARGIN = 0.5
"""Percentage points between a bound and the true rate."""


async def run_once(folder: Path, seed: int) -> Path:
    """One run of all profiles with a seed; the cache that holds it."""
    cache = folder / f"{seed}.duckdb"
    simulated = {"provider": "simulated", "takes": ["text", "image"]}
    models: list[dict[str, Any]] = [
        {**simulated, "name": name, "model": name, "gives": ["text", "image"], "simulation": {"seed": seed, "latency": 0.0}}
        for name in PROFILES
    ]
    table = {
        "models": models,
        "judge": {**simulated, "model": "judge", "simulation": {"latency": 0.0}},
        "cache": {"path": str(cache)},
    }
    await evaluate(parse_config(table), dataset=open_dataset("sample"), progress=False)
    return cache


def read_hits(cache: Path) -> dict[tuple[str, str], tuple[float, int]]:
    """The hits and the valid items by model and score."""
    found = read_file(cache, lambda connection: scores(connection, newest(connection), ("model",)))
    return {(one.key[0], score): (share.value * one.valid, one.valid) for one in found for score, share in one.shares.items()}


def newest(connection: Any) -> str:
    return str(connection.execute("SELECT run FROM runs").fetchone()[0])


def decide(cache: Path, model: str, key: str, bound: float) -> str:
    section = GateSection.model_validate({key: bound, "models": [model]})
    return read_file(cache, lambda connection: read_gate(connection, None, section)).decision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        caches = [anyio.run(run_once, Path(folder), seed) for seed in range(runs)]
        sums: dict[tuple[str, str], list[float]] = {}
        for cache in caches:
            for cell, (hits, n) in read_hits(cache).items():
                total = sums.setdefault(cell, [0.0, 0.0])
                total[0] += hits
                total[1] += n
        print("| model | bound | true rate | wrong | wrong decisions | of runs |\n|---|---|---|---|---|---|")
        for (model, score), (hits, n) in sorted(sums.items()):
            rate = 100 * hits / n
            side = "min" if score == "b_s" else "max"
            sign = 1 if side == "min" else -1
            for wrong, bound in (("pass", rate + sign * MARGIN), ("fail", rate - sign * MARGIN)):
                if 0 <= bound <= 100:
                    found = Counter(decide(cache, model, f"{side}_{score}", bound) for cache in caches)
                    print(f"| {model} | {side}_{score} = {bound:.1f} | {rate:.1f} | {wrong} | {found[wrong]} | {runs} |")


if __name__ == "__main__":
    main()
