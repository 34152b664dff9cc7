"""A table in GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unisafe_async.interchange.cells import to_markdown_cell
from unisafe_async.interchange.table_grids import Cell, Grid, Line, Look, build_grids, describe_grid
from unisafe_async.interchange.table_scores import Table
from unisafe_async.results.provenance import to_html_comment


def format_markdown(table: Table, look: Look | None = None) -> str:
    """Tables in the wide layout unless `look` asks for one column; the provenance is in a comment at the end.

    The best value of a column is bold, the paper's figures are in italics.
    """
    look = look or Look()
    grids = build_grids(table, long=look.columns == 1)
    notes = dict.fromkeys([*_describe_items(grids), *(note for grid in grids for note in describe_grid(table, grid))])
    lines = [line for grid in grids for line in _format_grid(grid, look, look.build_label(grid, grids))]
    lines += [f"{to_markdown_cell(note)}  " for note in notes]
    return "\n".join(lines) + "\n\n" + to_html_comment(table.provenance)


def _format_grid(grid: Grid, look: Look, label: str) -> Iterator[str]:
    heads = [to_markdown_cell(head) for head in grid.heads]
    if grid.spans:
        names = [to_markdown_cell(span.title) for span in grid.spans for _ in range(span.width)]
        heads = [heads[0], *(f"{name} {head}" for name, head in zip(names, heads[1:], strict=True))]
    if label:
        yield f'<a id="{label}"></a>'
    yield f"**{to_markdown_cell('. '.join(filter(None, [look.caption.strip().removesuffix('.'), grid.title])))}**"
    yield ""
    yield _row(heads)
    yield _row([*(["---"] * grid.words), *(["---:"] * (len(heads) - grid.words))])
    for block in grid.blocks:
        if block.title:
            yield _row([f"**{to_markdown_cell(block.title)}**", *([""] * (len(heads) - 1))])
        yield from (_format_line(line) for line in block.lines)
    yield ""


def _format_line(line: Line) -> str:
    cells = [_format_cell(cell) for cell in line.cells]
    name = to_markdown_cell(line.name)
    return _row([f"*{name}*", *(cell and f"*{cell}*" for cell in cells)] if line.published else [name, *cells])


def _format_cell(cell: Cell) -> str:
    text = to_markdown_cell(f"{cell.text} {cell.small}".strip())
    return f"**{text}**" if cell.best else text


def _describe_items(grids: Sequence[Grid]) -> list[str]:
    """The numbers of valid items by task, where no column has them."""
    numbers = [f"{span.title} {span.items}" for grid in grids for span in grid.spans]
    return [f"n: {', '.join(numbers)}"] if numbers else []


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
