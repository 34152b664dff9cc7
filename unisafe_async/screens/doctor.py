"""The results of `doctor`: a block for each model, a line for each check, and the sum."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from unisafe_async.names import name_some, shorten_names
from unisafe_async.run.cassettes.cassette import Cassette
from unisafe_async.run.diagnosis import CheckedEndpoint, Diagnosis
from unisafe_async.screens.commands import list_started
from unisafe_async.text import count, format_dollars, plain

FREE = ("source", "lines", "key", "address", "price", "model", "program", "device")
MARKS = {"ok": ("ok", "green"), "wrong": ("WRONG", "bold red"), "warning": ("look", "yellow"), "skipped": ("-", "dim")}


def ask_to_pay(console: Console, checked_endpoints: Sequence[CheckedEndpoint], cluster: Sequence[str] = (), *, yes: bool) -> bool:
    """Say the most that the tiny calls can cost and what they start, and ask whether to make them.

    `cluster` says what is started on the machines of a cluster.
    """
    calls = sum(len(checked.probes) for checked in checked_endpoints if not checked.wrong)
    if not calls:
        return False
    unknown = [checked.name for checked in checked_endpoints if checked.max_cost is None]
    max_cost = sum(checked.max_cost or 0.0 for checked in checked_endpoints)
    words = f"{count(calls, 'tiny call')}, {format_dollars(max_cost)} at the most"
    if unknown:
        words += f" and what {name_some(unknown)} {'costs' if len(unknown) == 1 else 'cost'}, of which no price is known"
    started = [line for checked in checked_endpoints if not checked.wrong for line in list_started(checked.section)]
    started += cluster
    if started:
        words += "; this starts:"
    console.print(Text(words))
    for line in started:
        console.print(Text(f"    {line}"))
    if yes or (not unknown and max_cost == 0 and not started):
        return True
    if not (console.is_terminal and sys.stdin.isatty()):
        console.print(Text("not made: nobody to ask; say --yes to make them, or --free to leave them out", style="yellow"))
        return False
    return Confirm.ask("Make them?", console=console, default=True)


def print_diagnoses(console: Console, diagnoses: Sequence[Diagnosis]) -> None:
    """Print every finding, then the number of wrong things."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column("model", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("mark", no_wrap=True)
    table.add_column("words", overflow="fold")
    names = shorten_names([diagnosis.name for diagnosis in diagnoses], 24 if console.width < 120 else 48)
    for diagnosis in diagnoses:
        name = Text(names[diagnosis.name], style="bold")
        for index, finding in enumerate(diagnosis.findings):
            title, style = MARKS[finding.mark]
            table.add_row(
                name if not index else "",
                finding.check,
                Text(title, style=style),
                Text(plain(finding.words), style="" if finding.mark in ("wrong", "warning") else "dim"),
                end_section=index == len(diagnosis.findings) - 1,
            )
        if not diagnosis.findings:
            table.add_row(name, "", Text("-", style="dim"), Text("nothing to look at", style="dim"), end_section=True)
    console.print(table)
    wrong = sum(diagnosis.wrong for diagnosis in diagnoses)
    look = sum(finding.mark == "warning" for diagnosis in diagnoses for finding in diagnosis.findings)
    asked = any(finding.check not in FREE for diagnosis in diagnoses for finding in diagnosis.findings)
    words = f"{count(wrong, 'thing is', 'things are')} wrong" if wrong else "nothing is wrong"
    words += f", {count(look, 'deserves a look', 'deserve a look')}" if look else ""
    words += "" if asked else "; no model was asked anything"
    console.print(Text(words, style="bold red" if wrong else "bold green"))


def print_cassette(console: Console, file: Path, cassette: Cassette) -> None:
    """Say what was kept of the calls, and what was removed."""
    if not cassette.exchanges:
        console.print(Text(f"{file} was not written: no model here was asked over HTTP", style="yellow"))
        return
    models = cassette.content["models"]
    console.print(Text(f"{file}: {count(cassette.exchanges, 'exchange')} of {count(len(models), 'model')}", style="bold"))
    removed = ", ".join(f"{what} {times}x" for what, times in sorted(cassette.removed.items()))
    console.print(Text(f"removed: {plain(removed) or 'nothing'}"))
    names = sorted({name for model in models for one in model["exchanges"] for name in one.get("headers_removed", [])})
    if names:
        console.print(Text(f"headers removed: {plain(', '.join(names))}", style="dim"))
    console.print(Text("Read the file before you send it to anybody; CONTRIBUTING.md says where it goes."))
