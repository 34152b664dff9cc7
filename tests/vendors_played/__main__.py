"""Prints the bench.toml of the played vendors, and runs it or serves them."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from .bench import list_known, write_bench
from .chats import JUDGE
from .server import playing


async def run(limit: int, port: int, serve: bool) -> int:
    vendors = list_known()
    os.environ.update({vendor.variable: vendor.key for vendor in (*vendors, JUDGE)})
    async with playing([*vendors, JUDGE], port) as server:
        text = write_bench(vendors, server.url, limit)
        folder = Path(tempfile.mkdtemp(prefix="vendors-played-"))
        (folder / "bench.toml").write_text(text, "utf-8")
        print(text, flush=True)
        if serve:
            keys = " ".join(f"{vendor.variable}={vendor.key}" for vendor in (*vendors, JUDGE))
            print(
                f"# {len(vendors)} vendors at {server.url}, until Ctrl-C:\n# {keys} unisafe run -c {folder}/bench.toml", flush=True
            )
            await anyio.sleep_forever()
        command = [sys.executable, "-m", "unisafe_async.cli", "run", "-c", str(folder / "bench.toml")]
        done = await to_thread.run_sync(partial(os.spawnvpe, os.P_WAIT, command[0], command, dict(os.environ)))
        for fault in server.faults:
            print(f"broke a protocol: {fault}", file=sys.stderr)
        return 1 if server.faults else done


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.vendors_played", description=__doc__)
    parser.add_argument("--limit", type=int, default=21, help="items, spread over the tasks")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--serve", action="store_true", help="run nothing: serve until Ctrl-C")
    given = parser.parse_args()
    try:
        sys.exit(anyio.run(run, given.limit, given.port, given.serve))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
