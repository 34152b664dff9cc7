"""Decides when an interrupted submission counts as one that the vendor never took.

A vendor may list a job only some time after it took it, and a second submission is paid for again. So one look is not enough.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from unisafe_cache.batches import BatchRecord
from unisafe_cache.records import now

LOOKS = 2
"""A job counts as never submitted only after so many looks without finding it."""
ABSENT_FOR = timedelta(minutes=1)
"""The looks must span at least this time."""
GRACE = timedelta(minutes=30)
"""Another run may need so long for its submission."""


class Reconciliation:
    """The interrupted submissions that this run did not find at the vendor so far.

    Args:
        run: the run that looks.
        poll: seconds between its looks.
    """

    def __init__(self, run: str, poll: float) -> None:
        self._run = run
        self._least = max(ABSENT_FOR, timedelta(seconds=poll))
        self._missed: dict[str, tuple[int, datetime]] = {}

    def note_missing(self, record: BatchRecord) -> bool:
        """Note one more look that did not find the job; returns whether there were enough looks over enough time to give it up.

        A submission of this run is over before it looks; another run's submission may still be under way.
        """
        first = now() if record.run == self._run else record.created + GRACE
        looks, since = self._missed.get(record.id, (0, first))
        self._missed[record.id] = (looks + 1, since)
        return looks + 1 >= LOOKS and now() - since >= self._least

    def note_seen(self, record: BatchRecord) -> None:
        """Note that the vendor may have the job after all."""
        self._missed.pop(record.id, None)
