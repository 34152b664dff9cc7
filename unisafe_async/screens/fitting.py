"""Makes tables fit: names get the room that the figures leave, and figures are never cut."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import cache, partial

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from unisafe_async.names import shorten_names

LEAST = 12
"""A name is never cut to fewer columns."""
SCANT = 20
"""If names get fewer columns, a narrower table is better."""
ENDLESS = 10_000

Build = Callable[[Mapping[str, Text]], Table]
"""Builds a table with each name written as in the mapping."""


def fit_table(console: Console, names: Iterable[str], *builds: Build, least: int = LEAST) -> RenderableType:
    """The first table that fits, with names as long as possible; if none fits, the rows of the last table as lines.

    Args:
        builds: tables of the same figures, the widest first; each but the last must leave SCANT columns for a name.
        least: the columns for names that the last table must leave.
    """
    known = list(dict.fromkeys(names))
    longest = max(map(cell_len, shorten_names(known, ENDLESS).values()), default=0)
    for place, build in enumerate(builds, 1):
        fewest = min(least if place == len(builds) else SCANT, longest)
        over = cache(partial(_over, console, known, build))
        if over(longest) > 0 and over(fewest) > 0:
            continue
        near = max(fewest, longest - max(0, over(longest)))  # where one column holds the names, they fit exactly there
        widths = range(near if over(near) <= 0 else fewest, longest + 1)
        fit = 1 if over(near) == 0 else bisect_right(widths, 0, key=over)
        if fit:
            return build(_write_names(known, widths[fit - 1]))
    return build_lines(console, builds[-1](_write_names(known, longest)))


def _over(console: Console, names: Sequence[str], build: Build, width: int) -> int:
    """By how many columns the table is too wide when names have `width`."""
    return measure_needed(console, build(_write_names(names, width))) - console.width


def _write_names(names: Sequence[str], width: int) -> dict[str, Text]:
    return {name: Text(shown, no_wrap=True) for name, shown in shorten_names(names, width).items()}


def measure_needed(console: Console, table: Table) -> int:
    """The width of `table` if nothing in it is cut or wrapped.

    This measures only the widest cell of each column: rich needs as long to measure all cells as to print them, and a run's
    progress is fitted four times a second.
    """
    widest = copy(table)
    widest.columns, widest.rows = [column.copy() for column in table.columns], []
    widest.add_row(*(max(column.cells, key=_width, default="") for column in table.columns))
    return Measurement.get(console, console.options.update_width(ENDLESS), widest).maximum


def _width(cell: RenderableType) -> int:
    return max(map(cell_len, (cell.plain if isinstance(cell, Text) else str(cell)).split("\n")))


def build_lines(console: Console, table: Table) -> Group:
    """The rows of a table that is too wide for the screen: the first cell, then the others, each with its heading."""
    heads, width = [_one_line(column.header) for column in table.columns], console.width
    lines: list[Text] = []
    footers = [tuple(column.footer for column in table.columns)] if table.show_footer else []
    for cells in [*zip(*(column.cells for column in table.columns), strict=True), *footers]:
        first, *rest = (_one_line(cell) for cell in cells)
        if first:
            lines.append(first)
        line = Text()
        for head, cell in zip(heads[1:], rest, strict=True):
            figure = Text.assemble("  ", (head.plain, "dim"), " " if head else "", cell)
            if line and line.cell_len + figure.cell_len > width:
                lines.append(line)
                line = Text()
            line.append_text(figure if cell else Text())
        lines.append(line)
    return Group(*lines, Text(""))


def _one_line(cell: RenderableType) -> Text:
    if not isinstance(cell, Text):
        return Text(" ".join(str(cell).split()))
    parts = [part for part in cell.split() if part]
    for part in parts:
        part.rstrip()
    return Text(" ").join(parts)
