"""A server that enforces 1,200 requests a minute over a sliding window, the same limit configured: time and 429s.

    uv run python -m benchmarks.rate_limit [--calls 1200]

The baseline ignores the limit and obeys `retry-after`, which is what a client without pacing does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks import common
from unisafe_async import parse_config
from unisafe_async.commands.session import run_loop
from unisafe_async.library import evaluate

RPM = 1200


def once(folder: Path, url: str, calls: int, rpm: int | None) -> tuple[float, int]:
    """Seconds and 429s of `calls` calls: items bring their intention, the judge is simulated: all calls are the model's."""
    path = folder / "items.jsonl"
    with path.open("w") as file:
        for number in range(calls):
            record = {"id": number, "task": "malicious_text_generation", "category": "Politics", "intention": "A mild stand-in."}
            file.write(json.dumps(record | {"prompt": f"Item {number}"}) + "\n")
    model = {
        "name": "m",
        "provider": "openai",
        "model": "mock",
        "base_url": url,
        "max_concurrency": 64,
        **({"rpm": rpm} if rpm else {}),
    }
    table = {
        "dataset": {"source": str(path)},
        "cache": {"path": str(folder / f"rpm-{rpm}.duckdb")},
        "judge": {"provider": "simulated", "model": "judge"},
        "models": [model],
    }
    with urllib.request.urlopen(url.removesuffix("/v1") + "/reset"):
        pass
    runs: list = []

    async def main() -> None:
        await evaluate(parse_config(table, "benchmark"), on_start=runs.append)

    started = time.perf_counter()
    run_loop(main)
    took = time.perf_counter() - started
    assert runs[0].lanes[0].endpoint.counts.calls == calls
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:
        return took, json.load(answer)["s429"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1200)
    given = parser.parse_args()
    ideal = given.calls / RPM * 60
    with tempfile.TemporaryDirectory() as name, common.server("--latency", "0.05", "--rpm", str(RPM)) as url:
        for label, rpm in (("rpm configured", RPM), ("baseline, none", None)):
            took, refused = once(Path(name), url, given.calls, rpm)
            print(f"{label}: {given.calls:,} calls in {took:.1f} s, {took / ideal:.3f} x the ideal {ideal:.0f} s; "
                  f"{refused} 429s ({refused / (given.calls + refused):.1%} of requests)", flush=True)  # fmt: skip
            time.sleep(10)


if __name__ == "__main__":
    main()
