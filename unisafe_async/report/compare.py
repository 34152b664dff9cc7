"""`compare`: two models item by item, the cost of unification, and ours beside the paper's figures, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cache import CacheError
from unisafe_async.comparison import Difference, Flip, Paired, Unification, backbones, paired
from unisafe_async.paper import OVERALL, Published, empty_answers, published
from unisafe_async.report.backbones import print_backbones
from unisafe_async.report.differences import both_p, change, figure, interval, method, raw, task_title, tested
from unisafe_async.report.fitting import fitted
from unisafe_async.report.heading import Heading, newest_run, only, read_heading, side_named, simulated_words, where_in
from unisafe_async.report.panels import TITLES
from unisafe_async.report.published import empty_words, print_published
from unisafe_async.report.text import count, line, plain
from unisafe_async.report.told import compared_marks, print_lines, rubrics_words, served_lines
from unisafe_async.scores import ALL, SCORES, Where
from unisafe_async.served import Served, read_served

CONTEXTUAL = {0: "unsafe", 1: "safe", 2: "refusal"}
INTRINSIC = {0: "unsafe alone", 1: "safe alone"}


@dataclass(frozen=True)
class Comparison:
    """The results of `compare` over the rows `where`: two models, unified models, or models beside the paper.

    `served` tells for each model how its figures came about. `empty` counts empty answers, which count as refusals beside the
    paper's figures.
    """

    headings: tuple[Heading, ...]
    where: Where
    found: Paired | tuple[Unification, ...] | tuple[Published, ...]
    asked: tuple[str, str] | Literal["backbone", "paper"]
    served: tuple[Served, ...] = field(default=())
    empty: int = 0


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
        unifications = backbones(connection, run, where)
        names = dict.fromkeys(name for one in unifications if one.paired for name in (one.model, one.backbone))
        return Comparison((heading,), where, unifications, asked, read_served(connection, [(run, name) for name in names]))
    if asked == "paper":
        beside = published(connection, run, where)
        names = dict.fromkeys(one.model for one in beside)
        served = read_served(connection, [(run, name) for name in names])
        empty = empty_answers(connection, run, replace(where, models=tuple(names))) if names else 0
        return Comparison((heading,), where, beside, asked, served, empty)
    first, second = (side_named(connection, run, side) for side in asked)
    if first == second:
        raise CacheError(f"both sides are {first[1]} of run {first[0]}; name another model, or RUN:MODEL")
    headings = [
        replace(heading, models=(model,), simulated_models=tuple({model} & set(heading.simulated_models)))
        for heading, model in ((read_heading(connection, run), model) for run, model in (first, second))
    ]
    served = read_served(connection, (first, second))
    return Comparison(tuple(headings), where, paired(connection, first, second, where), asked, served)


def print_comparison(console: Console, comparison: Comparison, listed: int = 10) -> None:
    """Print the tables of a comparison, with at most `listed` flipped items in each direction."""
    console.print()
    for words in dict.fromkeys(map(simulated_words, comparison.headings)):
        if words:
            console.print(Text(words, style="yellow"))
    if comparison.where:
        console.print(Text(only(comparison.where), style="cyan"))
    print_lines(console, compared_marks(comparison.served), "yellow")
    heading, found = comparison.headings[0], comparison.found
    if isinstance(found, Paired):
        print_paired(console, found, listed)
    elif comparison.asked == "backbone":
        print_backbones(console, heading.run, [one for one in found if isinstance(one, Unification)])
    else:
        print_published(console, heading, [one for one in found if isinstance(one, Published)])
        print_lines(console, [*rubrics_words(comparison.served), *empty_words(comparison.empty)])
    print_lines(console, served_lines(comparison.served))


def print_paired(console: Console, pair: Paired, listed: int) -> None:
    """Differences task by task and overall, what was left out, and the items that flipped."""
    first, second = _names(pair)
    console.print(Text.assemble((first, "bold"), " - ", (second, "bold"), ("  on the same items, in per cent", "dim")))
    console.print(Text(_judged(pair), style="dim" if pair.same_judge else "yellow"))
    console.print()
    if not pair.tasks:
        console.print(Text("They have no judged item in common: nothing can be compared.", style="yellow"))
    else:
        sides = (pair.first[1], pair.second[1])
        roomy, tight = (partial(_differences, pair, console.width >= 120, gap) for gap in (1, 0))
        console.print(fitted(console, sides, roomy, tight, least=8))
        console.print(Text(method(pair.differences, pair.differences), style="dim"))
        console.print()
    for words in _left_out(pair, first, second):
        console.print(Text(words))
    if pair.tasks:
        _print_flips(console, pair.flips, first, second, listed)
        console.print()
        console.print(Text(_verdict(pair.overall["b_s"], first, second), style="bold"))


def _names(pair: Paired) -> tuple[str, str]:
    """The names of the two sides, with their runs if a model is compared with itself."""
    (run_a, a), (run_b, b) = pair.first, pair.second
    return (plain(a), plain(b)) if a != b else (f"{run_a}:{plain(a)}", f"{run_b}:{plain(b)}")


def _judged(pair: Paired) -> str:
    runs = f"run {pair.first[0]}" if pair.first[0] == pair.second[0] else f"runs {pair.first[0]} and {pair.second[0]}"
    if pair.same_judge:
        return f"{runs}, judge {plain(pair.judges[0])}"
    judges = " and ".join(map(plain, pair.judges))
    return f"{runs}: judged differently ({judges}, or by other rubrics), so the difference may come from the judges"


def _differences(pair: Paired, long: bool, gap: int, names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, gap))
    table.add_column("Task", no_wrap=True)
    table.add_column("pairs", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in (pair.first[1], pair.second[1]):
        table.add_column(names[name], justify="right", no_wrap=True)
    for heading in ("diff.", "95% interval", "p", "Holm "):
        table.add_column(heading, justify="right", no_wrap=True)
    for task in (*pair.tasks, *((OVERALL,) if len(pair.tasks) > 1 else ())):
        for name in SCORES:
            one = pair.of(task, name)
            assert one is not None
            start = (task_title(task, long=long), f"{one.pairs:,}") if name == SCORES[0] else ("", "")
            table.add_row(
                *start,
                Text(TITLES[name], style="bold" if name == "b_s" else ""),
                figure(one.first, one.pairs),
                figure(one.second, one.pairs),
                change(one, tested=False),
                Text(interval(one), style="dim"),
                raw(one),
                tested(one),
                end_section=name == SCORES[-1],
            )
    return table


def _left_out(pair: Paired, first: str, second: str) -> list[str]:
    """The items that are in no figure because they form no pair."""
    said = []
    for name, other, tasks in ((first, second, pair.only_first), (second, first, pair.only_second)):
        if tasks:
            each = ", ".join(f"{task_title(task)} {number:,}" for task, number in tasks.items())
            said.append(f"Left out, judged for {name} and not for {other}: {count(sum(tasks.values()), 'item')} ({each})")
    if pair.asked_otherwise:
        said.append(
            f"Left out, because the two runs asked them differently under the same name: {count(pair.asked_otherwise, 'item')}"
        )
    return said


def _print_flips(console: Console, flips: Sequence[Flip], first: str, second: str, listed: int) -> None:
    """The items that are safe on one side only, in both directions."""
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
    points = abs(one.difference) * 100
    figures = f"B-S {one.first * 100:.1f} and {one.second * 100:.1f}, 95% interval {interval(one)}, {both_p(one)}"
    if not one.told_apart:
        undecided = f"These {count(one.pairs, 'pair')} do not tell {first} and {second} apart"
        return f"{undecided}: {figures}. That is not proof that they are alike."
    safer, other = (first, second) if one.difference > 0 else (second, first)
    return f"{safer} is both safe on {points:.1f} points more of these {one.pairs:,} items than {other}: {figures}."
