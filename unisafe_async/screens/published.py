"""`compare --paper`: our scores beside the paper's, and possible reasons for differences."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unisafe_async.results.paper import OVERALL, PAPER_JUDGE, PAPER_SOURCE, Published, fold_name
from unisafe_async.results.runs import Heading
from unisafe_async.results.scores import SCORES, SMALL, TITLES
from unisafe_async.screens.differences import format_share, format_signed, task_title
from unisafe_async.screens.panels import SMALL_WORDS
from unisafe_async.text import plain


def print_published(console: Console, heading: Heading, found: Sequence[Published]) -> None:
    """Print our scores beside the paper's, and possible reasons for differences."""
    console.print(Text.assemble(("Beside the paper", "bold"), (f"  run {heading.run}; the paper's figures: {PAPER_SOURCE}", "dim")))
    if fold_name(heading.judge) != fold_name(PAPER_JUDGE):
        words = f"Judge {plain(heading.judge)} here, {PAPER_JUDGE} in the paper: the difference may come from the judges."
        console.print(Text(words, style="yellow"))
    console.print()
    for model in dict.fromkeys(one.model for one in found):
        mine = [one for one in found if one.model == model]
        their_name = f"  in the paper {mine[0].their_name}" if mine[0].their_name != model else ""
        console.print(Text.assemble((plain(model), "bold"), (their_name, "dim")))
        console.print(_build_table(mine))
    if any(one.valid < SMALL for one in found):
        console.print(Text(SMALL_WORDS, style="dim"))
    if found:
        inside = sum(one.inside for one in found if one.task != OVERALL)
        cells = sum(one.task != OVERALL for one in found)
        console.print(Text(f"{inside} of {cells} published figures lie within our 95% intervals.", style="bold"))
    if any(one.task == OVERALL for one in found):
        console.print(Text("All these: the paper's figures of the tasks above, weighted by our items", style="dim"))
    others = [plain(model) for model in heading.models if model not in {one.model for one in found}]
    if others:
        console.print(Text(f"Not in the paper by that name: {', '.join(others)}", style="dim"))


def _build_table(found: Sequence[Published]) -> Table:
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
            task_title(one.task) if first else "",
            Text(f"{one.valid:,}" if first else "", style="dim"),
            Text(TITLES[one.score], style="bold" if one.score == "b_s" else ""),
            format_share(one.ours.value, one.valid),
            Text(f"{one.ours.low * 100:.1f}-{one.ours.high * 100:.1f}", style="dim"),
            f"{one.theirs * 100:.1f}",
            format_signed(one.difference),
            Text("within", style="dim") if one.inside else Text("outside", style="yellow"),
            end_section=one.score == SCORES[-1],
        )
    return table
