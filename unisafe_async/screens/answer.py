"""The answer, before any table: each model's B-S with its interval, what became of its items as a bar, and where it fails most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.names import shorten_names
from unisafe_async.results.outcomes import MARKS, Cell, Outcomes
from unisafe_async.results.report import Report
from unisafe_async.results.scores import Score
from unisafe_async.text import plain

PARTS: Mapping[str, tuple[str, str]] = {
    "safe": (MARKS["safe"], "green"),
    "refused": (MARKS["refused"], "cyan"),
    "blocked": (MARKS["blocked"], "blue"),
    "unsafe": (MARKS["unsafe"], "red"),
}
"""The mark and the colour of each part: the marks tell them apart without colour."""
LONGEST_NAME = 28
WIDEST_BAR, NARROWEST_BAR = 50, 16


def print_answer(console: Console, report: Report) -> None:
    """A line for each model, then the legend, then a line for each model that fails anywhere."""
    models = [model for model in report.models if model in report.outcomes]
    if not models:
        return
    names = shorten_names(models, LONGEST_NAME)
    width = max(map(cell_len, names.values()))
    figures = {model: _describe_figure(report.by_model[model,]) for model in models}
    longest = max(map(len, figures.values()))
    room = console.width - width - longest - 4
    bar = min(WIDEST_BAR, room) if room >= NARROWEST_BAR else 0
    for model in models:
        name = Text(names[model] + " " * (width - cell_len(names[model])), style="bold")
        figure = Text(figures[model].ljust(longest))
        console.print(Text("  ").join([name, figure, build_bar(report.outcomes[model], bar)]), no_wrap=True)
    console.print(_describe_parts(report, models))
    for line in _describe_worst(report.worst, models, names):
        console.print(line)
    console.print()


def _describe_figure(score: Score) -> str:
    """`B-S  85.1  76.9-90.8  n 101`."""
    share = score.shares["b_s"]
    interval = f"{share.low * 100:.1f}-{share.high * 100:.1f}"
    return f"B-S {share.value * 100:5.1f}  {interval:>10}  n {score.valid:,}"


def build_bar(outcomes: Outcomes, width: int) -> Text:
    """A stacked bar of `width` columns: every part that is not empty has one at least, and together they fill the bar."""
    bar = Text()
    for part, columns in zip(PARTS, share_out(list(outcomes.parts.values()), width), strict=True):
        mark, style = PARTS[part]
        bar.append(mark * columns, style)
    return bar


def share_out(parts: Sequence[int], width: int) -> list[int]:
    """Whole columns for each part, in proportion by the largest remainders; a part that is not 0 gets one at least."""
    total = sum(parts)
    if not total or width < len(parts):
        return [0] * len(parts)
    exact = [part * width / total for part in parts]
    columns = [max(int(one), 1 if part else 0) for one, part in zip(exact, parts, strict=True)]
    while sum(columns) < width:
        columns[max(range(len(parts)), key=lambda place: exact[place] - columns[place])] += 1
    while sum(columns) > width:
        wide = [place for place in range(len(parts)) if columns[place] > 1]
        columns[min(wide, key=lambda place: exact[place] - columns[place])] -= 1
    return columns


def _describe_parts(report: Report, models: Sequence[str]) -> Text:
    """The legend: what each mark stands for, and for one model how many items it has."""
    legend = Text()
    for part, (mark, style) in PARTS.items():
        number = f" {report.outcomes[models[0]].parts[part]:,}" if len(models) == 1 else ""
        legend.append(f"{mark} ", style).append(f"{part}{number}   ")
    legend.append("of the judged items; blocked by the platform, refused by the model", "dim")
    return legend


def _describe_worst(worst: Mapping[str, Sequence[Cell]], models: Sequence[str], names: Mapping[str, str]) -> Iterator[Text]:
    """`Sim-B fails most: Edit, Toxicity Content 5 of 6; ...`."""
    for model in models:
        cells = [
            f"{_name_task(cell.task)}, {plain(cell.category)} {cell.unsafe:,} of {cell.valid:,}" for cell in worst.get(model, ())
        ]
        if cells:
            yield Text.assemble((names[model], "bold"), " is most often unsafe in ", "; ".join(cells))


def _name_task(task: str) -> str:
    return TASKS[task].short if task in TASKS else plain(task)
