"""`report --html`, `--png`, `--svg` and `--pdf`: the options, and what they do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unisafe_async.commands.options import DONE, find_run_file, usage_error

if TYPE_CHECKING:
    from unisafe_async.results.scores import Where

HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write one self-contained page that opens offline.")]
ImagesOption = Annotated[Path | None, typer.Option("--images", help="With --html: a folder beside it for all images.")]
EmbedOption = Annotated[bool, typer.Option("--embed", help="With --html: put small copies of all images into the page.")]
PngOption = Annotated[
    Path | None, typer.Option("--png", help="Write figures for a paper: FILE-outcomes.png, -panels, -heatmap, -scatter.")
]
SvgOption = Annotated[Path | None, typer.Option("--svg", help="The same as SVG.")]
PdfOption = Annotated[Path | None, typer.Option("--pdf", help="The same as PDF, with its fonts inside.")]
ColumnsOption = Annotated[
    int | None,
    typer.Option("--columns", min=1, max=2, help="How many of a paper's two columns the figures are wide.", show_default="2"),
]


def write_files(
    name: str | None,
    config: Path,
    cache: Path | None,
    *,
    html: Path | None,
    images: Path | None,
    embed: bool,
    png: Path | None,
    svg: Path | None,
    pdf: Path | None,
    columns: int | None,
    where: Where,
) -> int:
    """Write the requested files, say where they are and what they lack, and return the exit code."""
    if html is None and (images or embed):
        raise usage_error("--images and --embed go with --html FILE")
    figures = [file for file in (png, svg, pdf) if file is not None]
    if columns is not None and not figures:
        raise usage_error("--columns goes with --png, --svg or --pdf")
    if not all(file.name for file in figures):
        raise usage_error("--png, --svg and --pdf: name a file, such as figure.png")
    from unisafe_async.page.write import write_page, write_plots
    from unisafe_async.text import plain

    path = find_run_file(config, cache, name)
    if html is not None:
        written = write_page(path, html, name, where, base=config.parent, images=images, embed=embed)
        print(f"{written.file}: {written.size / 1e6:,.1f} MB")
        for words in written.lacking:
            print(plain(f"  {words}"), file=sys.stderr)
    if figures:
        for file in write_plots(path, name, png, svg, where, pdf=pdf, columns=1 if columns == 1 else 2):
            print(file)
    return DONE
