"""Checks that do what a check of `benchmarks.gpu` should not do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from benchmarks.gpu.place import Missing, Place, Seen


def fine(place: Place) -> Seen:
    return Seen(True, "all is well", (("a | figure", "1 s"),))


def wrong(place: Place) -> Seen:
    return Seen(False, "2 of 3 answered")


def fails(place: Place) -> Seen:
    raise ValueError("no such\nthing")


def lacks(place: Place) -> Seen:
    raise Missing("bitsandbytes is not installed")


def crashes(place: Place) -> Seen:
    print("last words", file=sys.stderr, flush=True)
    os._exit(3)


def hangs(place: Place) -> Seen:
    start_sleeper(place)
    threading.Event().wait()
    raise AssertionError


def leaves(place: Place) -> Seen:
    start_sleeper(place)
    return fine(place)


def start_sleeper(place: Place) -> None:
    """A process in a session of its own, as a model's is, that does not end with this one; its number goes to a file."""
    sleeper = subprocess.Popen(["sleep", "600"], start_new_session=True)
    with (place.folder.parent / "sleepers").open("a") as file:
        file.write(f"{sleeper.pid}\n")
