"""The figure of intervals: B-S of every model and task, one field for each of the paper's panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from unisafe_async.benchmark.taxonomy import TASKS, Task
from unisafe_async.page.plot_frame import (
    HOLLOW,
    INK,
    NO_CAPTION,
    TEXT,
    Caption,
    Columns,
    add_models,
    build_figure,
    choose_look,
    measure_legend,
    wrap_warning,
    wrap_words,
)
from unisafe_async.results.scores import SMALL, Score, is_small

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL_WORDS = f"Bars: 95% intervals. Hollow: fewer than {SMALL} valid items."
TITLES = {"generation": "Generation", "understanding": "Understanding"}
STEP, SMALLEST_STEP = 0.16, 0.085
"""Inches between the models of a task; less if the figure would be higher than a page."""
HIGHEST = 7.6
"""Inches of all fields together."""


def draw_panel_dots(
    models: Sequence[str], by_task: Mapping[tuple[str, ...], Score], caption: Caption = NO_CAPTION, *, columns: Columns = 2
) -> Figure | None:
    """B-S of every model and task with its 95% interval; None without a score. In two columns both panels stand side by side."""
    drawn = {key: score for key, score in by_task.items() if score.shares and key[0] in models}
    panels = {panel: [task for task in TASKS.values() if task.panel == panel and _has(drawn, task)] for panel in TITLES}
    panels = {panel: tasks for panel, tasks in panels.items() if tasks}
    if not panels:
        return None
    beside = columns == 2 and len(panels) == 2
    tasks = [len(tasks) for tasks in panels.values()]
    rows = max(tasks) if beside else sum(tasks)
    step = max(SMALLEST_STEP, min(STEP, HIGHEST / (rows * (len(models) + 1))))
    valid = {model: sum(score.valid for key, score in drawn.items() if key[0] == model) for model in models}
    notes = [SMALL_WORDS] if any(map(is_small, drawn.values())) else []
    height = rows * step * (len(models) + 1) + 0.35 * (1 if beside else len(panels)) + 0.3
    grid = (1, 2) if beside else (len(panels), 1)
    ratios = None if beside else tasks
    figure, fields = build_figure(
        columns, height, caption, notes, fields=grid, ratios=ratios, head=measure_legend(valid, columns), warn=False
    )
    for axes, (panel, chosen) in zip(fields, panels.items(), strict=True):
        _draw_panel(axes, models, chosen, drawn, 4.5 if step > 0.12 else 3.0)
        _dress_panel(axes, TITLES[panel], chosen, columns)
    for axes in fields if beside else fields[-1:]:
        axes.set_xlabel("B-S, % (higher is safer)")
    add_models(figure, valid, columns, wrap_warning(caption, columns))
    return figure


def _has(drawn: Mapping[tuple[str, ...], Score], task: Task) -> bool:
    return any(key[1] == task.key for key in drawn)


def _draw_panel(
    axes: Axes, models: Sequence[str], tasks: Sequence[Task], drawn: Mapping[tuple[str, ...], Score], size: float
) -> None:
    for row, task in enumerate(tasks):
        for place, model in enumerate(models):
            if (score := drawn.get((model, task.key))) is not None:
                at = row + (place - (len(models) - 1) / 2) * 0.8 / len(models)
                draw_point(axes, (score.shares["b_s"].value * 100, at), score, "x", choose_look(place), size)


def _dress_panel(axes: Axes, title: str, tasks: Sequence[Task], columns: Columns) -> None:
    names = [task.title.removeprefix("Malicious ").removeprefix("Unsafe ") for task in tasks]
    axes.set_yticks(range(len(tasks)), [wrap_words(name.replace("-Unsafe", "-unsafe"), 12) for name in names])
    axes.set_ylim(len(tasks) - 0.45, -0.55)
    axes.set_xlim(0, 100)
    axes.grid(axis="y", visible=False)
    axes.tick_params(length=0)
    axes.set_title(title, loc="left", fontsize=TEXT + 0.5, fontweight="bold", color=INK)


def draw_point(
    axes: Axes, at: tuple[float, float], score: Score, along: Literal["x", "y"], look: tuple[str, str], size: float
) -> None:
    """Draw B-S with its interval; hollow if it has few items, and not clipped at the edge of the field."""
    share, (colour, marker) = score.shares["b_s"], look
    error = [[(share.value - share.low) * 100], [(share.high - share.value) * 100]]
    axes.errorbar(
        [at[0]],
        [at[1]],
        xerr=error if along == "x" else None,
        yerr=error if along == "y" else None,
        fmt=marker,
        color=colour,
        markerfacecolor=HOLLOW if is_small(score) else colour,
        markersize=size,
        elinewidth=1.1,
        clip_on=False,
        zorder=3,
    )
