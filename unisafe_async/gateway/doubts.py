"""Errors that may concern one request alone, such as a bare 403: decides whether one fails its item or stops its model."""

from __future__ import annotations

import anyio

IN_A_ROW = 5
AT_FIRST = 3
"""The most calls that an endpoint may cost without ever answering."""


class Doubts:
    """Counts the calls of one endpoint that are under way, and its doubtful errors in a row.

    If a doubtful error comes before the endpoint ever answered, it waits until the other calls under way show whether the
    endpoint answers them; nothing new is sent meanwhile. If calls go one by one, no other call is under way, and the next two
    calls show it.
    """

    def __init__(self) -> None:
        self._under_way = self._most = 0
        self._row = 0
        self._settled: anyio.Event | None = None

    @property
    def settling(self) -> bool:
        return self._settled is not None

    async def settle(self) -> None:
        """Return when no doubtful error waits for the calls under way any more."""
        while self._settled is not None:
            await self._settled.wait()

    def begin(self) -> None:
        """Note that a call is sent."""
        self._under_way += 1
        self._most = max(self._most, self._under_way)

    def end(self, *, answered: bool) -> None:
        """Note that a call is over."""
        self._under_way -= 1
        if answered:
            self.reset()
        if self._settled is not None and (answered or not self._under_way):
            self._settled.set()
            self._settled = None

    def reset(self) -> None:
        """Note a result that was no doubtful error: a new row begins."""
        self._row = 0

    async def wait_for_others(self) -> None:
        """Wait until one of the calls under way is answered, or none is left."""
        if self._under_way:
            self._settled = self._settled or anyio.Event()
            await self._settled.wait()

    def may_be_alone(self) -> bool:
        """Note a doubtful error of an endpoint that never answered; returns whether the next single call may be made."""
        self._row += 1
        return self._most == 1 and self._row < AT_FIRST

    def note_doubt(self) -> bool:
        """Note a doubtful error of an endpoint that does answer; returns whether there are too many in a row to blame the items."""
        self._row += 1
        return self._row >= IN_A_ROW
