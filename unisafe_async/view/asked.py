"""What a request of the page asks for: its filters and its order, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.errors import UsageError
from unisafe_async.results.filters import Where
from unisafe_async.text import plain
from unisafe_async.view.selection import ORDERS, VERDICTS, Choice

TASK_OF = {task.title: task.key for task in TASKS.values()}
LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Filters and order, and whether the person labels blind to the verdicts."""

    choice: Choice
    blind: bool


def read_asked(query: Mapping[str, str], names: Mapping[str, Sequence[str]], *, blind: bool = False) -> Asked:
    """The filters in an address. Raises UsageError.

    Args:
        names: the run's models and categories, which may hold characters that the page shows as others.
        blind: labelling is blind whatever the address says.

    Labelling blind there is no filter and no order by verdict, and text is not looked for in the judge's reasons, because what
    matches would tell the verdict.
    """
    verdict, order = query.get("verdict", ""), query.get("order", "")
    if verdict and verdict not in VERDICTS:
        raise UsageError(f"verdict: should be one of {', '.join(VERDICTS)}")
    if order not in ORDERS:
        raise UsageError(f"order: should be one of {', '.join(filter(None, ORDERS))}")
    blind = blind or query.get("blind") == "1"
    task = query.get("task", "")
    where = Where(
        models=_find(query.get("model", ""), names["model"]),
        tasks=_one(TASK_OF.get(task, task)),
        categories=_find(query.get("category", ""), names["category"]),
        outcomes=_one(query.get("outcome", "")),
        text=query.get("q", "").strip()[:LONGEST_TEXT],
    )
    if blind:
        return Asked(choice=Choice(where=replace(where, models=(), outcomes=()), blind=True), blind=True)
    return Asked(choice=Choice(where=where, verdict=verdict, order=order), blind=False)


def read_keys(given: str) -> list[int]:
    """Keys of items in an address: `1,2,3`. Raises UsageError."""
    if not re.fullmatch(r"[0-9]{1,18}(,[0-9]{1,18})*", given):
        raise UsageError("keys: should be numbers, such as 1,2,3")
    return [int(key) for key in given.split(",")]


def _find(shown: str, names: Sequence[str]) -> tuple[str, ...]:
    """The name that the page shows so."""
    return _one(next((name for name in names if plain(name) == shown), shown))


def _one(value: str) -> tuple[str, ...]:
    return (value,) if value else ()
