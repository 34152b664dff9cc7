"""How often a call is paid for if several processes run on one cache, or one is killed and run again.

    uv run python -m benchmarks.several_runs [--runs 4] [--items 300]      several at once, begun one after the other
    uv run python -m benchmarks.several_runs --kills 20 [--items 300]      one, killed (SIGKILL) so often

A repeated call is one that the server got twice. For kills, the server counts the calls in flight when the signal is sent, and
the calls answered in the 60 ms before: such an answer may still wait for its commit.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import common

COMMAND = [sys.executable, "-c", "from unisafe_async.cli import main; main()", "run", "-c", "bench.toml"]
TASKS = [
    "malicious_text_generation",
    "unsafe_t2i_generation",
    "dual_unsafe_vqa",
    "image_unsafe_vqa",
    "text_unsafe_vqa",
    "composite_unsafe_vqa",
]
"""All but editing, whose requests carry a random boundary, so that two of one question look different."""
RECENT = 0.06


def bench(folder: Path, url: str, items: int, concurrency: int) -> None:
    source = common.dataset(folder, items)
    endpoint = f'provider = "openai"\nbase_url = "{url}"\nmax_concurrency = {concurrency}\ntakes = ["text", "image"]\n'
    folder.joinpath("bench.toml").write_text(
        f'[dataset]\nsource = "{source.name}"\ntasks = {json.dumps(TASKS)}\n[cache]\npath = "run.duckdb"\n'
        f'[judge]\nmodel = "mock-judge"\n{endpoint}[[models]]\nname = "mock"\nmodel = "mock"\ngives = ["text", "image"]\n{endpoint}'
    )


def begun(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(COMMAND, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:
        return json.load(answer)


def told(url: str, path: str) -> None:
    """Have the server do what `path` says, such as `/reset`."""
    with urllib.request.urlopen(url.removesuffix("/v1") + path):
        pass


def rows(folder: Path) -> list[tuple[object, ...]]:
    """The result of the newest run, without the parts that differ between equal runs."""
    with duckdb.connect(str(folder / "run.duckdb"), read_only=True) as connection:
        return connection.execute(
            "SELECT item, model, sample, outcome, contextual, intrinsic FROM rows "
            "WHERE run = (SELECT max(run) FROM runs WHERE status = 'done') ORDER BY ALL"
        ).fetchall()


def at_once(folder: Path, url: str, runs: int, apart: float) -> bool:
    started, processes = time.perf_counter(), list[subprocess.Popen[bytes]]()
    for _ in range(runs):
        processes.append(begun(folder))
        time.sleep(apart)
    codes = [process.wait() for process in processes]
    seen = stats(url)
    print(f"{runs} runs, {apart:g} s apart: exit codes {codes}, {seen['calls']:,} calls for {seen['distinct']:,} questions, "
          f"{seen['repeats']:,} paid again; {time.perf_counter() - started:.1f} s")  # fmt: skip
    return not any(codes) and not seen["repeats"]


def killed(folder: Path, url: str, kills: int, shortest: float, longest: float) -> bool:
    chance, flying, recent, late = random.Random(1), 0, 0, 0
    for _ in range(kills):
        process = begun(folder)
        before = stats(url)["calls"]
        while stats(url)["calls"] == before and process.poll() is None:
            time.sleep(0.02)
        time.sleep(chance.uniform(shortest, longest))
        if process.poll() is not None:
            late += 1
            continue
        seen = stats(url)
        process.send_signal(signal.SIGKILL)
        flying += seen["inflight"]
        recent += seen["recent"]
        process.wait()
    process = begun(folder)
    code = process.wait()
    seen = stats(url)
    print(f"{kills - late} kills: exit code {code} at the end, {seen['calls']:,} calls for {seen['distinct']:,} questions, "
          f"{seen['repeats']:,} paid again; in flight at the kills {flying:,}, answered just before {recent:,}")  # fmt: skip
    return code == 0 and seen["repeats"] <= flying + recent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.1, help="median seconds of a call")
    parser.add_argument("--apart", type=float, default=0.0, help="seconds between the starts of two runs")
    parser.add_argument("--longest", type=float, default=1.5, help="seconds of work before a kill, at most")
    given = parser.parse_args()
    flags = ("--latency", str(given.latency), "--sigma", "0.5", "--recent", str(RECENT))
    with tempfile.TemporaryDirectory() as name, common.server(*flags) as url:
        alone, folder = Path(name) / "alone", Path(name) / "several"
        for place in (alone, folder):
            place.mkdir()
            bench(place, url, given.items, given.concurrency)
        at_once(alone, url, 1, 0.0)
        told(url, "/reset")
        good = (
            killed(folder, url, given.kills, 0.0, given.longest) if given.kills else at_once(folder, url, given.runs, given.apart)
        )
        equal = rows(alone) == rows(folder)
        print(f"rows {'equal' if equal else 'DIFFER from'} those of one run alone")
    sys.exit(0 if good and equal else 1)


if __name__ == "__main__":
    main()
