"""Checks that a run through a failing server, followed by a second run, ends like a run through a sound server.

    uv run python -m benchmarks.faults [--share 0.4] [--items 200]

Forty of every hundred requests meet one of the faults in `mock_openai.FAULTS`. A second run without faults then asks for the
unjudged items. Its rows must equal those of a run without faults, and no answer that came may be asked for twice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks import common
from benchmarks.several_runs import begun, bench, rows, stats, told


def outcomes(folder: Path) -> dict[str, int]:
    """The numbers of rows in the newest run by outcome."""
    sql = """
        SELECT CASE WHEN outcome = 'failed' THEN 'failed'
                    WHEN contextual IS NULL OR intrinsic IS NULL THEN 'unjudged' ELSE 'judged' END AS became, count(*)
        FROM rows WHERE run = (SELECT max(run) FROM runs) GROUP BY became ORDER BY became
    """
    with duckdb.connect(str(folder / "run.duckdb"), read_only=True) as connection:
        return dict(connection.execute(sql).fetchall())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--share", type=float, default=0.4)
    parser.add_argument("--concurrency", type=int, default=16)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, common.server("--latency", "0.01") as url:
        alone, folder = Path(name) / "alone", Path(name) / "faults"
        for place in (alone, folder):
            place.mkdir()
            bench(place, url, given.items, given.concurrency)
        begun(alone).wait()
        told(url, "/reset")
        told(url, f"/faults/{given.share}")
        started = time.perf_counter()
        first = begun(folder).wait()
        seen, after = stats(url), outcomes(folder)
        faults, kinds = sum(seen["faults"].values()), len(seen["faults"])
        print(f"{faults:,} of {faults + seen['calls']:,} requests met one of {kinds} faults: exit code {first}, {after}, "
              f"{time.perf_counter() - started:.0f} s")  # fmt: skip
        told(url, "/faults/0")
        second = begun(folder).wait()
        repeats, equal = stats(url)["repeats"], rows(alone) == rows(folder)
        print(f"again without faults: exit code {second}, {outcomes(folder)}; {repeats:,} answers asked for twice")
        print(f"rows {'equal' if equal else 'DIFFER from'} those of a run that met none")
    sys.exit(0 if equal and not second and not repeats else 1)


if __name__ == "__main__":
    main()
