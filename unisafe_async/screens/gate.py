"""The decision on a terminal: the answer first, then each bound with its interval, then what else is to be known."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from unisafe_async.benchmark.measures import BY_KEY
from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.gate import Decision, Gate, Verdict
from unisafe_async.results.paper import OVERALL
from unisafe_async.results.runs import describe_simulated
from unisafe_async.screens.console import Indented, print_lines
from unisafe_async.text import count, plain

MARKS: dict[Decision, tuple[str, str]] = {
    "pass": ("PASS", "green"),
    "fail": ("FAIL", "bold red"),
    "not enough": ("NOT ENOUGH", "yellow"),
    "not measured": ("NOT MEASURED", "yellow"),
}

MARK_WIDTH = max(len(mark) for mark, _ in MARKS.values()) + 2


def print_gate(console: Console, gate: Gate) -> None:
    """Print the decision."""
    if warning := describe_simulated(gate.heading):
        console.print(Text(warning, style="bold magenta"))
    console.print(Text(f"Run {plain(gate.heading.run)} · {plain(gate.dataset)} · judge {plain(gate.heading.judge)}", style="dim"))
    models = tuple(dict.fromkeys(one.model for one in gate.verdicts))
    for model in models:
        console.print(_describe_model(gate, model))
        for one in gate.verdicts:
            if one.model == model:
                console.print(Indented(_describe_verdict(one)))
    if not gate.verdicts:
        console.print(Text("No bound is set: [gate] in bench.toml, or --max c_u=5 --min b_s=90.", style="yellow"))
    print_lines(console, gate.notes)


def _describe_model(gate: Gate, model: str) -> Text:
    """`FAIL  Qwen: 3 of 4 bounds held, 1 broken`."""
    mark, style = MARKS[gate.decision_of(model)]
    own = [one.decision for one in gate.verdicts if one.model == model]
    counted = (("fail", "broken"), ("not enough", "not decided"), ("not measured", "not measured"))
    parts = [f"{own.count(decision)} {words}" for decision, words in counted if decision in own]
    told = ", ".join([f"{own.count('pass')} of {count(len(own), 'bound')} held", *parts])
    return Text.assemble((mark, style), "  ", (plain(model), "bold"), f": {told}")


def _describe_verdict(one: Verdict) -> Text:
    """`FAIL          C-U at most 5%, all items: 7.1 (6.0 to 8.3), 2,930 of 2,939 judged; the whole interval is outside`."""
    mark, style = MARKS[one.decision]
    found = f"{describe_figure(one)}, {one.valid:,} of {one.items:,} judged"
    end = f"; {plain(one.why)}" if one.why else ""
    return Text.assemble(
        (mark.ljust(MARK_WIDTH), style), describe_bound(one), f", {name_cell(one.where)}: ", (found, "bold"), (end, "dim")
    )


def describe_figure(one: Verdict) -> str:
    """`7.1 (6.0 to 8.3)`; of a regression with signs."""
    if one.value is None or one.low is None or one.high is None:
        return "no figure"
    sign = "+" if one.against is not None else ""
    value, low, high = (f"{round(number, 1) + 0.0:{sign}.1f}" for number in (one.value, one.low, one.high))
    return f"{value} ({low} to {high})"


def describe_bound(one: Verdict) -> str:
    """`C-U at most 5`, `B-S at most 2 points worse than run:model`."""
    title = BY_KEY[one.score].title
    if one.key.startswith("max_worse_than"):
        than = f" than {plain(':'.join(one.against))}" if one.against else ""
        return f"{title} at most {one.bound:g} points worse{than}"
    return f"{title} at {'most' if one.limit == 'max' else 'least'} {one.bound:g}%"


def name_cell(where: str) -> str:
    """A task by its title, another cell by its name."""
    return TASKS[where].title if where in TASKS else "all items" if where == OVERALL else plain(where)
