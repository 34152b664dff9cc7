"""The paper's two panels and the overall scores, as rich tables that also read well at 80 columns and in a pipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from unisafe_async.benchmark.measures import MEASURES
from unisafe_async.benchmark.taxonomy import PANELS, TASKS, Task
from unisafe_async.results.scores import BETTER, SCORES, SMALL, TITLES, Score, has_thoughts, is_small
from unisafe_async.screens.fitting import Build, fit_table

LEGEND = "{}; per cent of the valid items".format(
    " · ".join(f"{one.title} {one.meaning}{f' ({one.direction})' if one.direction else ''}" for one in MEASURES)
)
THOUGHTS = "T-U"
THOUGHTS_WORDS = f"{THOUGHTS} thoughts judged unsafe (lower is better), of items whose thoughts were judged; no part of the scores"
BEST, WORST, SMALL_MARK = "●", "○", "~"
SMALL_WORDS = f"{SMALL_MARK}: fewer than {SMALL} valid items"

WIDTH = 8
"""Columns of a score in the wide table."""
ONE_LINE = 124
"""From this width on, a score and its interval fit on one line."""

Scores = Mapping[tuple[str, ...], Score]


def describe_letters(models: Sequence[str], by_task: Scores, by_model: Scores, by: Scores, *, comparable: bool = True) -> str:
    """Explains the letters of the tables, and the marks that are on the screen; arguments as for the tables."""
    compared = [[by_task.get((model, task)) for model in models] for _, task in by_task]
    overall = [by_model.get((model,)) for model in models]
    compared += [overall] if comparable else []
    cells = [*(cell for column in compared for cell in column), *overall]
    cells += [by.get((model, value)) for _, value in by for model in models]
    said = [LEGEND]
    if has_thoughts([*by_task.values(), *by_model.values()]):
        said.append(THOUGHTS_WORDS)
    if any(cell is None or not cell.shares for cell in cells):
        said.append("- no such output")
    if any(mark.strip() for column in compared for name in SCORES for mark in choose_marks(column, name)):
        said.append(f"{BEST} best and {WORST} worst of the column")
    few = any(cell is not None and "t_u" in cell.beside and cell.beside["t_u"].of < SMALL for cell in by_model.values())
    if few or any(cell is not None and is_small(cell) for cell in cells):
        said.append(SMALL_WORDS)
    return " · ".join(said)


def format_thoughts(score: Score | None, interval: str = "") -> Text:
    """`12.5 (of 16)`, and the interval after `interval`; `-` if no thoughts were judged."""
    found = score.beside.get("t_u") if score else None
    if found is None:
        return Text("- ", style="dim", justify="right")
    few = found.of < SMALL
    text = Text(justify="right")
    between = interval or " "
    text.append(f"{SMALL_MARK if few else ''}{found.share.value * 100:.1f}{between}(of {found.of:,})")
    if interval:
        text.append(f"{interval}{found.share.low * 100:.1f}-{found.share.high * 100:.1f}", "dim")
    return text


def choose_marks(column: Sequence[Score | None], name: str) -> list[str]:
    """The best and the worst value of a column, as printed (ties share a mark); no mark if no end is better or all are equal."""
    printed = [round(one.shares[name].value * 100, 1) * BETTER[name] if one and one.shares else None for one in column]
    values = {value for value in printed if value is not None}
    if not BETTER[name] or len(values) < 2:
        return [" "] * len(printed)
    ends = {max(values): BEST, min(values): WORST}
    return [" " if value is None else ends.get(value, " ") for value in printed]


def format_percent(score: Score | None, name: str, mark: str = " ", interval: str = "") -> Text:
    """One score in per cent with its mark, and its interval after `interval` (a space or a line break); `-` without a score."""
    if score is None or not score.shares:
        return Text("- ", style="dim", justify="right")
    share, small = score.shares[name], is_small(score)
    style = {BEST: "green", WORST: "red"}.get(mark, "") + (" bold" if name == "b_s" else "")
    text = Text(justify="right")
    text.append(f"{SMALL_MARK if small else ''}{share.value * 100:.1f}{mark}", style.strip())
    if interval:
        text.append(f"{interval}{share.low * 100:.1f}-{share.high * 100:.1f}", "dim")
    return text


def _mark(models: Sequence[str], found: Scores, *rest: str) -> dict[tuple[str, str], str]:
    """The mark of each model and score in the columns of one task, or overall."""
    column = [found.get((model, *rest)) for model in models]
    return {(model, name): mark for name in SCORES for model, mark in zip(models, choose_marks(column, name), strict=True)}


def build_panels(console: Console, models: Sequence[str], by_task: Scores, *, intervals: bool = False) -> Group:
    """Both panels for `models`, in that order; `by_task` holds scores by (model, task)."""
    shown: list[RenderableType] = []
    for panel, title in PANELS.items():
        tasks = [task for task in TASKS.values() if task.panel == panel]
        tasks = [task for task in tasks if any((model, task.key) in by_task for model in models)]
        if tasks:
            between = "" if not intervals else " " if console.width >= ONE_LINE else "\n"
            narrow = partial(_narrow, models, tasks, by_task, between)
            builds: list[Build] = [narrow] if intervals else [partial(_wide, models, tasks, by_task), narrow]
            shown += [Text(title, style="bold"), fit_table(console, models, *builds), Text("")]
    return Group(*shown)


def _wide(models: Sequence[str], tasks: Sequence[Task], by_task: Scores, names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("\nModel", no_wrap=True)
    thinking = {task.key for task in tasks if has_thoughts(by_task.get((model, task.key)) for model in models)}
    for task in tasks:
        table.add_column(_write_heading(task.short), no_wrap=True)
        if task.key in thinking:
            table.add_column(Text(f"\n{THOUGHTS} ", justify="right"), justify="right", no_wrap=True, min_width=13)
    marked = {task.key: _mark(models, by_task, task.key) for task in tasks}
    for model in models:
        cells: list[Text] = []
        for task in tasks:
            score = by_task.get((model, task.key))
            cells.append(_join_scores([format_percent(score, name, marked[task.key][model, name]) for name in SCORES]))
            cells += [format_thoughts(score)] if task.key in thinking else []
        table.add_row(names[model], *cells)
    return table


def _write_heading(title: str) -> Text:
    """A task's title over the names of its scores, with a rule on both sides."""
    whole = WIDTH * len(SCORES)
    names = "".join(f"{TITLES[name]} ".rjust(WIDTH) for name in SCORES)
    return Text(f"  {f' {title} ':─^{whole - 3}} \n{names}")


def _join_scores(cells: Sequence[Text]) -> Text:
    """The four scores of a task side by side, each in WIDTH columns."""
    return Text().join(Text(" " * (WIDTH - cell.cell_len)) + cell for cell in cells)


def _narrow(models: Sequence[str], tasks: Sequence[Task], by_task: Scores, interval: str, names: Mapping[str, Text]) -> Table:
    """One row for each model and task: fits 80 columns and less."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("Model", no_wrap=True)
    table.add_column("Task", no_wrap=True)
    thinking = has_thoughts(by_task.get((model, task.key)) for model in models for task in tasks)
    _score_columns(table, thinking=thinking)
    marked = {task.key: _mark(models, by_task, task.key) for task in tasks}
    for model in models:
        if not any((model, task.key) in by_task for task in tasks):
            table.add_row(names[model], Text("none of these", style="dim"), end_section=True)
            continue
        for index, task in enumerate(tasks):
            score = by_task.get((model, task.key))
            table.add_row(
                names[model] if not index else "",
                task.short,
                _valid(score),
                *(format_percent(score, name, marked[task.key][model, name], interval) for name in SCORES),
                *([format_thoughts(score, interval)] if thinking else []),
                end_section=index == len(tasks) - 1,
            )
    return table


def build_overall(
    console: Console, models: Sequence[str], by_model: Scores, *, intervals: bool = False, comparable: bool = True
) -> RenderableType:
    """Each model's scores over all its tasks, weighted by items; with the interval of B-S, or of all scores on demand.

    Best and worst are marked only if the models are `comparable`: all were asked the same tasks.
    """
    between = dict.fromkeys(SCORES, (" " if console.width >= ONE_LINE else "\n") if intervals else "")
    marked = _mark(models if comparable else (), by_model)

    def build(names: Mapping[str, Text]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        table.add_column("Model", no_wrap=True)
        thinking = has_thoughts(by_model.values())
        _score_columns(table, thinking=thinking, interval=not intervals)
        for model in models:
            score = by_model.get((model,))
            cells = [format_percent(score, name, marked.get((model, name), " "), between[name]) for name in SCORES]
            cells += [] if intervals else [_interval(score)]
            cells += [format_thoughts(score, between[SCORES[0]])] if thinking else []
            table.add_row(names[model], _valid(score), *cells)
        return table

    return fit_table(console, models, build)


def _interval(score: Score | None) -> Text:
    """The 95% interval of B-S."""
    share = score.shares.get("b_s") if score is not None else None
    return Text(f"{share.low * 100:.1f}-{share.high * 100:.1f}" if share is not None else "-")


def _score_columns(table: Table, *, thinking: bool = False, interval: bool = False) -> None:
    table.add_column("n", justify="right", no_wrap=True)
    for name in SCORES:
        table.add_column(f"{TITLES[name]} ", justify="right", no_wrap=True)
    if interval:
        table.add_column("B-S, 95%", justify="right", no_wrap=True)
    if thinking:
        table.add_column(f"{THOUGHTS} ", justify="right", no_wrap=True)


def _valid(score: Score | None) -> Text:
    return Text(f"{score.valid:,}" if score else "-", style="dim", justify="right")
