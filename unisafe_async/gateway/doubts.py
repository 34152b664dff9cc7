"""Errors that could be one request's alone, as a bare 403 can: whether such a one fails its item or stops its model."""

from __future__ import annotations

import anyio

IN_A_ROW = 5
AT_FIRST = 3
"""Calls that an endpoint which never answered may cost at most."""


class Doubts:
    """Counts the calls of one endpoint that are under way, and doubtful errors with nothing between.

    One that comes before the endpoint ever answered waits until the other calls under way show whether it answers them; nothing
    new is sent meanwhile. Where calls go one by one, nothing is under way, and the next two calls show it.
    """

    def __init__(self) -> None:
        self._under_way = self._most = 0
        self._row = 0
        self._settled: anyio.Event | None = None

    @property
    def settling(self) -> bool:
        return self._settled is not None

    async def settle(self) -> None:
        """Return when nobody waits to see what becomes of the calls under way."""
        while self._settled is not None:
            await self._settled.wait()

    def begins(self) -> None:
        """A call is sent."""
        self._under_way += 1
        self._most = max(self._most, self._under_way)

    def ends(self, *, answered: bool) -> None:
        """A call is over."""
        self._under_way -= 1
        if answered:
            self.none_in_a_row()
        if self._settled is not None and (answered or not self._under_way):
            self._settled.set()
            self._settled = None

    def none_in_a_row(self) -> None:
        """Something else came between."""
        self._row = 0

    async def others(self) -> None:
        """Wait until one of the calls under way is answered, or none is left."""
        if self._under_way:
            self._settled = self._settled or anyio.Event()
            await self._settled.wait()

    def may_be_alone(self) -> bool:
        """One more doubtful error of an endpoint that never answered: whether the next call, where they go one by one, may be."""
        self._row += 1
        return self._most == 1 and self._row < AT_FIRST

    def too_many(self) -> bool:
        """One more doubtful error of an endpoint that does answer: whether they are too many in a row to be their items'."""
        self._row += 1
        return self._row >= IN_A_ROW
