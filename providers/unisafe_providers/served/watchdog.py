"""Ends a server's process group if the run that started it is gone, however it ended: a killed process stops nothing itself.

It is started as a script, with the number of the group; its standard input is a pipe that the run holds open.
"""

from __future__ import annotations

import os
import signal
import sys
import time

PATIENCE = 10.0
POLL = 0.1


def end_group(group: int) -> None:
    """SIGTERM, and SIGKILL to what is left of the group after some seconds."""
    try:
        os.killpg(group, signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(POLL)
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_group(int(sys.argv[1]))
