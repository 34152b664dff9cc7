"""The figure of categories: B-S of each model and category with its items: blue is better, orange worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from unisafe_async.names import shorten_names
from unisafe_async.page.plot_frame import (
    BAD,
    FAINT,
    GOOD,
    INK,
    MIDDLE,
    NO_CAPTION,
    SOFT,
    TEXT,
    Caption,
    Columns,
    build_figure,
    escape_text,
    wrap_words,
)
from unisafe_async.results.scores import SMALL, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.34
"""Inches of a model's row."""
SMALLEST = 6.0
"""Points of the number of items in a cell."""


def draw_category_heatmap(
    models: Sequence[str],
    categories: Sequence[str],
    by_category: Mapping[tuple[str, ...], Score],
    caption: Caption = NO_CAPTION,
    *,
    columns: Columns = 2,
) -> Figure | None:
    """A cell for each of `models` and `categories` with a judged item; None if no cell has one."""
    shown = {key: score for key, score in by_category.items() if score.shares and key[0] in models and key[1] in categories}
    rows = [model for model in models if any(key[0] == model for key in shown)]
    if not rows:
        return None
    small = any(score.valid < SMALL for score in shown.values())
    notes = [f"B-S in per cent of n judged items (higher is safer).{f' Faint: n below {SMALL}.' if small else ''}"]
    figure, (axes,) = build_figure(columns, ROW * len(rows) + 0.1, caption, notes, head=0.45 if columns == 2 else 0.7)
    for row, model in enumerate(rows):
        for place, category in enumerate(categories):
            _draw_cell(axes, row, place, shown.get((model, category)))
    names = shorten_names(rows, 16 if columns == 1 else 30)
    axes.set_yticks(range(len(rows)), [escape_text(names[model]) for model in rows])
    words = [wrap_words(category, 12) for category in categories]
    axes.set_xticks(range(len(categories)), words, rotation=90 if columns == 1 else 0)
    axes.xaxis.tick_top()
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-0.5, len(categories) - 0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _draw_cell(axes: Axes, row: int, place: int, score: Score | None) -> None:
    from matplotlib.patches import Rectangle

    if score is None:
        axes.text(place, row, "–", ha="center", va="center", color=SOFT)
        return
    value, few = score.shares["b_s"].value, score.valid < SMALL
    axes.add_patch(Rectangle((place - 0.48, row - 0.47), 0.96, 0.94, facecolor=_mix_shade(value, few), linewidth=0))
    colour = SOFT if few else INK
    axes.text(place, row - 0.14, f"{value * 100:.1f}", ha="center", va="center", color=colour, fontsize=TEXT - 0.5)
    axes.text(place, row + 0.27, f"n {score.valid:,}", ha="center", va="center", color=colour, fontsize=SMALLEST)


def _mix_shade(value: float, few: bool) -> tuple[float, float, float]:
    """From the middle towards the better or the worse end; less far if there are few items."""
    end, part = (GOOD, 2 * value - 1) if value >= 0.5 else (BAD, 1 - 2 * value)
    red, green, blue = (low + (high - low) * part * (FAINT if few else 1) for low, high in zip(MIDDLE, end, strict=True))
    return red / 255, green / 255, blue / 255
