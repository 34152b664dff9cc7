"""One figure of this checkout beside the same figure of another checkout: pairs of processes in turns, medians and their ratio.

Turns matter: on a machine that others use too, two figures of different minutes cannot be compared.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parents[1]
PARTS = {"unisafe_providers": "providers", "unisafe_judger": "judger", "unisafe_cache": "cache"}
"""Packages, and the folders that they stand in; in old checkouts these folders are packages themselves."""
FIGURE = re.compile(r"^unisafe, all in\s+([\d.]+) ms CPU a call", re.MULTILINE)


def compare(module: str, other: Path, pairs: int, flags: Sequence[str] = ()) -> None:
    """Run `module` of both checkouts in turns, after one pair that does not count, and print medians and ratio."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(pairs + 1):
        order = [(HERE, ours), (other.resolve(), theirs)]
        for folder, figures in order if number % 2 else reversed(order):
            figures.append(read_figure(module, folder, flags))
        print(f"{'compiles' if not number else f'pair {number}':<10} here {ours[-1]:.3f}   there {theirs[-1]:.3f}", flush=True)
    here, there = statistics.median(ours[1:]), statistics.median(theirs[1:])
    ratios = [mine / its for mine, its in zip(ours[1:], theirs[1:], strict=True)]
    print(f"median of {pairs} pairs: here {here:.3f} ms, there {there:.3f} ms CPU a call; here / there {here / there:.2f}")
    print(f"ratio within the pairs: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


def read_figure(module: str, folder: Path, flags: Sequence[str]) -> float:
    """The figure of a checkout: its own benchmark in a process of its own, which ends once the figure is printed."""
    paths = [folder, *(folder / part for package, part in PARTS.items() if (folder / part / package).is_dir())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-m", module, *flags]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if figure := FIGURE.search(said):
                return float(figure[1])
    finally:
        process.send_signal(signal.SIGINT)  # its `finally` ends its server
        _, complaint = process.communicate()
    raise SystemExit(f"{folder}: {module} printed no figure\n{complaint}")
