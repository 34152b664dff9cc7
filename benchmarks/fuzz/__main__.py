"""Gives fuzzed inputs of every kind to the real commands, and counts tracebacks, hangs and wrong exit codes.

uv run --all-extras python -m benchmarks.fuzz --inputs 3000 --seed 1

Each finding is kept in a folder with the files, the command and its output. `--first N --inputs 1` makes one input again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from benchmarks.fuzz.inputs import JUDGE, KINDS, MODEL, Given, bench
from benchmarks.fuzz.server import Answers

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import forked

EXITS = (0, 1, 2, 130)
MARK = "Traceback (most recent call last)"


@dataclass(kw_only=True)
class Tally:
    """The results of one kind of input."""

    inputs: int = 0
    commands: int = 0
    exits: Counter[int] = field(default_factory=Counter)
    tracebacks: int = 0
    hangs: int = 0
    odd_exits: int = 0
    wordless: int = 0

    @property
    def faults(self) -> int:
        return self.tracebacks + self.hangs + self.odd_exits + self.wordless


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what is wrong with that; an empty `fault` means nothing is wrong."""

    command: tuple[str, ...]
    code: int
    said: str
    fault: str = ""


def environment(folder: Path) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_TOKEN"))}
    return {
        **known,
        "COLUMNS": "100",
        "FUZZ_KEY": "fuzz-key",
        "PYTHONPATH": str(folder / "site"),
        "HF_HUB_OFFLINE": "1",
        "HOME": str(folder),
    }


def ended(command: tuple[str, ...], folder: Path, timeout: float) -> Ended:
    try:
        done = forked.unisafe(*command, cwd=folder, env=environment(folder), timeout=timeout)
    except subprocess.TimeoutExpired:
        return Ended(command, 0, "", "hang")
    except UnicodeDecodeError as error:
        return Ended(command, 0, str(error), "traceback")
    said = f"{done.stdout}\n{done.stderr}"
    if MARK in said:
        return Ended(command, done.returncode, said, "traceback")
    if done.returncode not in EXITS:
        return Ended(command, done.returncode, said, "odd exit")
    if done.returncode == 2 and not done.stderr.strip() and not done.stdout.strip():
        return Ended(command, 2, said, "wordless")
    return Ended(command, done.returncode, said)


def sound_files(folder: Path) -> None:
    """A finished run of two models, as a cache, an archive and labels, for inputs that are made from them."""
    models = [{**MODEL, "name": "A"}, {**MODEL, "name": "B", "model": "permissive", "backbone": "A"}]
    bench(folder, judge={**JUDGE, "simulation": {"garbled": 0.1}}, models=models)
    for command in (("run", "--limit", "14"), ("export", "-o", "run.unisafe.zip")):
        made = ended(command, folder, 120)
        if made.fault or made.code not in (0, 1):
            raise SystemExit(f"sound files could not be made: unisafe {' '.join(command)}: {made.said}")
    import unisafe_async

    row = unisafe_async.load(cache=folder / "unisafe.duckdb").rows()[0]
    label = {"item": row.item, "model": row.model, "sample": 0, "run": row.run, "response": "0" * 32, "contextual": "safe"}
    label |= {"intrinsic": "safe", "labeller": "me", "note": "", "time": "2026-01-01T00:00:00+00:00"}
    (folder / "labels.json").write_text(json.dumps([label] * 4))


def one_input(number: int, seed: int, given: Given, kept: Path, timeout: float) -> tuple[str, list[Ended]]:
    """Make input `number`, run its commands, and keep its folder if one of them was at fault."""
    random = Random(f"{seed}-{number}")
    kind = list(KINDS)[number % len(KINDS)]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        found = [ended(command, folder, timeout) for command in KINDS[kind](random, folder, given)]
        faults = [one for one in found if one.fault]
        if faults:
            keep(folder, kept / f"{seed}-{number}", kind, faults)
        return kind, found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(folder: Path, place: Path, kind: str, faults: list[Ended]) -> None:
    """Keep the input's files, without pipes and devices, and the output."""

    def special(parent: str, names: list[str]) -> list[str]:
        return [
            name
            for name in names
            if not (Path(parent, name).is_dir() or (Path(parent, name).is_file() and not Path(parent, name).is_symlink()))
        ]

    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place, ignore=special, ignore_dangling_symlinks=True)
    words = "\n\n".join(f"{one.fault} (exit {one.code}): unisafe {' '.join(map(repr, one.command))}\n{one.said}" for one in faults)
    (place / "FOUND.txt").write_text(f"{kind}\n\n{words}", "utf-8", "backslashreplace")


def told(results: Iterable[tuple[str, list[Ended]]], total: int) -> Iterator[tuple[str, list[Ended]]]:
    """The `results`; every hundredth is reported on standard error."""
    faults = 0
    for done, (kind, found) in enumerate(results, 1):
        faults += sum(bool(one.fault) for one in found)
        if done % 100 == 0:
            print(f"{done:,} of {total:,} inputs, {faults:,} faults", file=sys.stderr, flush=True)
        yield kind, found


def counted(results: list[tuple[str, list[Ended]]]) -> dict[str, Tally]:
    tallies = {kind: Tally() for kind in KINDS}
    for kind, found in results:
        tally = tallies[kind]
        tally.inputs += 1
        tally.commands += len(found)
        for one in found:
            tally.exits[one.code] += 1
            tally.tracebacks += one.fault == "traceback"
            tally.hangs += one.fault == "hang"
            tally.odd_exits += one.fault == "odd exit"
            tally.wordless += one.fault == "wordless"
    return tallies


def shown(tallies: dict[str, Tally]) -> Table:
    table = Table(box=None, show_footer=True)
    all_of = list(tallies.values())
    table.add_column("Input", "all")
    columns = {
        "inputs": lambda tally: tally.inputs,
        "commands": lambda tally: tally.commands,
        **{f"exit {code}": lambda tally, code=code: tally.exits[code] for code in EXITS},
        "other exit": lambda tally: tally.odd_exits,
        "exit 2 without a word": lambda tally: tally.wordless,
        "hangs": lambda tally: tally.hangs,
        "tracebacks": lambda tally: tally.tracebacks,
    }
    for heading, value in columns.items():
        table.add_column(heading, f"{sum(map(value, all_of)):,}", justify="right")
    for kind, tally in tallies.items():
        table.add_row(kind, *(f"{value(tally):,}" for value in columns.values()))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=600)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", help="only kinds whose name holds this")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    asked = parser.parse_args()
    started = time.perf_counter()
    numbers = list(range(asked.first, asked.first + asked.inputs))
    if asked.kind:
        every = range(asked.first, asked.first + asked.inputs * len(KINDS))
        numbers = [number for number in every if asked.kind in list(KINDS)[number % len(KINDS)]][: asked.inputs]
    with tempfile.TemporaryDirectory(prefix="fuzz-base-") as base, ThreadPoolExecutor(asked.workers) as pool:
        sound_files(Path(base))
        given = Given(Path(base), Answers())
        making = pool.map(lambda number: one_input(number, asked.seed, given, asked.keep.absolute(), asked.timeout), numbers)
        results = list(told(making, len(numbers)))
    tallies = counted(results)
    console = Console(width=160)
    console.print(shown(tallies))
    faults = sum(tally.faults for tally in tallies.values())
    console.print(
        f"seed {asked.seed}, {time.perf_counter() - started:.0f} s" + (f"; {faults} faults are in {asked.keep}" if faults else "")
    )
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
