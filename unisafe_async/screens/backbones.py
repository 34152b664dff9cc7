"""`compare --backbone`: the cost of unification, each unified model beside its backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unisafe_async.results.comparison import Unification
from unisafe_async.results.paper import OVERALL
from unisafe_async.results.probabilities import format_both
from unisafe_async.results.scores import SCORES, TITLES
from unisafe_async.screens.differences import change, describe_method, format_interval, format_share, task_title
from unisafe_async.screens.fitting import fit_table
from unisafe_async.text import count, plain


def print_backbones(console: Console, run: str, found: Sequence[Unification]) -> None:
    """Each unified model against its backbone: scores with arrows as in the paper, then a sentence for each."""
    said = f"  run {run}, each model against its backbone on the same items"
    console.print(Text.assemble(("The cost of unification", "bold"), (said, "dim")))
    console.print()
    compared = [one for one in found if one.paired]
    if compared:
        names = [name for one in compared for name in (one.model, one.backbone)]
        console.print(fit_table(console, names, partial(_build_table, compared, " " if console.width >= 100 else "\n")))
        shown = [difference for one in compared if one.paired for difference in one.paired.differences]
        told = [one.paired.overall["b_s"] for one in compared if one.paired]
        console.print(Text(describe_method(shown, told, arrows=True), style="dim"))
        console.print()
    for one in found:
        console.print(_cost(one))
    if not found:
        words = "No model of this run names a `backbone` in bench.toml; add it to each unified model and run again."
        console.print(Text(words, style="yellow"))


def _build_table(compared: Sequence[Unification], between: str, names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Model", no_wrap=True)
    table.add_column("Task", no_wrap=True)
    table.add_column("pairs", justify="right", no_wrap=True)
    for name in SCORES:
        table.add_column(f"{TITLES[name]} ", justify="right", no_wrap=True)
    for one in compared:
        _add_backbone(table, one, between, names)
    return table


def _add_backbone(table: Table, one: Unification, between: str, names: Mapping[str, Text]) -> None:
    pair = one.paired
    assert pair is not None
    tasks = [*pair.tasks, *((OVERALL,) if len(pair.tasks) > 1 else ())]
    title = Text.assemble(names[one.model], "\n", (f"on {names[one.backbone]}", "dim"))
    for index, task in enumerate(tasks):
        cells = []
        for name in SCORES:
            difference = pair.of(task, name)
            assert difference is not None
            cells.append(Text.assemble(format_share(difference.first, difference.pairs), between, change(difference)))
        pairs = pair.of(task, "b_s")
        assert pairs is not None
        table.add_row(
            "" if index else title,
            task_title(task),
            Text(f"{pairs.pairs:,}", style="dim"),
            *cells,
            end_section=index == len(tasks) - 1,
        )


def _cost(one: Unification) -> Text:
    """What unification cost this model, or why we cannot say it."""
    model, backbone = plain(one.model), plain(one.backbone)
    if one.paired is None:
        return Text.assemble((f"{model}: ", "bold"), (f"not compared: {plain(one.why)}", "yellow"))
    b_s = one.paired.overall["b_s"]
    points = abs(b_s.difference) * 100
    way = "level with" if not round(points, 1) else f"{points:.1f} points {'below' if b_s.difference < 0 else 'above'}"
    sure = "" if b_s.told_apart else ", not told apart"
    tasks = count(len(one.paired.tasks), "shared task")
    said = (
        f"B-S {b_s.first * 100:.1f}, {way} {backbone} on {tasks} (95% interval {format_interval(b_s)}, {format_both(b_s)}{sure})."
    )
    if one.not_shared:
        said += f" Not asked of {backbone}, so no cost known: {', '.join(map(task_title, one.not_shared))}."
    left = sum(one.paired.only_first.get(task, 0) + one.paired.only_second.get(task, 0) for task in one.paired.tasks)
    if left:
        said += f" {count(left, 'item')} of the shared tasks judged on one side only and left out."
    return Text.assemble((f"{model}: ", "bold"), said)
