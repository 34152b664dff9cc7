"""`browse` where there is no terminal: one line a row, read a page at a time."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from cache import read_file
from unisafe_async.browse.detail import COLOURS
from unisafe_async.browse.rows import CONTEXTUAL_WORDS, INTRINSIC_WORDS, Facets, Filter, Line, matching, read_lines
from unisafe_async.report.text import count, line

PAGE = 500
WIDTHS = (34, 18, 16, 9, 9)
"""Columns of item, model, outcome and both verdicts."""


def print_list(console: Console, cache: Path, facets: Facets, which: Filter) -> None:
    """Print every row that `which` lets through; the file is free between pages."""
    numbers = read_file(cache, lambda connection: matching(connection, facets.run, which))
    words = which.words()
    console.print(line(f"{facets.run}: {len(numbers):,} of {count(facets.rows, 'row')}{f', {words}' if words else ''}", "bold"))
    for start in range(0, len(numbers), PAGE):
        page = numbers[start : start + PAGE]
        for row in read_file(cache, lambda connection, page=page: read_lines(connection, page)):  # type: ignore[misc]
            console.print(row_text(row, console.width), no_wrap=True, overflow="ellipsis", crop=True)


def row_text(row: Line, width: int) -> Text:
    """A row as one line of `width` columns: item, model, outcome, both verdicts and the beginning of the response."""
    item, model, outcome, *verdicts = WIDTHS
    if width < 120:
        item, model, outcome = 26, 15, 11
    text = Text(no_wrap=True, overflow="ellipsis")
    name = f"{row.item} #{row.sample}" if row.sample else row.item
    shown = name if len(name) < item else f"…{name[2 - item :]}"  # the id at the end is what tells items apart
    for words, style, columns in (
        (shown, "", item),
        (row.model, "bold", model),
        (row.outcome, "yellow" if row.outcome.startswith(("blocked", "failed")) else "dim", outcome),
    ):
        text.append_text(_cell(words, style, columns))
    for word, columns in zip(
        (CONTEXTUAL_WORDS.get(row.contextual, "?"), INTRINSIC_WORDS.get(row.intrinsic, "?")), verdicts, strict=True
    ):
        text.append_text(_cell(word, COLOURS.get(word, ""), columns))
    text.append_text(line(row.text, "dim"))
    text.truncate(width, overflow="ellipsis")
    return text


def _cell(words: str, style: str, columns: int) -> Text:
    cell = line(words, style)
    cell.truncate(columns - 1, overflow="ellipsis")
    cell.pad_right(columns - cell.cell_len)
    return cell
