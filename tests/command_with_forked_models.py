"""`unisafe` in a process of its own, whose local models' processes are forked from one that has imported torch."""

from __future__ import annotations

import forked_worker
from unisafe_providers.local import process

from unisafe_async import cli


def main() -> None:
    process.COMMAND = forked_worker.standing_in("unisafe_providers.local.worker")
    cli.main()
