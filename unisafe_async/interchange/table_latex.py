"""A table in LaTeX, for `booktabs` and `adjustbox`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from unisafe_async.errors import UsageError
from unisafe_async.interchange.cells import find_beyond_pdflatex, to_latex_cell
from unisafe_async.interchange.table_grids import Cell, Grid, Line, Look, build_grids, describe_grid
from unisafe_async.interchange.table_scores import Table
from unisafe_async.results.provenance import to_comment

COMMENT = re.compile(r"(?<!\\)(?:\\\\)*%")
"""A `%` that begins a comment: none, or an even number of backslashes stand before it."""


def format_latex(table: Table, look: Look | None = None) -> str:
    """One floating table for each panel; the best value of a column is bold, the provenance is in comment lines.

    A table takes the width of the page (`table*`) in the paper's layout, and with intervals in the long one. With `columns=1` in
    `look` it takes one column (`table`) in the long layout, and intervals stand below the figures. A table that would still be
    too wide is scaled down. The caption of `look` is LaTeX. Raises UsageError if that caption cannot stand in braces.
    """
    look = look or Look()
    grids = build_grids(table, long=look.columns == 1 or table.intervals)
    blocks = [_format_grid(grid, table, look, look.build_label(grid, grids)) for grid in grids]
    odd = find_beyond_pdflatex("".join(blocks))
    needs = r"\usepackage{booktabs,adjustbox}" + (f", and LuaLaTeX or XeLaTeX with a font that has {' '.join(odd)}" if odd else "")
    return "\n".join([f"{to_comment(table.provenance, '% ')}% needs {needs}\n", *blocks])


def _format_grid(grid: Grid, table: Table, look: Look, label: str) -> str:
    environment = "table" if look.columns == 1 else "table*"
    lines = [
        rf"\begin{{{environment}}}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{_build_caption(grid, table, look)}}}",
        *([rf"\label{{{label}}}"] if label else []),
        r"\begin{adjustbox}{max width=\linewidth}",
        rf"\begin{{tabular}}{{{'l' * grid.words}{'r' * (len(grid.heads) - grid.words)}}}",
        r"\toprule",
        *_format_spans(grid),
        _row([to_latex_cell(head) for head in grid.heads[1:]], _brace(grid.heads[0])),
        r"\midrule",
        *_format_blocks(grid, below=look.columns == 1),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{adjustbox}",
        rf"\end{{{environment}}}",
    ]
    return "\n".join(lines) + "\n"


def _build_caption(grid: Grid, table: Table, look: Look) -> str:
    own = check_caption(look.caption).removesuffix(".")
    return ". ".join([*([own] if own else []), *map(to_latex_cell, [grid.title, *describe_grid(table, grid)])]) + "."


def check_caption(caption: str) -> str:
    """A caption of the user's own LaTeX on one line. Raises UsageError for what would swallow the text after it."""
    text = " ".join(caption.split())
    if COMMENT.search(text):
        raise UsageError(r"--caption: a % begins a comment in LaTeX and hides the rest of the line; write \%")
    depth = 0
    for brace in re.findall(r"\\.|([{}])", text):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            break
    if depth or re.search(r"(?<!\\)(?:\\\\)*\\$", text):
        raise UsageError(r"--caption: its braces do not match; in LaTeX each { needs its }, and a brace that is seen is \{ or \}")
    return text


def _format_spans(grid: Grid) -> list[str]:
    if not grid.spans:
        return []
    titles, items, rules, column = [], [], [], 2
    for span in grid.spans:
        titles.append(rf"\multicolumn{{{span.width}}}{{c}}{{{to_latex_cell(span.title)}}}")
        items.append(rf"\multicolumn{{{span.width}}}{{c}}{{n {span.items}}}")
        rules.append(rf"\cmidrule(lr){{{column}-{column + span.width - 1}}}")
        column += span.width
    return [_row(titles, ""), _row(items, ""), "".join(rules)]


def _format_blocks(grid: Grid, *, below: bool) -> Iterator[str]:
    for number, block in enumerate(grid.blocks):
        if block.title:
            if number:
                yield r"\addlinespace"
            yield rf"\multicolumn{{{len(grid.heads)}}}{{l}}{{\textit{{{to_latex_cell(block.title)}}}}} \\"
        for line in block.lines:
            yield from _format_line(line, below=below)


def _format_line(line: Line, *, below: bool) -> Iterator[str]:
    """The row of a line; with `below`, its intervals in a second row, else beside their figures."""
    cells = [_format_cell(cell) + ("" if below else _format_small(cell, " ")) for cell in line.cells]
    if line.published:
        yield _row([cell and rf"\textit{{{cell}}}" for cell in cells], rf"\quad\textit{{{to_latex_cell(line.name)}}}")
        return
    yield _row(cells, _brace(line.name))
    if below and any(cell.small for cell in line.cells):
        yield _row([_format_small(cell, "") for cell in line.cells], "")


def _format_cell(cell: Cell) -> str:
    text = "--" if cell.text == "-" else to_latex_cell(cell.text)
    return rf"\textbf{{{text}}}" if cell.best else text


def _format_small(cell: Cell, before: str) -> str:
    return rf"{before}{{\tiny {to_latex_cell(cell.small)}}}" if cell.small else ""


def _brace(name: str) -> str:
    """The first cell of a row in braces, so that LaTeX does not take a name that begins with `[` for an argument."""
    return f"{{{to_latex_cell(name)}}}"


def _row(cells: Sequence[str], name: str) -> str:
    return " & ".join([name, *cells]) + r" \\"
