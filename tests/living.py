"""Whether a process lives."""

from __future__ import annotations

import psutil


def is_alive(number: int) -> bool:
    """Whether it runs; one that has ended and whom nobody has asked for its exit code does not."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
