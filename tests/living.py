"""Whether a process lives."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

PATIENCE = 20.0
"""Seconds in which a process that was killed is gone; the kernel takes its time on a busy machine."""


def is_alive(number: int) -> bool:
    """Whether it runs; one that has ended and whom nobody has asked for its exit code does not."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def still_alive(numbers: Iterable[int]) -> list[int]:
    """Those that still run once each had PATIENCE to end: a kill is sent at once, and takes effect a moment later."""
    until = time.monotonic() + PATIENCE
    left = [number for number in numbers if is_alive(number)]
    while left and time.monotonic() < until:
        time.sleep(0.01)
        left = [number for number in left if is_alive(number)]
    return left
