"""`report` and `compare` over a large run, each beside the same figures from Python loops over DuckDB's rows.

uv run --all-extras python -m benchmarks.report [--rows 100000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import duckdb

from benchmarks.rows import filled

RUNS = 3
LABELS = "SELECT model, task, item, contextual, intrinsic FROM rows WHERE run = ?"


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of a few runs."""
    took = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return min(took)


def command(path: Path, *arguments: str) -> None:
    """`unisafe` in a process of its own: with the start of Python and its imports, as a user waits for it."""
    line = [sys.executable, "-m", "unisafe_async.cli", *arguments, "--cache", str(path)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr


def read_and_report(path: Path) -> None:
    from unisafe_cache import read_file

    from unisafe_async.results.report import read_report

    read_file(path, read_report)


def read_and_compare(path: Path, run: str) -> None:
    from unisafe_cache import read_file

    from unisafe_async.results.comparison import paired

    read_file(path, lambda connection: paired(connection, (run, "model-1"), (run, "model-2")))


def looped(path: Path, run: str) -> dict[tuple[str, str], list[int]]:
    """C-U, C-R, I-U and B-S by model and task, and by model, and every task of two models paired, in Python."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(LABELS, [run]).fetchall()
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 5)
    for model, task, _, contextual, intrinsic in rows:
        if contextual is not None and intrinsic is not None:
            for key in ((model, task), (model, "all")):
                cell = counts[key]
                for place, holds in enumerate((True, contextual == 0, contextual == 2, intrinsic == 0, contextual > 0 < intrinsic)):
                    cell[place] += holds
    return counts


def looped_pairs(path: Path, run: str) -> dict[tuple[str, str], list[int]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(LABELS, [run]).fetchall()
    sides: dict[str, dict[str, tuple[str, int, int]]] = {"model-1": {}, "model-2": {}}
    for model, task, item, contextual, intrinsic in rows:
        if model in sides and contextual is not None and intrinsic is not None:
            sides[model][item] = (task, contextual, intrinsic)
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for item, (task, *first) in sides["model-1"].items():
        if item in sides["model-2"]:
            second = sides["model-2"][item][1:]
            for name, of in {"c_u": (0, 0), "c_r": (0, 2), "i_u": (1, 0)}.items():
                a, b = first[of[0]] == of[1], second[of[0]] == of[1]
                counts[task, name][0] += a and not b
                counts[task, name][1] += b and not a
    return counts


def measured(work: str, path: Path, rows: int, models: int) -> None:
    """Print what `work` takes on a new file of so many rows."""
    run = filled(path, rows // models, models)
    if work == "report":
        ours, loops = best(lambda: read_and_report(path)), best(lambda: looped(path, run))
        whole = best(lambda: command(path, "report"))
    else:
        ours, loops = best(lambda: read_and_compare(path, run)), best(lambda: looped_pairs(path, run))
        whole = best(lambda: command(path, "compare", "model-1", "model-2"))
    print(
        f"{work:<8} {rows:,} rows, {models} models: read {ours:.2f} s, the command {whole:.2f} s; "
        f"scores alone by Python loops {loops:.2f} s (fastest of {RUNS})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for work, models in (("report", 5), ("compare", 2)):
            measured(work, Path(name) / f"{work}.duckdb", given.rows, models)


if __name__ == "__main__":
    main()
