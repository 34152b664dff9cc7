"""`unisafe --help` beside an interpreter that does nothing.

uv run --all-extras python -m benchmarks.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 11


def median(command: list[str]) -> float:
    took = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def main() -> None:
    ours = median([sys.executable, "-m", "unisafe_async.cli", "--help"])
    bare = median([sys.executable, "-c", "pass"])
    print(f"unisafe --help {ours:.3f} s, python -c pass {bare:.3f} s (medians of {RUNS}); ratio {ours / bare:.1f}")


if __name__ == "__main__":
    main()
