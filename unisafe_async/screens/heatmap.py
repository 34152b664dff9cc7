"""One score of each model by task, category or subcategory: numbers always, a background shade where the terminal has colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from unisafe_async.benchmark.taxonomy import SHOWN_CATEGORIES, SHOWN_SUBCATEGORIES, TASKS
from unisafe_async.names import shorten_names
from unisafe_async.results.scores import BETTER, TITLES, Score, is_small
from unisafe_async.screens.console import line
from unisafe_async.screens.panels import SMALL_MARK
from unisafe_async.text import plain

GOOD, MIDDLE, BAD, NEUTRAL = (146, 197, 222), (247, 247, 247), (244, 165, 130), (190, 174, 212)
"""Blue to orange, which colour-blind people tell apart (ColorBrewer's RdBu and Accent); violet if no end is better."""

FAINT = 0.35
"""The share of its shade that a cell keeps if it has few items."""

FIRST = 28
"""The largest width of the first column."""
CELL = 16
"""The largest width of a model's column if the models do not all fit side by side."""

ORDER = {name: place for place, name in enumerate([*TASKS, *SHOWN_CATEGORIES, *SHOWN_SUBCATEGORIES])}


def build_heatmap(
    console: Console, dimension: str, name: str, models: Sequence[str], cells: Mapping[tuple[str, ...], Score], title: str = ""
) -> Group:
    """The score `name` (one of SCORES) for each value of `dimension`, with as many models side by side as fit."""
    values = sorted({key[1] for key in cells}, key=lambda value: (ORDER.get(value, len(ORDER)), value))
    first = min(FIRST, max([len(dimension), *(len(_title(value)) for value in values)]) + 1)
    room = console.width - first - 2
    names = _shorten_names(models, room)
    tables = [_table(dimension, values, some, name, cells) for some in _split_fitting(names, room)]
    return Group(Text(title or f"{TITLES[name]} by {dimension}", style="bold"), *tables)


def choose_shade(value: float, name: str, *, small: bool = False) -> str:
    """The style of a cell with the score `value`, between 0 and 1; grey on a faint shade if it has few items."""
    good = value if BETTER[name] > 0 else 1 - value
    end, part = (GOOD, 2 * good - 1) if good >= 0.5 else (BAD, 1 - 2 * good)
    if not BETTER[name]:
        end, part = NEUTRAL, value
    mixed = [round(low + (high - low) * part * (FAINT if small else 1)) for low, high in zip(MIDDLE, end, strict=True)]
    return f"{'rgb(95,95,100)' if small else 'black'} on rgb({mixed[0]},{mixed[1]},{mixed[2]})"


def _title(value: str) -> str:
    return TASKS[value].title if value in TASKS else value


def _shorten_names(models: Sequence[str], room: int) -> dict[str, str]:
    """Each model's name in the table: as long as all fit side by side into `room` columns, else in a column's usual width."""
    longest = max((cell_len(plain(model)) for model in models), default=0)
    ways = (shorten_names(models, width) for width in range(longest, CELL - 2, -1))
    return next((names for names in ways if _measure_taken(names.values()) <= room), shorten_names(models, CELL - 2))


def _width(name: str) -> int:
    return max(8, cell_len(name) + 2)


def _measure_taken(names: Iterable[str]) -> int:
    """The width of these models in a table, with the space between them."""
    return sum(_width(name) + 1 for name in names)


def _split_fitting(names: Mapping[str, str], room: int) -> Iterator[dict[str, str]]:
    """Models in groups that fit into `room` columns."""
    group: dict[str, str] = {}
    for model, name in names.items():
        if group and _measure_taken([*group.values(), name]) > room:
            yield group
            group = {}
        group[model] = name
    yield group


def _table(
    dimension: str, values: Sequence[str], names: Mapping[str, str], name: str, cells: Mapping[tuple[str, ...], Score]
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column(dimension.capitalize(), overflow="ellipsis", no_wrap=True, max_width=FIRST)
    for shown in names.values():
        table.add_column(Text(f"{shown} ", justify="right"), justify="right", no_wrap=True, width=_width(shown))
    for value in values:
        figures = [_cell(cells.get((model, value)), name, _width(shown)) for model, shown in names.items()]
        table.add_row(line(_title(value)), *figures)
    return table


def _cell(score: Score | None, name: str, width: int) -> Text:
    if score is None or not score.shares:
        return Text("-".rjust(width - 1) + " ", style="dim")
    value = score.shares[name].value
    number = f"{SMALL_MARK if is_small(score) else ''}{value * 100:.1f}"
    return Text(number.rjust(width - 1) + " ", style=choose_shade(value, name, small=is_small(score)))
