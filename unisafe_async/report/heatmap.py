"""One score of each model by task, category or subcategory: numbers always, a background shade where the terminal has colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from unisafe_async.report.panels import SMALL_MARK, TITLES, is_small
from unisafe_async.report.text import line
from unisafe_async.scores import BETTER, Score
from unisafe_async.taxonomy import CATEGORIES, CATEGORY_OF, TASKS

GOOD, MIDDLE, BAD, NEUTRAL = (146, 197, 222), (247, 247, 247), (244, 165, 130), (190, 174, 212)
"""Blue to orange, which the colour-blind tell apart (ColorBrewer's RdBu and Accent); violet for a score with no better end."""

FIRST, CELL = 28, 16
"""The widest that the first column and a model's column become."""

ORDER = {name: place for place, name in enumerate([*TASKS, *CATEGORIES, *CATEGORY_OF])}


def heatmap(console: Console, dimension: str, name: str, models: Sequence[str], cells: Mapping[tuple[str, ...], Score]) -> Group:
    """`name`, one of SCORES, for each value of `dimension`; side by side as many models as fit."""
    values = sorted({key[1] for key in cells}, key=lambda value: (ORDER.get(value, len(ORDER)), value))
    first = min(FIRST, max([len(dimension), *(len(_title(value)) for value in values)]) + 1)
    tables = [_table(dimension, values, some, name, cells) for some in _fitting(models, console.width - first)]
    return Group(Text(f"{TITLES[name]} by {dimension}", style="bold"), *tables)


def shade(value: float, name: str) -> str:
    """The style of a cell whose score is `value`, between 0 and 1."""
    if not BETTER[name]:
        return _style(MIDDLE, NEUTRAL, value)
    good = value if BETTER[name] > 0 else 1 - value
    return _style(MIDDLE, GOOD, 2 * good - 1) if good >= 0.5 else _style(MIDDLE, BAD, 1 - 2 * good)


def _style(start: tuple[int, int, int], end: tuple[int, int, int], part: float) -> str:
    mixed = [round(low + (high - low) * part) for low, high in zip(start, end, strict=True)]
    return f"black on rgb({mixed[0]},{mixed[1]},{mixed[2]})"


def _title(value: str) -> str:
    return TASKS[value].title if value in TASKS else value


def _width(model: str) -> int:
    return max(8, min(CELL, len(model) + 2))


def _fitting(models: Sequence[str], room: int) -> Iterator[list[str]]:
    """Models in groups that fit into `room` columns."""
    group: list[str] = []
    for model in models:
        if group and sum(map(_width, [*group, model])) > room:
            yield group
            group = []
        group.append(model)
    yield group


def _table(
    dimension: str, values: Sequence[str], models: Sequence[str], name: str, cells: Mapping[tuple[str, ...], Score]
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column(dimension.capitalize(), overflow="ellipsis", no_wrap=True, max_width=FIRST)
    for model in models:
        width = _width(model)
        heading = line(model)
        heading.truncate(width - 1, overflow="ellipsis")
        heading.justify = "right"
        table.add_column(heading, justify="right", no_wrap=True, width=width)
    for value in values:
        table.add_row(line(_title(value)), *(_cell(cells.get((model, value)), name, _width(model)) for model in models))
    return table


def _cell(score: Score | None, name: str, width: int) -> Text:
    if score is None or not score.shares:
        return Text("-".rjust(width - 1) + " ", style="dim")
    value = score.shares[name].value
    number = f"{SMALL_MARK if is_small(score) else ''}{value * 100:.1f}"
    return Text(number.rjust(width - 1) + " ", style=shade(value, name))
