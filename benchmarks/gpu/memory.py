"""Memory of a device: given back after a model, and never shared by two that take turns."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import psutil

from benchmarks.common import resident
from benchmarks.gpu.asking import NotedProvider, ask_all, chat
from benchmarks.gpu.models import GIB, find_large, find_smollm2, find_tiny
from benchmarks.gpu.nvidia import ask_nvidia_smi
from benchmarks.gpu.place import Missing, Place, Seen

MIB = 1024**2
SLACK = 64 * MIB
"""Bytes that may be in use after a model was released and were not before."""
WORKER = "unisafe_providers.local.worker"


def read_used(place: Place) -> int:
    """Bytes in use on the device; on a CPU, by this process and those that it started."""
    if not place.cuda:
        return resident()
    import torch

    free, total = torch.cuda.mem_get_info(place.device)
    return int(total - free)


def check_given_back(place: Place) -> Seen:
    """Memory before the model of Qwen3-8B's shape is loaded, while it is, and after it was released."""
    before, loaded, after = anyio.run(_load_and_release, place, find_large(place))
    words = f"{before / GIB:.2f} GiB before, {loaded / GIB:.2f} loaded, {after / GIB:.2f} after"
    return Seen(
        after - before < SLACK and loaded > before, words, (("memory of the device with the shape of Qwen3-8B in bfloat16", words),)
    )


async def _load_and_release(place: Place, folder: Path) -> tuple[int, int, int]:
    before = read_used(place)
    async with NotedProvider(place, folder) as provider:
        answers = await ask_all(provider, [chat("Hello", 4)])
        if answers.errors:
            raise answers.errors[0]
        loaded = read_used(place)
        await provider.release()
        return before, loaded, read_used(place)


def check_turns(place: Place) -> Seen:
    """A model and a judge on one device, in a whole run: never both at once, and a row for every item."""
    try:
        from unisafe_async import evaluate, parse_config
    except ImportError as error:
        raise Missing(f"the program's own packages: {error}") from None
    items, folder = 2 if place.small else 40, place.folder / "turns"
    folder.mkdir()
    judge = find_tiny(place, "qwen2")
    config = parse_config(_configure(folder, items, place, find_smollm2(place), judge), "benchmark")
    with watch_device() as most:
        result = anyio.run(evaluate, config)
    rows = result.rows()
    answered = sum(row.outcome == "answered" for row in rows)
    fits = most["processes"] == 1 and most["on the device"] <= 1
    words = f"{answered} of {items} items answered, {len(rows)} rows; at most {most['processes']} process with a model at once"
    if most["on the device"]:
        words += f", {most['on the device']} by nvidia-smi, {most['memory']:,} MiB in use at most"
    figures = (("a model and a judge on one device, in a whole run", words),)
    return Seen(fits and answered == len(rows) == items, words, figures)


def _configure(folder: Path, items: int, place: Place, model: Path, judge: Path) -> dict[str, Any]:
    from unisafe_async.benchmark.taxonomy import CATEGORY_OF

    category = next(iter(CATEGORY_OF))
    lines = [
        json.dumps({"id": number, "task": "malicious_text_generation", "category": category, "prompt": f"Item {number}: a song"})
        for number in range(items)
    ]
    (folder / "items.jsonl").write_text("\n".join(lines))
    here: dict[str, Any] = {"provider": "transformers", "device": place.device}
    if place.small:
        here["extra"] = {"max_time": 0.1}  # seconds: a judge of random weights never ends its reply
    return {
        "dataset": {"source": str(folder / "items.jsonl")},
        "generation": {"max_tokens": 12, "temperature": 0.0},
        "cache": {"path": str(folder / "run.duckdb")},
        "judge": {**here, "model": str(judge), "takes": ["text"], "max_tokens": 8},
        "models": [{**here, "name": "SmolLM2", "model": str(model)}],
    }


@contextmanager
def watch_device() -> Iterator[dict[str, int]]:
    """The most processes with a model at once, the most that nvidia-smi names, and the most memory in use, while the block runs."""
    most, ended = {"processes": 0, "on the device": 0, "memory": 0}, threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            most["processes"] = max(most["processes"], _count_workers())
            most["on the device"] = max(most["on the device"], len(ask_nvidia_smi("pid", of="compute-apps")))
            used = [int(line[0]) for line in ask_nvidia_smi("memory.used") if line[0].isdigit()]
            most["memory"] = max(most["memory"], *used, 0)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def _count_workers() -> int:
    count = 0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            count += WORKER in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE
    return count
