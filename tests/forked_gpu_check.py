"""A check of `benchmarks.gpu` in a process forked from one that has imported torch, as are the models' processes that it starts."""

from __future__ import annotations

import forked_worker
from unisafe_providers.local import process

from benchmarks.gpu import one


def main() -> None:
    process.COMMAND = forked_worker.standing_in("unisafe_providers.local.worker")
    one.main()
