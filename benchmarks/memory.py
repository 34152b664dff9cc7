"""Peak memory of a whole run over 100,000 items against one over 2,939.

uv run python -m benchmarks.memory
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from benchmarks import common
from benchmarks.cached_rerun import in_a_process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs=2, default=(2_939, 100_000))
    given = parser.parse_args()
    peaks = []
    for items in given.items:
        with tempfile.TemporaryDirectory() as name:
            common.dataset(Path(name), items)
            output = in_a_process(items, name, "cold run")
            print(output, end="", flush=True)
            found = re.search(r"peak (\d+) MiB", output)
            assert found is not None
            peaks.append(int(found.group(1)))
    print(f"{peaks[1] - peaks[0]} MiB more for {given.items[1]:,} items than for {given.items[0]:,}")


if __name__ == "__main__":
    main()
