"""`unisafe` in a process of its own, whose local models' processes are forked from one that has imported torch."""

from __future__ import annotations

import forked_worker

from providers.local import process
from unisafe_async.cli import main

if __name__ == "__main__":
    process.COMMAND = forked_worker.standing_in("providers.local.worker")
    main()
