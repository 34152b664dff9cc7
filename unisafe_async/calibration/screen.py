"""The agreement of judge and people as tables, with the responses that were not compared on the same screen."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import partial
from importlib.resources import files

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from unisafe_judger import SCALES

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.calibration.agreement import Agreement, Cell
from unisafe_async.screens.console import COLOURS, MARKS, Indented
from unisafe_async.screens.fitting import fit_table
from unisafe_async.simulated_marks import JUDGED
from unisafe_async.text import count, plain

PAPER = "paper: Uni-Judger with Qwen3-VL-8B-Instruct against people, Peng et al., 2026 (arXiv 2604.00547)"


def load_paper_accuracy() -> dict[tuple[str, str], float]:
    """The paper's accuracy, a share between 0 and 1, by question and task."""
    text = files("unisafe_async").joinpath("data", "paper", "judge_agreement.csv").read_text()
    return {
        (question, row["task"]): float(row[f"{question}_accuracy_pct"]) / 100
        for row in csv.DictReader(text.splitlines())
        for question in SCALES
    }


def print_agreement(console: Console, found: Agreement, listed: int) -> None:
    """Print the comparison: its subject, accuracy by task beside the paper's, matrices, agreement between people, disagreements."""
    if any(one.reason.startswith(JUDGED) for one in found.comparisons):
        console.print(Text("SIMULATED: the judge is simulated; these figures say nothing about a real one.", style="yellow"))
    judges = ", ".join(map(plain, found.judges)) or "none"
    people = count(len(found.labellers), "labeller")
    console.print(Text(f"Judge {judges} against {people}, {count(found.labels, 'label')} of {count(found.responses, 'response')}"))
    console.print(Text(f"runs: {', '.join(found.runs) or 'none'}", style="dim"))
    if found.unseen:
        verdicts = f"the imported verdicts on {count(found.unseen, 'response')} came without them"
        console.print(Text(f"{verdicts}: item, model and repeat alone say what was judged", style="yellow"))
    _print_left_out(console, found)
    if found.comparisons:
        for question in SCALES:
            console.print(_build_accuracy(found, question))
        console.print(Text(PAPER, style="dim"))
        for question in SCALES:
            console.print(Text(f"\n{question}: people down, judge across", style="bold"))
            console.print(_matrix(found, question))
    _print_people(console, found)
    _print_disagreements(console, found, listed)


def _print_left_out(console: Console, found: Agreement) -> None:
    parts = [
        (found.missing, "not found in the run"),
        (found.changed, "of which the run has another response"),
        (found.silent, "where nothing came out and no judge was asked"),
        *((found.unjudged.get(question, 0), f"unjudged ({question})") for question in SCALES),
        *((found.tied.get(question, 0), f"on which the labellers are tied ({question})") for question in SCALES),
        *((found.unlabelled.get(question, 0), f"without a label ({question})") for question in SCALES),
    ]
    said = [f"{number:,} {words}" for number, words in parts if number]
    if said:
        console.print(Text(f"Not compared: {'; '.join(said)}", style="yellow"))
    if found.bad:
        console.print(Text(f"{count(len(found.bad), 'line')} that could not be used:", style="yellow"))
        for one in found.bad[:5]:
            console.print(Indented(Text(plain(str(one)), style="yellow")))
        if len(found.bad) > 5:
            console.print(Indented(Text(f"and {len(found.bad) - 5:,} more", style="yellow")))


def _build_accuracy(found: Agreement, question: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column(f"{question.capitalize()} accuracy, %", no_wrap=True)
    for heading in ("n", "accuracy", "95%", "paper", "Cohen's kappa"):
        table.add_column(heading, justify="right", no_wrap=True)
    paper = load_paper_accuracy()
    for key, task in TASKS.items():
        cell = found.cell(question, key)
        if cell.n:
            table.add_row(task.title, *_figures(cell, paper.get((question, key))))
    table.add_section()
    table.add_row("all", *_figures(found.cell(question), None), style="bold")
    return table


def _figures(cell: Cell, paper: float | None) -> tuple[str, str, str, str, str]:
    if cell.accuracy is None or cell.low is None or cell.high is None:
        return ("0", "–", "", _percent(paper), "")
    interval = f"{cell.low * 100:.0f}–{cell.high * 100:.0f}"
    return (str(cell.n), _percent(cell.accuracy), interval, _percent(paper), _kappa(cell))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f}"


def _kappa(cell: Cell) -> str:
    return "–" if cell.kappa is None else f"{cell.kappa:.2f}"


def _matrix(found: Agreement, question: str) -> Table:
    scale = SCALES[question]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("")
    for word in scale.words.values():
        table.add_column(word, justify="right")
    for label, counts in zip(scale.words, found.matrix(question), strict=True):
        cells = [Text(str(number), style="bold" if at == label else "red" if number else "dim") for at, number in enumerate(counts)]
        table.add_row(scale.word(label), *cells)
    return table


def _print_people(console: Console, found: Agreement) -> None:
    if len(found.labellers) < 2:
        return
    console.print(fit_table(console, found.labellers, partial(_people, found)))


def _people(found: Agreement, names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Labellers", no_wrap=True)
    for heading in ("n", "C", "95%", "kappa", "n", "I", "95%", "kappa"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one, other in sorted({pair for pairs in found.between.values() for pair in pairs}):
        cells = [_cell(found.between[question].get((one, other))) for question in SCALES]
        table.add_row(Text(f"{names[one]} and {names[other]}"), *cells[0], *cells[1])
    for who in found.labellers:
        cells = [_cell(found.single[question].get(who)) for question in SCALES]
        table.add_row(Text(f"{names[who]} and the judge"), *cells[0], *cells[1])
    return table


def _cell(cell: Cell | None) -> tuple[str, str, str, str]:
    n, accuracy, interval, _, kappa = _figures(cell or Cell(n=0, agreed=0, accuracy=None, low=None, high=None, kappa=None), None)
    return (n, accuracy, interval, kappa)


def _print_disagreements(console: Console, found: Agreement, listed: int) -> None:
    disagreements = found.disagreements
    console.print(Text(f"Disagreements: {len(disagreements):,} of {len(found.comparisons):,} verdicts", style="bold"))
    for one in disagreements[:listed]:
        sample = f" repeat {one.repeat}" if one.repeat else ""
        human, judge = (SCALES[one.question].word(label) for label in (one.human, one.judge))
        console.print(
            Text.assemble(
                (plain(one.item), "bold"),
                f" {plain(one.model)}{sample}  {one.question}: people ",
                (f"{MARKS[human]} {human}", COLOURS[human]),
                ", judge ",
                (f"{MARKS[judge]} {judge}", COLOURS[judge]),
            )
        )
        if one.reason:
            console.print(Indented(Text(plain(one.reason), style="dim")))
        if one.note:
            console.print(Indented(Text(f"note: {plain(one.note)}", style="dim")))
    if len(disagreements) > listed:
        console.print(Text(f"and {len(disagreements) - listed:,} more: --list {len(disagreements)} shows them all", style="dim"))
