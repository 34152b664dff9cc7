"""What stands between the program and a model that it starts: a command's lines, and a Ray actor's frames, beside doing without.

    uv run --all-extras python -m benchmarks.workers [--items 200] [--milliseconds 50] [--calls 300] [--ray]

The command takes so many milliseconds for a request, and notes when it got the first one and gave the last answer. It is driven by
hand, line by line, and by the whole program (dataset, cache, judging, rows). For Ray, the same worker of frames answers at once,
behind pipes and behind an actor on this machine: the difference is what an actor adds to a call.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio
from unisafe_providers.base import Capabilities, Image, Request, Text
from unisafe_providers.cluster.worker import ActorWorker, ClusterSettings
from unisafe_providers.local import LocalProvider, LocalSettings, process

from unisafe_async import evaluate, parse_config
from unisafe_async.benchmark.taxonomy import CATEGORY_OF

COMMAND = """
import json, sys, time
json.loads(sys.stdin.readline())
print(json.dumps({"ready": True, "kinds": ["chat"]}), flush=True)
first = None
for line in sys.stdin:
    first = first or time.monotonic()
    time.sleep(float(sys.argv[1]) / 1000)
    print(json.dumps({"id": json.loads(line)["id"], "text": "A mild answer."}), flush=True)
    last = time.monotonic()
open(sys.argv[2], "w").write(str(last - first))
"""
FRAMES = """
import sys
from unisafe_providers.base import Response
from unisafe_providers.workers.frames import pack, pack_response, read_frame
read_frame(sys.stdin.buffer)
def say(frame):
    sys.stdout.buffer.write(frame)
    sys.stdout.buffer.flush()
say(pack({"type": "ready", "seconds": 0.0, "device": "cpu", "memory": (0, 0)}))
while (found := read_frame(sys.stdin.buffer)) is not None:
    say(pack_response(found[0]["id"], Response(text="A mild answer.")))
"""


def by_hand(folder: Path, items: int, milliseconds: float) -> float:
    """Seconds from the first request to the last answer, when each line is written as soon as the answer before is read."""
    told = folder / "by_hand"
    command = [sys.executable, "-c", COMMAND, str(milliseconds), str(told)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as script:
        assert script.stdin is not None
        assert script.stdout is not None
        print(json.dumps({"hello": {}}), file=script.stdin, flush=True)
        script.stdout.readline()
        for number in range(items):
            print(json.dumps({"id": number, "kind": "chat", "text": f"Item {number}"}), file=script.stdin, flush=True)
            script.stdout.readline()
    return float(told.read_text())


async def by_program(folder: Path, items: int, milliseconds: float) -> float:
    """The same in a whole run."""
    told, source = folder / "by_program", folder / "items.jsonl"
    category = next(iter(CATEGORY_OF))
    lines = [
        json.dumps({"id": number, "task": "malicious_text_generation", "category": category, "prompt": f"Item {number}"})
        for number in range(items)
    ]
    await anyio.Path(source).write_text("\n".join(lines))
    model = {"name": "script", "provider": "command", "command": [sys.executable, "-c", COMMAND, str(milliseconds), str(told)]}
    table = {
        "dataset": {"source": str(source)},
        "cache": {"path": str(folder / "run.duckdb")},
        "judge": {"provider": "simulated", "model": "judge", "simulation": {"guess": 0.5}},
        "models": [model],
    }
    result = await evaluate(parse_config(table, "benchmark"))
    assert result.unjudged == 0, result
    return float(await anyio.Path(told).read_text())


async def cost_of_call(provider: LocalProvider, calls: int, picture: Image | None) -> float:
    """Milliseconds a call, one after the other."""
    parts = (Text("Hello."),) if picture is None else (picture, Text("Hello."))
    async with provider:
        await provider.call(Request(kind="chat", parts=parts))
        started = time.perf_counter()
        for number in range(calls):
            await provider.call(Request(kind="chat", parts=parts, seed=number))
        return (time.perf_counter() - started) / calls * 1000


def compare_ray(folder: Path, calls: int) -> None:
    """Print what an actor adds to a call."""
    (folder / "config.json").write_text("{}")
    echo = [sys.executable, "-c", FRAMES]
    process.COMMAND = tuple(echo)  # type: ignore[assignment]
    settings = LocalSettings(library="transformers", model=str(folder))
    able = Capabilities(image_in=True)
    here = partial(LocalProvider, settings, able, ["cpu"])
    there = partial(here, launch=partial(ActorWorker, settings=ClusterSettings(address="local", gpus=0), command=echo))
    picture = Image.from_bytes(bytes(1_500_000))
    for words, sent in (("without a picture", None), ("with a picture of 1.5 MB", picture)):
        pipe = anyio.run(cost_of_call, here(), calls, sent)
        actor = anyio.run(cost_of_call, there(), calls, sent)
        print(f"a call {words:<26} through pipes {pipe:5.2f} ms, through an actor {actor:5.2f} ms: +{actor - pipe:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--milliseconds", type=float, default=50.0)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--ray", action="store_true", help="compare an actor too; needs the extra `cluster`")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = by_hand(folder, given.items, given.milliseconds)
        program = anyio.run(by_program, folder, given.items, given.milliseconds)
        hand = (before + by_hand(folder, given.items, given.milliseconds)) / 2
        print(f"{given.items} requests of {given.milliseconds:g} ms, from the first request to the last answer")
        print(f"  line by line, by hand {hand:6.2f} s")
        print(f"  by the whole program  {program:6.2f} s: {(program / hand - 1) * 100:+.1f}%")
        if given.ray:
            compare_ray(folder, given.calls)


if __name__ == "__main__":
    main()
