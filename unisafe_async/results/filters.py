"""Which rows a command or a function is about: one filter, as SQL for all that reads rows, and as what the options say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from unisafe_cache import OUTCOMES
from unisafe_judger import SCALES

from unisafe_async.benchmark.taxonomy import read_category, read_task
from unisafe_async.errors import UsageError

SEARCHED = (
    *("rows.item", "rows.contextual_reason", "rows.intrinsic_reason", "rows.error"),
    *("responses.text", "responses.thoughts"),
)
"""The columns that `text` is looked for in, and in the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which rows count: within a field any of the values, all fields together; an empty field lets everything through.

    Args:
        categories: categories or subcategories.
        contextual, intrinsic: verdicts in words, or `unjudged`.
        outcomes: of unisafe_cache.OUTCOMES; `blocked` means every block.
        text: a text in the request, the response, its thoughts, a reason or the item's name; case does not matter.
    """

    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    contextual: tuple[str, ...] = ()
    intrinsic: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    text: str = ""

    def __bool__(self) -> bool:
        return any(True for _ in self._conditions())

    @property
    def sql(self) -> str:
        """A condition on `rows`, with `parameters` for its values; with `text` on `rows LEFT JOIN responses`."""
        return " AND ".join(sql for sql, _ in self._conditions()) or "true"

    @property
    def parameters(self) -> dict[str, object]:
        return {name: value for _, given in self._conditions() for name, value in given.items()}

    def words(self) -> str:
        """The filter as a line for people; empty where everything is let through."""
        parts = [", ".join(values) for values in (self.models, self.tasks, self.categories, self.outcomes) if values]
        parts += [f"{name} {' or '.join(values)}" for name, values in self._verdicts() if values]
        return " · ".join([*parts, *([f"“{self.text}”"] if self.text else [])])

    def _verdicts(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return (("contextual", self.contextual), ("intrinsic", self.intrinsic))

    def _conditions(self) -> Iterator[tuple[str, dict[str, object]]]:
        """Each condition with its values."""
        if self.models:
            yield "rows.model IN (SELECT unnest($models))", {"models": list(self.models)}
        if self.tasks:
            yield "rows.task IN (SELECT unnest($tasks))", {"tasks": list(self.tasks)}
        if self.categories:
            sql = "(list_contains($categories, rows.category) OR list_contains($categories, rows.subcategory))"
            yield sql, {"categories": list(self.categories)}
        for name, wanted in self._verdicts():
            if wanted:
                numbers = [SCALES[name].numbers.get(word, -1) for word in wanted]
                yield f"list_contains(${name}::INTEGER[], coalesce(rows.{name}, -1)::INTEGER)", {name: numbers}
        if self.outcomes:
            blocked = " OR starts_with(rows.outcome, 'blocked')" if "blocked" in self.outcomes else ""
            yield f"(list_contains($outcomes, rows.outcome){blocked})", {"outcomes": list(self.outcomes)}
        if self.text:
            words = self.text.lower()
            places = [f"contains(lower({column}), $text)" for column in SEARCHED]
            sql = f"({' OR '.join([*places, 'contains(lower(responses.request), $text_in_json)'])})"
            yield sql, {"text": words, "text_in_json": json.dumps(words, ensure_ascii=False)[1:-1]}


ALL = Where()


def read_where(
    models: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
    contextual: Sequence[str] | None = None,
    intrinsic: Sequence[str] | None = None,
    outcomes: Sequence[str] | None = None,
    text: str = "",
) -> Where:
    """The filter that options name, tasks and categories in any spelling. Raises UsageError, which says what there is.

    `models` stay as they are given, since each run has its own.
    """
    return Where(
        models=tuple(dict.fromkeys(models or ())),
        tasks=_read_each("task", tasks, read_task),
        categories=_read_each("category", categories, read_category),
        contextual=_read_each("contextual", contextual, partial(_one_of, "contextual verdict", SCALES["contextual"].answers)),
        intrinsic=_read_each("intrinsic", intrinsic, partial(_one_of, "intrinsic verdict", SCALES["intrinsic"].answers)),
        outcomes=_read_each("outcome", outcomes, partial(_one_of, "outcome", OUTCOMES)),
        text=text,
    )


def _read_each(option: str, given: Sequence[str] | None, read: Callable[[str], str]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(map(read, given or ())))
    except UsageError as error:
        raise UsageError(f"--{option}: {error}") from None


def _one_of(kind: str, among: Sequence[str], name: str) -> str:
    if name not in among:
        raise UsageError(f"{name!r} is no {kind}; there are {', '.join(among)}")
    return name
