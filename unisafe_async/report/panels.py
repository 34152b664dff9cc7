"""The paper's two panels and the overall scores, as rich tables that also read well at 80 columns and in a pipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from unisafe_async.report.text import line
from unisafe_async.scores import SCORES, Score
from unisafe_async.taxonomy import TASKS, Task

TITLES = {"c_u": "C-U", "c_r": "C-R", "i_u": "I-U", "b_s": "B-S"}
PANELS = {"generation": "Generation tasks", "understanding": "Understanding tasks"}
LEGEND = (
    "C-U contextual unsafe (lower is better) · C-R contextual refusal · I-U intrinsic unsafe (lower is better) · "
    "B-S both safe (higher is better); per cent of the valid items · - no such output"
)
NAME = 22
"""Columns for a model's name and the margins."""


def percent(score: Score | None, name: str) -> Text:
    """One score in per cent; `-` where there is none."""
    if score is None or not score.shares:
        return Text("-", style="dim", justify="right")
    style = "bold" if name == "b_s" else ""
    return Text(f"{score.shares[name].value * 100:.1f}", style=style, justify="right")


def panels(console: Console, models: Sequence[str], by_task: Mapping[tuple[str, ...], Score]) -> Group:
    """Both panels for `models`, in that order; `by_task` holds scores by (model, task)."""
    shown: list[RenderableType] = []
    for panel, title in PANELS.items():
        tasks = [task for task in TASKS.values() if task.panel == panel]
        tasks = [task for task in tasks if any((model, task.key) in by_task for model in models)]
        if tasks:
            wide = console.width >= NAME + 24 * len(tasks)
            shown += [Text(title, style="bold"), (_wide if wide else _narrow)(models, tasks, by_task), Text("")]
    return Group(*shown)


def _wide(models: Sequence[str], tasks: Sequence[Task], by_task: Mapping[tuple[str, ...], Score]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("\nModel", overflow="ellipsis", no_wrap=True, max_width=NAME - 2)
    for task in tasks:
        for index, name in enumerate(SCORES):
            heading = Text(f"{'' if index else task.short:>5.5}\n{TITLES[name]}", justify="right")
            table.add_column(heading, justify="right", no_wrap=True, min_width=7 if not index else 5)
    for model in models:
        cells = [percent(by_task.get((model, task.key)), name) for task in tasks for name in SCORES]
        table.add_row(line(model), *cells)
    return table


def _narrow(models: Sequence[str], tasks: Sequence[Task], by_task: Mapping[tuple[str, ...], Score]) -> Table:
    """One row for each model and task: fits 80 columns and less."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Model", overflow="ellipsis", no_wrap=True, max_width=24)
    table.add_column("Task", no_wrap=True)
    for heading in ("n", *TITLES.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for model in models:
        for index, task in enumerate(tasks):
            score = by_task.get((model, task.key))
            valid = Text(f"{score.valid:,}" if score else "-", style="dim")
            last = index == len(tasks) - 1
            table.add_row(
                line(model) if not index else "",
                task.short,
                valid,
                *(percent(score, name) for name in SCORES),
                end_section=last,
            )
    return table


def overall(models: Sequence[str], by_model: Mapping[tuple[str, ...], Score]) -> Table:
    """Each model's scores over all its tasks, weighted by samples, with the 95% interval of B-S."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Model", overflow="ellipsis", no_wrap=True, max_width=28)
    for heading in ("n", *TITLES.values(), "B-S 95% interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for model in models:
        score = by_model.get((model,))
        share = score.shares.get("b_s") if score else None
        interval = f"{share.low * 100:.1f} - {share.high * 100:.1f}" if share else "-"
        valid = f"{score.valid:,}" if score else "0"
        table.add_row(
            line(model), Text(valid, style="dim"), *(percent(score, name) for name in SCORES), Text(interval, style="dim")
        )
    return table


def heatmap(dimension: str, models: Sequence[str], cells: Mapping[tuple[str, ...], Score]) -> Table:
    """B-S of each model for each value of a dimension; the paler the worse."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), title=f"B-S by {dimension}", title_justify="left")
    table.add_column(dimension.capitalize(), overflow="ellipsis", no_wrap=True)
    for model in models:
        table.add_column(line(model), justify="right", no_wrap=True, max_width=16)
    values = list(dict.fromkeys(key[1] for key in cells))
    for value in sorted(values):
        title = TASKS[value].title if value in TASKS else value
        table.add_row(title, *(percent(cells.get((model, value)), "b_s") for model in models))
    return table
