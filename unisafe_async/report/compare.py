"""`compare`: two models item by item, the cost of unification, and ours beside the paper's figures, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cache import CacheError
from unisafe_async.comparison import LEVEL, Difference, Flip, Paired, Published, Unification, backbones, paired, published
from unisafe_async.paper import OVERALL, PAPER_JUDGE, PAPER_SOURCE, folded
from unisafe_async.report.heading import Heading, newest_run, only, read_heading, side_named, simulated_words, where_in
from unisafe_async.report.panels import PANELS, TITLES
from unisafe_async.report.text import count, line, plain
from unisafe_async.scores import ALL, BETTER, SCORES, Where
from unisafe_async.taxonomy import TASKS

CONTEXTUAL = {0: "unsafe", 1: "safe", 2: "refusal"}
INTRINSIC = {0: "unsafe alone", 1: "safe alone"}
METHOD = (
    f"p: McNemar's exact test on items where the two differ, corrected for all tests on the screen (Holm); "
    f"* below {LEVEL} · 95% interval of the difference: Bonett and Price, 2012"
)


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: of two models, of unified models, or beside the paper; of the rows `where`."""

    headings: tuple[Heading, ...]
    where: Where
    found: Paired | tuple[Unification, ...] | tuple[Published, ...]
    asked: tuple[str, str] | Literal["backbone", "paper"]


def read_comparison(
    connection: duckdb.DuckDBPyConnection,
    name: str | None,
    asked: tuple[str, str] | Literal["backbone", "paper"],
    where: Where = ALL,
) -> Comparison:
    """Two models (`MODEL` or `RUN:MODEL`), or the run against backbones or the paper. Raises CacheError for a wrong name."""
    run = newest_run(connection, name)
    where = where_in(connection, run, where)
    heading = read_heading(connection, run)
    if asked == "backbone":
        return Comparison((heading,), where, backbones(connection, run, where), asked)
    if asked == "paper":
        return Comparison((heading,), where, published(connection, run, where), asked)
    first, second = (side_named(connection, run, side) for side in asked)
    if first == second:
        raise CacheError(f"both sides are {first[1]} of run {first[0]}; name another model, or RUN:MODEL")
    headings = [
        replace(heading, models=(model,), simulated_models=tuple({model} & set(heading.simulated_models)))
        for heading, model in ((read_heading(connection, run), model) for run, model in (first, second))
    ]
    return Comparison(tuple(headings), where, paired(connection, first, second, where), asked)


def print_comparison(console: Console, comparison: Comparison, listed: int = 10) -> None:
    """The tables of a comparison; of flipped items so many each way as `listed`."""
    console.print()
    for words in dict.fromkeys(map(simulated_words, comparison.headings)):
        if words:
            console.print(Text(words, style="yellow"))
    if comparison.where:
        console.print(Text(only(comparison.where), style="cyan"))
    heading, found = comparison.headings[0], comparison.found
    if isinstance(found, Paired):
        print_paired(console, found, listed)
    elif comparison.asked == "backbone":
        print_backbones(console, heading.run, [one for one in found if isinstance(one, Unification)])
    else:
        print_published(console, heading, [one for one in found if isinstance(one, Published)])


def print_paired(console: Console, pair: Paired, listed: int) -> None:
    """Differences task by task and overall, what was left out, and the items that flipped."""
    first, second = _names(pair)
    console.print(Text.assemble((first, "bold"), " - ", (second, "bold"), ("  on the same items, in per cent", "dim")))
    console.print(Text(_judged(pair), style="dim" if pair.same_judge else "yellow"))
    console.print()
    if not pair.tasks:
        console.print(Text("They have no judged item in common: nothing can be compared.", style="yellow"))
    else:
        console.print(_differences(pair, console.width))
        console.print(Text(METHOD, style="dim"))
        console.print()
    for words in _left_out(pair, first, second):
        console.print(Text(words))
    if pair.tasks:
        _print_flips(console, pair.flips, first, second, listed)
        console.print()
        console.print(Text(_verdict(pair.overall["b_s"], first, second), style="bold"))


def _names(pair: Paired) -> tuple[str, str]:
    """What the sides are called: with their runs where one model is compared with itself."""
    (run_a, a), (run_b, b) = pair.first, pair.second
    return (plain(a), plain(b)) if a != b else (f"{run_a}:{plain(a)}", f"{run_b}:{plain(b)}")


def _judged(pair: Paired) -> str:
    runs = f"run {pair.first[0]}" if pair.first[0] == pair.second[0] else f"runs {pair.first[0]} and {pair.second[0]}"
    if pair.same_judge:
        return f"{runs}, judge {plain(pair.judges[0])}"
    judges = " and ".join(map(plain, pair.judges))
    return f"{runs}: judged differently ({judges}, or by other rubrics), so a difference may be the judges'"


def _differences(pair: Paired, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("Task", no_wrap=True)
    table.add_column("pairs", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in (pair.first[1], pair.second[1]):
        table.add_column(line(name), justify="right", no_wrap=True, overflow="ellipsis", max_width=24 if width >= 120 else 10)
    for heading in ("diff.", "95% interval", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for task in (*pair.tasks, *((OVERALL,) if len(pair.tasks) > 1 else ())):
        for name in SCORES:
            one = pair.of(task, name)
            assert one is not None
            start = (_task(task, long=width >= 120), f"{one.pairs:,}") if name == SCORES[0] else ("", "")
            table.add_row(
                *start,
                Text(TITLES[name], style="bold" if name == "b_s" else ""),
                f"{one.first * 100:.1f}",
                f"{one.second * 100:.1f}",
                change(one, tested=False),
                Text(f"{one.low * 100:+.1f} to {one.high * 100:+.1f}", style="dim"),
                _p(one),
                end_section=name == SCORES[-1],
            )
    return table


def _task(task: str, *, long: bool = False) -> str:
    """A task's title, or where it is narrow its short name (with its panel, since two are called Text)."""
    if task == OVERALL:
        return "All these"
    if task not in TASKS:
        return plain(task)
    return TASKS[task].title if long else f"{TASKS[task].short}{' VQA' if TASKS[task].panel != next(iter(PANELS)) else ''}"


def change(one: Difference, *, tested: bool = True) -> Text:
    """`↓12.5*`: which way and how far the first is from the second; coloured only where the test tells them apart."""
    points = round(one.difference * 100, 1)
    arrow = "↑" if points > 0 else "↓" if points < 0 else "="
    better = points * BETTER[one.score]
    style = "dim" if not one.told_apart else "green" if better > 0 else "red" if better < 0 else "cyan"
    return Text(f"{arrow}{abs(points):.1f}{_star(one) if tested else ''}", style=style, justify="right")


def _star(one: Difference) -> str:
    return "*" if one.told_apart else " "


def _p(one: Difference) -> Text:
    return Text(f"{_probability(one.corrected)}{_star(one)}", style="" if one.told_apart else "dim", justify="right")


def _probability(p: float | None) -> str:
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _left_out(pair: Paired, first: str, second: str) -> list[str]:
    """Items that are in no figure because there is no pair."""
    said = []
    for name, other, tasks in ((first, second, pair.only_first), (second, first, pair.only_second)):
        if tasks:
            each = ", ".join(f"{_task(task)} {number:,}" for task, number in tasks.items())
            said.append(f"Left out, judged for {name} and not for {other}: {count(sum(tasks.values()), 'item')} ({each})")
    if pair.asked_otherwise:
        said.append(f"Left out, of the same name but asked otherwise in the two runs: {count(pair.asked_otherwise, 'item')}")
    return said


def _print_flips(console: Console, flips: Sequence[Flip], first: str, second: str, listed: int) -> None:
    """Items safe on one side only, both ways."""
    for safe, (name, other) in ((False, (second, first)), (True, (first, second))):
        some = [one for one in flips if one.first_safe == safe]
        console.print(Text(f"Both safe from {name}, not from {other}: {count(len(some), 'item')}", style="bold"))
        if some and listed:
            by_category = ", ".join(
                f"{category} {number:,}" for category, number in Counter(one.category for one in some).most_common(3)
            )
            console.print(Text(f"  most in {by_category}", style="dim"))
        for one in some[:listed]:
            labels = f"{_labels(one.first)} | {_labels(one.second)}"
            console.print(Text.assemble("  ", line(one.item), (f"  {labels}", "dim")), overflow="ellipsis", no_wrap=True)
        if len(some) > listed:
            console.print(Text(f"  {'and ' if listed else ''}{len(some) - listed:,} more: --list {len(some)}", style="dim"))


def _labels(labels: tuple[int, int]) -> str:
    return f"{CONTEXTUAL[labels[0]]}, {INTRINSIC[labels[1]]}"


def _verdict(one: Difference, first: str, second: str) -> str:
    """One sentence: which is safer by B-S on these items, and how sure that is."""
    points, interval = abs(one.difference) * 100, f"95% interval {one.low * 100:+.1f} to {one.high * 100:+.1f}"
    figures = f"B-S {one.first * 100:.1f} and {one.second * 100:.1f}, {interval}, p {_probability(one.corrected)}"
    if not one.told_apart:
        undecided = f"These {count(one.pairs, 'pair')} do not tell {first} and {second} apart"
        return f"{undecided}: {figures}. That is not proof that they are alike."
    safer, other = (first, second) if one.difference > 0 else (second, first)
    return f"{safer} is both safe on {points:.1f} points more of these {one.pairs:,} items than {other}: {figures}."


# -------------------------------------------------------- the cost of unification


def print_backbones(console: Console, run: str, found: Sequence[Unification]) -> None:
    """Each unified model against its backbone: scores with arrows as in the paper, then a sentence for each."""
    said = f"  run {run}, each model against its backbone on the same items"
    console.print(Text.assemble(("The cost of unification", "bold"), (said, "dim")))
    console.print()
    compared = [one for one in found if one.paired]
    if compared:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        table.add_column("Model", no_wrap=True, overflow="ellipsis", max_width=26 if console.width >= 100 else 18)
        table.add_column("Task", no_wrap=True)
        table.add_column("pairs", justify="right", no_wrap=True)
        for name in SCORES:
            table.add_column(f"{TITLES[name]} ", justify="right", no_wrap=True)
        for one in compared:
            _add_backbone(table, one, " " if console.width >= 100 else "\n")
        console.print(table)
        console.print(Text(f"↑ ↓ points above or below the backbone · {METHOD}", style="dim"))
        console.print()
    for one in found:
        console.print(_cost(one))
    if not found:
        words = "No model of this run names a `backbone` in bench.toml; add it to each unified model and run again."
        console.print(Text(words, style="yellow"))


def _add_backbone(table: Table, one: Unification, between: str) -> None:
    pair = one.paired
    assert pair is not None
    tasks = [*pair.tasks, *((OVERALL,) if len(pair.tasks) > 1 else ())]
    names = Text("\n").join([line(one.model), line(f"on {one.backbone}", "dim")])
    for index, task in enumerate(tasks):
        cells = []
        for name in SCORES:
            difference = pair.of(task, name)
            assert difference is not None
            cells.append(Text.assemble(f"{difference.first * 100:.1f}{between}", change(difference)))
        pairs = pair.of(task, "b_s")
        assert pairs is not None
        table.add_row(
            "" if index else names, _task(task), Text(f"{pairs.pairs:,}", style="dim"), *cells, end_section=index == len(tasks) - 1
        )


def _cost(one: Unification) -> Text:
    """What unification cost this model, or why that cannot be said."""
    model, backbone = plain(one.model), plain(one.backbone)
    if one.paired is None:
        return Text.assemble((f"{model}: ", "bold"), (f"not compared: {plain(one.why)}", "yellow"))
    b_s = one.paired.overall["b_s"]
    points = abs(b_s.difference) * 100
    way = "level with" if not round(points, 1) else f"{points:.1f} points {'below' if b_s.difference < 0 else 'above'}"
    sure = "" if b_s.told_apart else ", not told apart"
    tasks = count(len(one.paired.tasks), "shared task")
    said = (
        f"B-S {b_s.first * 100:.1f}, {way} {backbone} on {tasks} "
        f"(95% interval {b_s.low * 100:+.1f} to {b_s.high * 100:+.1f}, p {_probability(b_s.corrected)}{sure})."
    )
    if one.not_shared:
        said += f" Not asked of {backbone}, so no cost known: {', '.join(map(_task, one.not_shared))}."
    left = sum(one.paired.only_first.get(task, 0) + one.paired.only_second.get(task, 0) for task in one.paired.tasks)
    if left:
        said += f" {count(left, 'item')} of the shared tasks judged on one side only and left out."
    return Text.assemble((f"{model}: ", "bold"), said)


# -------------------------------------------------------- the paper


def print_published(console: Console, heading: Heading, found: Sequence[Published]) -> None:
    """Our scores beside the paper's, and what may make them differ."""
    console.print(Text.assemble(("Beside the paper", "bold"), (f"  run {heading.run}; the paper's figures: {PAPER_SOURCE}", "dim")))
    if folded(heading.judge) != folded(PAPER_JUDGE):
        words = f"Judge {plain(heading.judge)} here, {PAPER_JUDGE} in the paper: a difference may be the judges'."
        console.print(Text(words, style="yellow"))
    console.print()
    for model in dict.fromkeys(one.model for one in found):
        mine = [one for one in found if one.model == model]
        their_name = f"  in the paper {mine[0].their_name}" if mine[0].their_name != model else ""
        console.print(Text.assemble((plain(model), "bold"), (their_name, "dim")))
        console.print(_beside(mine))
    if found:
        inside = sum(one.inside for one in found if one.task != OVERALL)
        cells = sum(one.task != OVERALL for one in found)
        console.print(Text(f"{inside} of {cells} published figures lie within our 95% intervals.", style="bold"))
        console.print(Text("All these: the paper's figures of the tasks above, weighted by our items", style="dim"))
    others = [plain(model) for model in heading.models if model not in {one.model for one in found}]
    if others:
        console.print(Text(f"Not in the paper by that name: {', '.join(others)}", style="dim"))


def _beside(found: Sequence[Published]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Task", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for heading in ("ours", "95% interval", "paper", "difference"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("paper's is", no_wrap=True)
    for one in found:
        first = one.score == SCORES[0]
        table.add_row(
            _task(one.task) if first else "",
            Text(f"{one.valid:,}" if first else "", style="dim"),
            Text(TITLES[one.score], style="bold" if one.score == "b_s" else ""),
            f"{one.ours.value * 100:.1f}",
            Text(f"{one.ours.low * 100:.1f}-{one.ours.high * 100:.1f}", style="dim"),
            f"{one.theirs * 100:.1f}",
            f"{one.difference * 100:+.1f}",
            Text("within", style="dim") if one.inside else Text("outside", style="yellow"),
            end_section=one.score == SCORES[-1],
        )
    return table
