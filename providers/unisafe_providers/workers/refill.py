"""When a running batch is stopped, so that what waits takes the places of the rows that have ended; pure.

A stopped batch's other rows go on in a later batch, where their prompts and what they wrote are read again. Nobody knows how long
they would have run. So this is the rule for renting or buying skis: wait until the ended rows have wasted as much time as reading
again costs. Whatever comes then, at most twice the unavoidable time is lost (Karlin et al., Competitive Snoopy Caching, 1988).
"""

from __future__ import annotations


class Refill:
    """Follows one batch.

    Args:
        rows: requests in the batch.
        length: tokens of each prompt, padded.
        now: the time of its start, in seconds; all other times are on the same clock.
    """

    def __init__(self, rows: int, length: int, now: float) -> None:
        self._rows = rows
        self._length = length
        self._started = self._last = now
        self._reading = 0.0
        self._steps = 0
        self._wasted = 0.0

    def is_worth_it(self, live: int, left: int, waiting: int, now: float) -> bool:
        """Called after each step: whether to stop the batch now.

        Args:
            live: rows that have not ended.
            left: the most steps that one of them may still take.
            waiting: requests that could take the places of ended rows.
        """
        seconds, self._last = now - self._last, now
        self._steps += 1
        if self._steps == 1:  # the first step reads the prompts and their images
            self._reading = seconds
            return False
        idle = min(self._rows - live, waiting) / self._rows
        self._wasted += idle * seconds
        if live == 0 or idle == 0:
            return False
        again = self._reading * (live * (self._length + self._steps)) / (self._rows * self._length)
        a_step = (now - self._started - self._reading) / (self._steps - 1)
        return self._wasted >= again and left * a_step * idle > again
