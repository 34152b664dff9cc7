"""Rows as lines, read a page at a time: for the browser's list and, without a terminal, as a table for other programs."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TextIO

from rich.text import Text
from unisafe_cache import read_file
from unisafe_judger import SCALES

from unisafe_async.names import shorten_names
from unisafe_async.results.filters import Where
from unisafe_async.results.rows import Facets, Line, find_rows, read_lines
from unisafe_async.screens.console import COLOURS, MARKS, line
from unisafe_async.streams import is_ended
from unisafe_async.text import plain

PAGE = 20_000
"""The number of rows that are read at once, because each query scans the whole run. Long responses need some 100 MB."""
WHOLE = 2**31 - 1
"""The most characters of a response: no limit."""
COLUMNS = ("item", "sample", "model", "outcome", "contextual", "intrinsic", "response")
TITLES = ("item", "model", "outcome", "contextual", "intrinsic", "response")
VERDICT = 11
"""Columns of a verdict with its mark: the longest is `? unjudged`."""


def write_list(cache: Path, facets: Facets, which: Where, out: TextIO) -> int:
    """Write a heading and one line for each row that matches `which`, with tabs between fields; returns the number of rows.

    A field is one line of harmless text and is never cut. The file is free between pages. Reading stops when nobody reads `out`
    any more.
    """
    out.write("\t".join(COLUMNS) + "\n")
    numbers = read_file(cache, lambda connection: find_rows(connection, facets.run, which))
    for start in range(0, len(numbers), PAGE):
        if is_ended(out):
            break
        page = numbers[start : start + PAGE]
        for row in read_file(cache, lambda connection, page=page: read_lines(connection, page, WHOLE)):  # type: ignore[misc]
            verdicts = (SCALES["contextual"].word(row.contextual), SCALES["intrinsic"].word(row.intrinsic))
            fields = (row.item, str(row.repeat), row.model, row.outcome, *verdicts, row.text)
            out.write("\t".join(" ".join(plain(field).split()) for field in fields) + "\n")
    return len(numbers)


@lru_cache(4)
def _names(models: tuple[str, ...], columns: int) -> dict[str, str]:
    return shorten_names(models, columns)


def choose_widths(width: int) -> tuple[int, int, int, int]:
    """Columns of item, model, outcome and each verdict on a screen of `width`; 0 for what it has no room for.

    Both verdicts come before the outcome, and the item is the first to be cut: the end of its name tells it apart.
    """
    if width >= 120:
        return 34, 18, 17, VERDICT
    if width >= 100:
        return 26, 15, 17, VERDICT
    verdict = VERDICT if width >= 48 else 2 if width >= 34 else 0
    return min(26, max(10, width - 15 - 2 * verdict)), 15, 0, verdict


def write_heading(width: int) -> Text:
    """The heading over lines of `width` columns."""
    item, model, outcome, verdict = choose_widths(width)
    text = Text(no_wrap=True, style="dim")
    for words, columns in zip(TITLES, (item, model, outcome, verdict, verdict, width), strict=True):
        if columns:
            text.append_text(_cell(words, "", columns))
    text.truncate(width)
    return text


def row_text(row: Line, width: int, models: tuple[str, ...] = ()) -> Text:
    """A row as one line of `width` columns: item, model, outcome, both verdicts and the beginning of the response.

    The model's name is shortened so that it differs from the other `models`. Without a column for it, an outcome that is no
    answer stands before the response.
    """
    item, model, outcome, verdict = choose_widths(width)
    text = Text(no_wrap=True, overflow="ellipsis")
    name = f"{row.item} #{row.repeat}" if row.repeat else row.item
    shown = name if len(name) < item else f"…{name[2 - item :]}"  # the id at the end is what tells items apart
    text.append_text(_cell(shown, "", item))
    text.append_text(_cell(_names(models or (row.model,), model - 1).get(row.model, row.model), "bold", model))
    said = (row.outcome.replace("_", " "), "yellow" if row.outcome.startswith(("blocked", "failed")) else "dim")
    text.append_text(_cell(*said, outcome) if outcome else Text())
    for word in (SCALES["contextual"].word(row.contextual), SCALES["intrinsic"].word(row.intrinsic)):
        text.append_text(_cell(f"{MARKS[word]} {word}", COLOURS[word], verdict) if verdict else Text())
    if not outcome and row.outcome != "answered":
        text.append(f"{said[0]}: " if row.text else said[0], said[1])
    text.append_text(line(row.text))
    text.truncate(width, overflow="ellipsis")
    return text


def _cell(words: str, style: str, columns: int) -> Text:
    cell = line(words, style)
    cell.truncate(columns - 1, overflow="ellipsis")
    cell.pad_right(columns - cell.cell_len)
    return cell
