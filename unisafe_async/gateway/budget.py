"""Money: the most that a call may cost is reserved before the call, so the budget is never exceeded."""

from __future__ import annotations

import anyio


class NotRun(Exception):
    """A call was left out on purpose: its item is left for the next run and is no failure."""


class BudgetSpent(NotRun):
    """The next call could exceed `budget_usd`."""


class Draining(NotRun):
    """The run was asked to stop: nothing new is sent."""


class Budget:
    """Dollars spent in this run, and dollars reserved for calls under way.

    Args:
        limit: US dollars; None for no limit.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.spent = 0.0
        self.exhausted = False
        self._reserved = self._owed = 0.0
        self._changed = anyio.Event()

    async def reserve(self, max_cost: float) -> None:
        """Reserve `max_cost` dollars; waits for calls under way to settle. Raises BudgetSpent if they do not fit even then."""
        if self.limit is None:
            return
        while self.spent + self._owed + self._reserved + max_cost > self.limit:
            if self._reserved <= 0:
                self.exhausted = True
                owed = f", at most ${self._owed:.4f} for jobs under way" if self._owed else ""
                raise BudgetSpent(f"the budget of ${self.limit:.2f} would be exceeded (${self.spent:.4f} spent{owed})")
            await self._changed.wait()
        self._reserved += max_cost

    def try_reserve(self, max_cost: float) -> bool:
        """Reserve `max_cost` dollars if the budget has them now."""
        if self.limit is not None and self.spent + self._owed + self._reserved + max_cost > self.limit:
            return False
        self._reserved += max_cost if self.limit is not None else 0.0
        return True

    def commit(self, max_cost: float) -> None:
        """Reserve `max_cost` dollars that an earlier run has committed, whether the budget has them or not."""
        self._reserved += max_cost if self.limit is not None else 0.0

    def owe(self, max_cost: float) -> None:
        """The vendor goes on with a job for which `max_cost` was reserved: this run spends that money on nothing else."""
        if self.limit is not None:
            self._owed += max_cost
            self.settle(max_cost, 0.0)

    def settle(self, max_cost: float, cost: float) -> None:
        """A call for which `max_cost` was reserved has cost `cost` (0 if it failed)."""
        self.spent += cost
        if self.limit is not None:
            self._reserved = max(0.0, self._reserved - max_cost) if self._reserved - max_cost > 1e-12 else 0.0
            self._changed.set()
            self._changed = anyio.Event()
