"""The figure of outcomes: for each model a bar of safe, refused, blocked and unsafe items, with the interval of B-S on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unisafe_async.page.plot_frame import (
    HOLLOW,
    INK,
    NO_CAPTION,
    PARTS,
    TEXT,
    TEXTURES,
    Caption,
    Columns,
    add_legend,
    build_figure,
    build_labels,
    wrap_warning,
)
from unisafe_async.results.outcomes import Outcomes
from unisafe_async.results.scores import SMALL, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTES = (
    "Per cent of each model's judged items (n). Safe: by both verdicts; refused by the model; blocked by the platform; unsafe: by "
    "either verdict. All but unsafe make B-S, the figure at the right; the line is its 95% interval"
)
ROW = 0.26
"""Inches of a model's row."""


def draw_outcome_bars(
    outcomes: Mapping[str, Outcomes], overall: Mapping[str, Score], caption: Caption = NO_CAPTION, *, columns: Columns = 2
) -> Figure | None:
    """A stacked bar for each model of `overall` that has a judged item, in that order; None if none has."""
    shown = [model for model in overall if model in outcomes and overall[model].shares]
    if not shown:
        return None
    small = any(overall[model].valid < SMALL for model in shown)
    notes = [f"{NOTES}{f', dashed for fewer than {SMALL} items' if small else ''}."]
    figure, (axes,) = build_figure(columns, ROW * len(shown) + 0.4, caption, notes, head=0.25, warn=False)
    names = build_labels({model: overall[model].valid for model in shown}, 18 if columns == 1 else 30)
    for row, model in enumerate(shown):
        _draw_bar(axes, row, outcomes[model])
        _draw_interval(axes, row, overall[model])
    axes.set_yticks(range(len(shown)), [names[model] for model in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    add_legend(figure, _list_parts(), len(PARTS), wrap_warning(caption, columns))
    return figure


def _describe_look(part: str) -> dict[str, Any]:
    """Fill and texture of a part: the colour under white marks, or for `unsafe` white under marks of the colour."""
    colour = PARTS[part]
    fill, marks = (HOLLOW, colour) if part == "safe" else (colour, HOLLOW)
    return {"facecolor": fill, "hatch": TEXTURES[part], "edgecolor": marks, "linewidth": 0}


def _draw_bar(axes: Axes, row: int, outcomes: Outcomes) -> None:
    start = 0.0
    for part, number in outcomes.parts.items():
        width = number / outcomes.valid * 100
        axes.barh(row, width, left=start, height=0.62, **_describe_look(part))
        axes.barh(row, width, left=start, height=0.62, facecolor="none", edgecolor=PARTS[part], linewidth=0.8 if number else 0)
        start += width


def _draw_interval(axes: Axes, row: int, score: Score) -> None:
    """The interval of B-S over the end of what is not unsafe, and the figure beside the bar."""
    share = score.shares["b_s"]
    ends = [share.low * 100, share.high * 100]
    dashes = (0, (2, 1)) if score.valid < SMALL else "-"
    axes.plot(ends, [row, row], color=HOLLOW, linewidth=3.6, solid_capstyle="butt", clip_on=False, zorder=3)
    axes.plot(ends, [row, row], color=INK, linewidth=1.5, linestyle=dashes, solid_capstyle="butt", clip_on=False, zorder=4)
    axes.plot(ends, [row, row], color=INK, linestyle="", marker="|", markersize=6, clip_on=False, zorder=4)
    axes.text(102, row, f"{share.value * 100:.1f}", va="center", ha="left", fontsize=TEXT, color=INK, clip_on=False)


def _list_parts() -> list[Any]:
    """The legend's entries."""
    from matplotlib.patches import Patch

    return [Patch(label=part, **_describe_look(part)) for part in PARTS]
