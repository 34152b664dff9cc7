"""Figures by matplotlib as files for papers: every drawing, and how one is saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unisafe_async.page.plot_bars import draw_outcome_bars
from unisafe_async.page.plot_dots import draw_panel_dots
from unisafe_async.page.plot_frame import GRID, HOLLOW, INK, SERIES, STYLE, WARNING, Caption, Columns, silence_font_warnings
from unisafe_async.page.plot_heatmap import draw_category_heatmap
from unisafe_async.page.plot_scatter import draw_scatter, spread_heights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "GRID",
    "HOLLOW",
    "INK",
    "SERIES",
    "STYLE",
    "WARNING",
    "Caption",
    "Columns",
    "FileKind",
    "draw_category_heatmap",
    "draw_outcome_bars",
    "draw_panel_dots",
    "draw_scatter",
    "save",
    "silence_font_warnings",
    "spread_heights",
]

FileKind = Literal["png", "svg", "pdf"]
SVG_KEYS = ("Title", "Source", "Creator", "Description")
PDF_KEYS = {"Title": "Title", "Creator": "Creator", "Subject": "Description", "Keywords": "unisafe"}
"""PDF's keys, and the texts that they take."""


def save(figure: Figure, file: Path, kind: FileKind, title: str, metadata: Mapping[str, str]) -> None:
    """Write a figure for a paper: PNG at 300 dots an inch, SVG with text as paths, or PDF with its fonts; same figures, same bytes.

    `metadata` stands in the file: texts by keyword in PNG; SVG and PDF take those that SVG_KEYS and PDF_KEYS name.
    """
    from matplotlib import rc_context

    known: dict[str, str | None] = {"Title": title, **metadata}
    if kind == "svg":
        known = {key: known.get(key) for key in (*SVG_KEYS, "Date")}
    elif kind == "pdf":
        known = {key: known[text] for key, text in PDF_KEYS.items() if known.get(text)} | {"CreationDate": None, "Producer": None}
    with rc_context(STYLE), silence_font_warnings():
        figure.savefig(file, format=kind, dpi=300, metadata=known, transparent=False, facecolor="white")
