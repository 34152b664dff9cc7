"""Figures by matplotlib: safety over utility, and the panels as dots with intervals; files for papers, SVG for the page."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unisafe_async.benchmark.taxonomy import TASKS, Task
from unisafe_async.names import shorten_names
from unisafe_async.results.scores import SMALL, Score, Share, is_small
from unisafe_async.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SERIES = ("#2f6fb5", "#c2621b", "#2e8b62", "#8a5cc4", "#b8436d", "#7d7a1f", "#3f8f9c", "#8c6d5a")
"""Colours of models, in their order; each is readable on white and on black."""

INK, GRID, WARNING, HOLLOW = "#3a3a3c", "#d9d9de", "#a8261d", "#ffffff"
MARGIN = 3.0
"""A field may reach this many points beyond 0 and 100, so that a marker there has room."""
LETTER = 0.0125
"""The width of a name's letter, as a part of the field's width."""
WARNED = {"size": 8.5, "weight": "bold"}
SMALL_WORDS = f"Bars: 95% intervals. Hollow: fewer than {SMALL} valid items."
SVG_KEYS = ("Title", "Source", "Creator", "Description")
TITLES = {"generation": "Generation", "understanding": "Understanding"}
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "svg.hashsalt": "unisafe-async",
    "savefig.transparent": True,
}


@dataclass(frozen=True, slots=True)
class Caption:
    """The caption of a figure: a warning above it and lines below it, as plain text."""

    warning: str = ""
    lines: tuple[str, ...] = ()


def draw_scatter(
    overall: Mapping[str, Score], utility: Mapping[str, float], backbones: Mapping[str, str], caption: Caption = Caption()
) -> Figure | None:
    """B-S with its 95% interval over `utility`; an arrow leads from a backbone to the unified model built on it.

    None if no model has both figures.
    """
    shown = [model for model in overall if model in utility and overall[model].shares]
    if not shown:
        return None
    small = any(is_small(overall[model]) for model in shown)
    figure, axes = _figure(6.4, 4.0, caption, small=small)
    if caption.warning:
        figure.suptitle(_wrap(caption.warning, 92), x=0.01, ha="left", color=WARNING, **WARNED)
    points = {model: (utility[model], overall[model].shares["b_s"].value * 100) for model in shown}
    for place, model in enumerate(overall):
        if model in points:
            _point(axes, points[model], overall[model], "y", SERIES[place % len(SERIES)], 6)
    for model in shown:
        if (base := backbones.get(model)) in shown:
            arrow = {"arrowstyle": "->", "color": INK, "linewidth": 0.8, "linestyle": "--", "shrinkA": 7, "shrinkB": 7}
            axes.annotate("", points[model], points[base], arrowprops=arrow)
    left = {model for model in shown if backbones.get(model) in shown and utility[backbones[model]] > utility[model]}
    names = _build_labels({model: overall[model].valid for model in shown}, 20)
    _limits(axes, [overall[model].shares["b_s"] for model in shown], [x for x, _ in points.values()], _room(names, left))
    _name(axes, points, names, left)
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
        heights = spread_heights([points[model][1] for model in some], (high - low) * 0.055, high)
        for model, height in zip(some, heights, strict=True):
            axes.annotate(
                names[model],
                (points[model][0], height),
                xytext=(-8 if side else 8, 0),
                ha="right" if side else "left",
                textcoords="offset points",
                va="center",
                color=INK,
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


def draw_panel_dots(models: Sequence[str], by_task: Mapping[tuple[str, ...], Score], caption: Caption = Caption()) -> Figure | None:
    """B-S of every model and task with its 95% interval, one field for each of the paper's panels; None without a score."""
    drawn = {key: score for key, score in by_task.items() if score.shares and key[0] in models}
    panels = {panel: [task for task in TASKS.values() if task.panel == panel and _has(drawn, task)] for panel in TITLES}
    panels = {panel: tasks for panel, tasks in panels.items() if tasks}
    if not panels:
        return None
    rows = sum(map(len, panels.values()))
    size = (6.4, rows * (0.16 * len(models) + 0.16) + 0.55 * len(panels) + 0.5)
    small = any(map(is_small, drawn.values()))
    figure, fields = _figure(*size, caption, len(panels), [len(tasks) for tasks in panels.values()], small=small)
    for axes, (panel, tasks) in zip(fields if len(panels) > 1 else [fields], panels.items(), strict=True):
        for row, task in enumerate(tasks):
            for place, model in enumerate(models):
                if (score := drawn.get((model, task.key))) is not None:
                    at = row + (place - (len(models) - 1) / 2) * 0.8 / len(models)
                    _point(axes, (score.shares["b_s"].value * 100, at), score, "x", SERIES[place % len(SERIES)], 4.5)
        _panel_axes(axes, TITLES[panel], tasks)
    axes.set_xlabel("B-S, % (higher is safer)")
    _legend(figure, {model: sum(score.valid for key, score in drawn.items() if key[0] == model) for model in models}, caption)
    return figure


def _has(drawn: Mapping[tuple[str, ...], Score], task: Task) -> bool:
    return any(key[1] == task.key for key in drawn)


def _panel_axes(axes: Axes, title: str, tasks: Sequence[Task]) -> None:
    axes.set_yticks(range(len(tasks)), [task.title.removeprefix("Malicious ").removeprefix("Unsafe ") for task in tasks])
    axes.set_ylim(len(tasks) - 0.45, -0.55)
    axes.set_xlim(0, 100)
    axes.grid(axis="y", visible=False)
    axes.tick_params(length=0)
    axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=INK)


def _legend(figure: Figure, valid: Mapping[str, int], caption: Caption) -> None:
    """Each model's colour, name and valid items, below the warning."""
    from matplotlib.lines import Line2D

    names = list(_build_labels(valid, 26).values())
    dots = [
        Line2D([], [], marker="o", linestyle="", color=SERIES[place % len(SERIES)], label=name, markersize=5)
        for place, name in enumerate(names)
    ]
    legend = figure.legend(
        handles=dots,
        loc="outside upper left",
        ncols=max(1, min(len(names), 3, 84 // (max(map(len, names)) + 4))),
        frameon=False,
        labelcolor=INK,
        alignment="left",
        title=_wrap(caption.warning, 92) or None,
        title_fontproperties=WARNED,
    )
    legend.get_title().set_color(WARNING)


def _point(axes: Axes, at: tuple[float, float], score: Score, along: Literal["x", "y"], colour: str, size: float) -> None:
    """Draw B-S with its interval; hollow if it has few items, and not clipped at the edge of the field."""
    share = score.shares["b_s"]
    error = [[(share.value - share.low) * 100], [(share.high - share.value) * 100]]
    axes.errorbar(
        [at[0]],
        [at[1]],
        xerr=error if along == "x" else None,
        yerr=error if along == "y" else None,
        fmt="o",
        color=colour,
        markerfacecolor=HOLLOW if is_small(score) else colour,
        markersize=size,
        elinewidth=1.1,
        clip_on=False,
        zorder=3,
    )


def _figure(
    width: float, height: float, caption: Caption, rows: int = 1, ratios: Sequence[float] | None = None, *, small: bool = False
) -> tuple[Figure, Any]:
    """A figure that is higher by the lines below it. `small` says that there are hollow points."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    lines = [*([SMALL_WORDS] if small else []), *caption.lines]
    words = "\n".join(_wrap(line, 116) for line in lines)
    height += 0.13 * (words.count("\n") + 1 if words else 0) + (0.2 if caption.warning else 0)
    with rc_context(STYLE):
        figure = Figure((width, height), layout="constrained")
        fields = figure.subplots(rows, 1, height_ratios=ratios) if rows > 1 else figure.subplots()
        if words:
            figure.supxlabel(words, x=0.01, ha="left", fontsize=7, color=INK)
    return figure, fields


def _wrap(words: str, width: int) -> str:
    """One paragraph of plain text in lines of at most `width` characters."""
    return "\n".join(textwrap.wrap(_escape(words), width))


def _escape(text: str) -> str:
    """Plain text on one line that matplotlib does not take for mathematics."""
    return " ".join(plain(text).split()).replace("$", r"\$")


def _build_labels(valid: Mapping[str, int], width: int) -> dict[str, str]:
    """`Name (n 101)` of each model, its name in at most `width` characters; two never look the same."""
    return {model: f"{_escape(name)} (n {valid[model]:,})" for model, name in shorten_names(valid, width).items()}


@contextmanager
def silence_font_warnings() -> Iterator[None]:
    """Inside the block, matplotlib does not warn of characters that the font lacks; they become boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        yield


def save(figure: Figure, file: Path, kind: Literal["png", "svg"], title: str, metadata: Mapping[str, str]) -> None:
    """Write a figure for a paper: PNG at 300 dots an inch, or SVG with text as paths; the same figures give the same bytes.

    `metadata` stands in the file: texts by keyword in PNG; of them SVG takes its `Source`, `Creator` and `Description`.
    """
    from matplotlib import rc_context

    known: dict[str, str | None] = {"Title": title, **metadata}
    if kind == "svg":
        known = {key: known.get(key) for key in (*SVG_KEYS, "Date")}
    with rc_context(STYLE), silence_font_warnings():
        figure.savefig(file, format=kind, dpi=300, metadata=known, transparent=False, facecolor="white")
