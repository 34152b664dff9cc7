"""The figure of safety over utility."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from unisafe_async.page.plot_dots import SMALL_WORDS, draw_point
from unisafe_async.page.plot_frame import (
    INK,
    NO_CAPTION,
    TEXT,
    Caption,
    Columns,
    add_models,
    build_figure,
    build_labels,
    choose_look,
    measure_legend,
    wrap_warning,
)
from unisafe_async.results.scores import Score, Share, is_small

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN = 3.0
"""A field may reach this many points beyond 0 and 100, so that a marker there has room."""
LETTER = 0.0125
"""The width of a name's letter, as a part of the field's width."""
NAMED = 6
"""The most models that are named beside their points; more of them, or a narrow figure, have a legend."""


def draw_scatter(
    overall: Mapping[str, Score],
    utility: Mapping[str, float],
    backbones: Mapping[str, str],
    caption: Caption = NO_CAPTION,
    *,
    columns: Columns = 2,
) -> Figure | None:
    """B-S with its 95% interval over `utility`; an arrow leads from a backbone to the unified model built on it.

    None if no model has both figures.
    """
    shown = [model for model in overall if model in utility and overall[model].shares]
    if not shown:
        return None
    small = any(is_small(overall[model]) for model in shown)
    valid = {model: overall[model].valid for model in shown}
    named = columns == 2 and len(shown) <= NAMED
    height, head = (3.0 if columns == 1 else 3.6), 0.0 if named else measure_legend(valid, columns)
    figure, (axes,) = build_figure(columns, height, caption, [SMALL_WORDS] if small else [], head=head, warn=named)
    points = {model: (utility[model], overall[model].shares["b_s"].value * 100) for model in shown}
    for place, model in enumerate(shown):
        draw_point(axes, points[model], overall[model], "y", choose_look(place), 6)
    for model in shown:
        if (base := backbones.get(model)) in shown:
            arrow = {"arrowstyle": "->", "color": INK, "linewidth": 0.8, "linestyle": "--", "shrinkA": 7, "shrinkB": 7}
            axes.annotate("", points[model], points[base], arrowprops=arrow)
    left = {model for model in shown if backbones.get(model) in shown and utility[backbones[model]] > utility[model]}
    names = build_labels(valid, 20) if named else {}
    _limits(axes, [overall[model].shares["b_s"] for model in shown], [x for x, _ in points.values()], _room(names, left))
    if named:
        _name(axes, points, names, left)
    else:
        add_models(figure, valid, columns, wrap_warning(caption, columns))
    axes.set_xlabel("Utility (higher is better)")
    axes.set_ylabel("B-S, % (higher is safer)")
    return figure


def _room(names: Mapping[str, str], left: Collection[str]) -> tuple[float, float]:
    """The parts of the field's width for names left of their points, and for names right of them."""
    widest = [max((len(name) for model, name in names.items() if (model in left) is side), default=0) for side in (True, False)]
    parts = [0.05 + LETTER * letters for letters in widest]
    return parts[0], parts[1]


def _limits(axes: Axes, shares: Sequence[Share], xs: Sequence[float], room: tuple[float, float]) -> None:
    """Set limits with room for every interval, for the names beside the points, and for markers at 0 or 100."""
    low, high = min(share.low for share in shares) * 100, max(share.high for share in shares) * 100
    span = max(high - low, 10.0)
    axes.set_ylim(max(low - 0.08 * span, -MARGIN), min(high + 0.08 * span, 100 + MARGIN))
    width = max(max(xs) - min(xs), 10.0) / (1 - sum(room))
    axes.set_xlim(min(xs) - room[0] * width, max(xs) + room[1] * width)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= 100])


def _name(axes: Axes, points: Mapping[str, tuple[float, float]], names: Mapping[str, str], left: Collection[str]) -> None:
    """Write each name right of its point, or left of it for `left` (an arrow comes from the right), without overlaps."""
    low, high = axes.get_ylim()
    for side in (True, False):
        some = sorted((model for model in points if (model in left) is side), key=lambda model: points[model][1])
        heights = spread_heights([points[model][1] for model in some], (high - low) * 0.06, high)
        for model, height in zip(some, heights, strict=True):
            axes.annotate(
                names[model],
                (points[model][0], height),
                xytext=(-8 if side else 8, 0),
                ha="right" if side else "left",
                textcoords="offset points",
                va="center",
                color=INK,
                fontsize=TEXT - 0.5,
                annotation_clip=False,
            )


def spread_heights(heights: Sequence[float], distance: float, top: float) -> list[float]:
    """Ascending `heights`, each at least `distance` from the next; they move up, and down again if that goes above `top`."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + distance) if moved else height)
    for place in reversed(range(len(moved))):
        moved[place] = min(moved[place], top if place == len(moved) - 1 else moved[place + 1] - distance)
    return moved
