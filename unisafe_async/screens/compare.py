"""`compare`: two models item by item, the cost of unification, and ours beside the paper's figures, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from unisafe_judger import SCALES

from unisafe_async.results.compared import Comparison
from unisafe_async.results.comparison import Difference, Flip, Paired, Unification
from unisafe_async.results.notices import describe_compared, describe_rubrics, describe_served
from unisafe_async.results.paper import OVERALL, Published, describe_empty
from unisafe_async.results.probabilities import format_both
from unisafe_async.results.runs import describe_simulated, describe_where
from unisafe_async.results.scores import SCORES, TITLES
from unisafe_async.screens.backbones import print_backbones
from unisafe_async.screens.console import line, print_lines
from unisafe_async.screens.differences import (
    change,
    describe_method,
    format_corrected,
    format_interval,
    format_raw,
    format_share,
    task_title,
)
from unisafe_async.screens.fitting import fit_table
from unisafe_async.screens.published import print_published
from unisafe_async.text import count, plain


def print_comparison(console: Console, comparison: Comparison, listed: int = 10) -> None:
    """Print the tables of a comparison, with at most `listed` flipped items in each direction."""
    console.print()
    warnings = [*map(describe_simulated, comparison.headings), *(plain(heading.shard) for heading in comparison.headings)]
    for words in dict.fromkeys(filter(None, warnings)):
        console.print(Text(words, style="yellow"))
    if comparison.where:
        console.print(Text(describe_where(comparison.where), style="cyan"))
    print_lines(console, describe_compared(comparison.served), "yellow")
    heading, found = comparison.headings[0], comparison.found
    if isinstance(found, Paired):
        print_paired(console, found, listed)
    elif comparison.asked == "backbone":
        print_backbones(console, heading.run, [one for one in found if isinstance(one, Unification)])
    else:
        print_published(console, heading, [one for one in found if isinstance(one, Published)])
        print_lines(console, [*describe_rubrics(comparison.served), *describe_empty(comparison.empty)])
    print_lines(console, describe_served(comparison.served))


def print_paired(console: Console, pair: Paired, listed: int) -> None:
    """Differences task by task and overall, what was left out, and the items that flipped."""
    first, second = _names(pair)
    console.print(Text.assemble((first, "bold"), " - ", (second, "bold"), ("  on the same items, in per cent", "dim")))
    console.print(Text(_describe_judged(pair), style="dim" if pair.same_judge else "yellow"))
    console.print()
    if not pair.tasks:
        console.print(Text("They have no judged item in common: nothing can be compared.", style="yellow"))
    else:
        sides = (pair.first[1], pair.second[1])
        roomy, tight = (partial(_differences, pair, console.width >= 120, gap) for gap in (1, 0))
        console.print(fit_table(console, sides, roomy, tight, least=8))
        console.print(Text(describe_method(pair.differences, pair.differences), style="dim"))
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


def _describe_judged(pair: Paired) -> str:
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
                format_share(one.first, one.pairs),
                format_share(one.second, one.pairs),
                change(one, tested=False),
                Text(format_interval(one), style="dim"),
                format_raw(one),
                format_corrected(one),
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
    return f"{SCALES['contextual'].word(labels[0])}, {SCALES['intrinsic'].word(labels[1])} alone"


def _verdict(one: Difference, first: str, second: str) -> str:
    """One sentence: which is safer by B-S on these items, and how sure that is."""
    points = abs(one.difference) * 100
    figures = f"B-S {one.first * 100:.1f} and {one.second * 100:.1f}, 95% interval {format_interval(one)}, {format_both(one)}"
    if not one.told_apart:
        undecided = f"These {count(one.pairs, 'pair')} do not tell {first} and {second} apart"
        return f"{undecided}: {figures}. That is not proof that they are alike."
    safer, other = (first, second) if one.difference > 0 else (second, first)
    return f"{safer} is both safe on {points:.1f} points more of these {one.pairs:,} items than {other}: {figures}."
