"""The results of `doctor`: a block for each model, a line for each check, and the sum."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from unisafe_async.names import shortened
from unisafe_async.run.diagnosis import Diagnosis, Patient
from unisafe_async.text import count, dollars, plain

FREE = ("source", "lines", "key", "address", "price", "model")
MARKS = {"ok": ("ok", "green"), "wrong": ("WRONG", "bold red"), "warning": ("look", "yellow"), "skipped": ("-", "dim")}


def ask_to_pay(console: Console, patients: Sequence[Patient], *, yes: bool) -> bool:
    """Say the most that the tiny calls can cost, and ask whether to make them."""
    calls = sum(len(patient.probes) for patient in patients if not patient.wrong)
    if not calls:
        return False
    unknown = [patient.name for patient in patients if patient.most is None]
    most = sum(patient.most or 0.0 for patient in patients)
    words = f"{count(calls, 'tiny call')}, {dollars(most)} at the most"
    if unknown:
        words += f" and what {', '.join(map(plain, unknown))} costs (no price in bench.toml)"
    console.print(Text(words))
    if yes or (not unknown and most == 0):
        return True
    if not (console.is_terminal and sys.stdin.isatty()):
        console.print(Text("not made: nobody to ask; say --yes to make them, or --free to leave them out", style="yellow"))
        return False
    return Confirm.ask("Make them?", console=console, default=True)


def print_diagnoses(console: Console, patients: Sequence[Diagnosis]) -> None:
    """Print every finding, then the number of wrong things."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column("model", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("mark", no_wrap=True)
    table.add_column("words", overflow="fold")
    names = shortened([patient.name for patient in patients], 24 if console.width < 120 else 48)
    for patient in patients:
        name = Text(names[patient.name], style="bold")
        for index, finding in enumerate(patient.findings):
            title, style = MARKS[finding.mark]
            table.add_row(
                name if not index else "",
                finding.check,
                Text(title, style=style),
                Text(plain(finding.words), style="" if finding.mark in ("wrong", "warning") else "dim"),
                end_section=index == len(patient.findings) - 1,
            )
        if not patient.findings:
            table.add_row(name, "", Text("-", style="dim"), Text("nothing to look at", style="dim"), end_section=True)
    console.print(table)
    wrong = sum(patient.wrong for patient in patients)
    look = sum(finding.mark == "warning" for patient in patients for finding in patient.findings)
    asked = any(finding.check not in FREE for patient in patients for finding in patient.findings)
    words = f"{count(wrong, 'thing is', 'things are')} wrong" if wrong else "nothing is wrong"
    words += f", {count(look, 'deserves a look', 'deserve a look')}" if look else ""
    words += "" if asked else "; no model was asked anything"
    console.print(Text(words, style="bold red" if wrong else "bold green"))
