"""When a job whose handing over was cut off counts as one that the vendor never took.

A vendor may list a job some time after it took it, and what is handed over again is paid for again: one look is not enough.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cache.batches import BatchRecord
from cache.records import now

LOOKS = 2
ABSENT_FOR = timedelta(minutes=1)
"""How often, and for how long at least, a job is looked for in vain."""
GRACE = timedelta(minutes=30)
"""How long another run may take to hand a job over."""


class Search:
    """Jobs that were looked for in vain.

    Args:
        run: the run that looks.
        poll: seconds between its looks.
    """

    def __init__(self, run: str, poll: float) -> None:
        self._run = run
        self._least = max(ABSENT_FOR, timedelta(seconds=poll))
        self._missed: dict[str, tuple[int, datetime]] = {}

    def missed(self, record: BatchRecord) -> bool:
        """The job was looked for in vain once more: whether that was often and long enough to believe it.

        This run has ended its own handing over before it looks; another run may still be about to.
        """
        first = now() if record.run == self._run else record.created + GRACE
        looks, since = self._missed.get(record.id, (0, first))
        self._missed[record.id] = (looks + 1, since)
        return looks + 1 >= LOOKS and now() - since >= self._least

    def seen(self, record: BatchRecord) -> None:
        """The job may be at the vendor after all."""
        self._missed.pop(record.id, None)
