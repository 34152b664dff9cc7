"""Checks in processes of their own: a check that fails, hangs or crashes stops itself alone, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import psutil
from anyio import to_thread

from benchmarks.gpu.place import Place

ROOT = Path(__file__).resolve().parents[2]
COMMAND: Sequence[str] = (sys.executable, "-m", "benchmarks.gpu.one")
MARK = "UNISAFE_GPU_CHECK"
"""The variable by which processes that a check started are known."""
ENDING_S = 5.0
"""Seconds that processes of a check get to end after it."""
SLOWER = 3
"""On a CPU, which may be a busy one, a check gets so many times its time."""
LEAST_S = 5.0
"""A check is not begun with less time than this."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check.

    Args:
        name: a few words, for its line.
        where: `MODULE:FUNCTION`; the function takes a Place, gives Seen, and raises Missing.
        limit_s: seconds after which it is ended.
        alone: whether it needs the device for itself, as what is timed does; the others run beside each other.
        on_cpu: whether it says anything on a CPU.
    """

    name: str
    where: str
    limit_s: float
    alone: bool = False
    on_cpu: bool = True


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a check went: `ok`, `WRONG`, or `--` if it was not made."""

    check: Check
    mark: str
    words: str
    seconds: float = 0.0
    figures: tuple[tuple[str, str], ...] = ()

    @property
    def line(self) -> str:
        took = f" ({self.seconds:.0f} s)" if self.seconds else ""
        return f"{self.mark:5} {self.check.name}: {self.words}{took}"


async def run_checks(
    checks: Sequence[Check], place: Place, until: float, at_once: int, note: Callable[[Outcome], None]
) -> list[Outcome]:
    """Run checks beside each other, then those that need the device for themselves; `note` hears of each as it ends.

    Args:
        until: when all must have ended, by `time.monotonic()`.
        at_once: how many run beside each other.
    """
    outcomes: list[Outcome] = []
    places = anyio.Semaphore(at_once)

    async def run(check: Check) -> None:
        async with places:
            outcomes.append(await run_check(check, place, until))
        note(outcomes[-1])

    async with anyio.create_task_group() as group:
        for check in checks:
            if not check.alone:
                group.start_soon(run, check)
    for check in checks:
        if check.alone:
            await run(check)
    return outcomes


async def run_check(check: Check, place: Place, until: float) -> Outcome:
    """Run one check to its end or to its time limit, and end all that it started."""
    if not place.cuda and not check.on_cpu:
        return Outcome(check=check, mark="--", words="needs a GPU")
    left = until - time.monotonic()
    if left < LEAST_S:
        return Outcome(check=check, mark="--", words="no time was left")
    limit = min(check.limit_s * (1 if place.cuda else SLOWER), left)
    name = re.sub(r"\W+", "_", check.name)
    result, log = place.folder / f"{name}.json", place.folder / f"{name}.log"
    started = time.monotonic()
    code, left = await _run_process(check, place, result, log, limit)
    seconds = time.monotonic() - started
    if not result.exists():
        why = f"not done after {limit:.0f} s" if code is None else f"its process ended with {code}"
        return Outcome(check=check, mark="WRONG", words=f"{why}; its last words: {read_last_line(log)}", seconds=seconds)
    found = json.loads(result.read_text())
    if "missing" in found:
        return Outcome(check=check, mark="--", words=found["missing"], seconds=seconds)
    words = found["words"] + (f"; it left {left} processes" if left else "")
    figures = tuple((what, figure) for what, figure in found["figures"])
    mark = "ok" if found["ok"] and not left else "WRONG"
    return Outcome(check=check, mark=mark, words=words, seconds=seconds, figures=figures)


async def _run_process(check: Check, place: Place, result: Path, log: Path, limit: float) -> tuple[int | None, int]:
    """The exit code of a check's process, None if it was ended after `limit` seconds; and how many processes it left behind."""
    mark = f"{place.folder}:{result.stem}"
    command = [*COMMAND, check.where, place.pack(), str(result)]
    code, left = None, 0
    with log.open("wb") as printed:
        environment = build_environment(place, mark)
        process = await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, env=environment, cwd=ROOT
        )
        try:
            with anyio.move_on_after(limit):
                code = await process.wait()
        finally:
            with anyio.CancelScope(shield=True):
                if code is None:
                    end_tree(process.pid)
                    await process.wait()
                left = await to_thread.run_sync(end_marked, mark)
                await process.aclose()
    return code, left if code is not None else 0


def build_environment(place: Place, mark: str) -> dict[str, str]:
    """The variables of a check's process: it imports this checkout, downloads nothing, and writes into the place's folder."""
    paths = [str(ROOT / part) for part in ("", "providers", "judger", "cache", "tests")]
    caches = place.folder / "caches"
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [*paths, os.environ.get("PYTHONPATH", "")])),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TMPDIR": str(place.folder),
        "XDG_CACHE_HOME": str(caches),
        "TRITON_CACHE_DIR": str(caches / "triton"),
        "CUDA_CACHE_PATH": str(caches / "cuda"),
        MARK: mark,
    }


def end_tree(pid: int) -> None:
    """End a process and all that it started, those first that it would start again."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        below = process.children(recursive=True)
        for one in (process, *below):
            with suppress(psutil.NoSuchProcess):
                one.kill()


def end_marked(mark: str) -> int:
    """Wait a little until the processes of a check have ended, then end those that are left; how many there were."""
    until = time.monotonic() + ENDING_S
    while (left := find_marked(mark)) and time.monotonic() < until:
        time.sleep(0.1)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return len(left)


def find_marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def read_last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "none"
