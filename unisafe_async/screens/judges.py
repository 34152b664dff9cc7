"""Several judges on the screen: what each of them judged, where they were split, how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from unisafe_judger import SCALES

from unisafe_async.results.judging import JudgeAgreement, Judging, Tally
from unisafe_async.screens.fitting import fit_table
from unisafe_async.text import count, plain

FAILURES = (("blocked", "blocked"), ("unparsed", "not understood"), ("failed", "failed"))


def describe_judging(judging: Judging | None) -> list[str]:
    """The text below the coverage line; empty for a single judge."""
    if judging is None:
        return []
    each = "; ".join(map(_tally, judging.tallies))
    if judging.mode != "panel":
        return [f"Judges, one after the other: {each}"]
    ties = {"unjudged": "ties stay unjudged", "unsafe": "ties count as unsafe", "last": "the last judge decides ties"}[judging.tie]
    return [
        f"Panel of {len(judging.tallies)} by majority, {ties}: {each}",
        f"{count(judging.verdicts, 'verdict')} in all: {judging.tied:,} tied, {judging.fewer:,} with fewer votes than judges asked",
    ]


def print_judging(console: Console, judging: Judging | None) -> None:
    """Print the lines and, for a panel, a table of its judges' agreement; nothing for a single judge."""
    for words in describe_judging(judging):
        console.print(Text(words))
    if judging is None or not any(one.verdicts for one in judging.agreements):
        return
    names = [judge for one in judging.agreements for judge in one.judges]
    console.print(fit_table(console, names, partial(_agreements, judging.agreements)))
    console.print(
        Text(
            "kappa (1: always agree, 0: as by chance), and the share of verdicts on which they agree, where each of them gave one",
            style="dim",
        )
    )


def _agreements(agreements: Sequence[JudgeAgreement], names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Agreement", no_wrap=True)
    for question in SCALES:
        table.add_column(question, justify="right", no_wrap=True)
    found = {(one.judges, one.question): one for one in agreements}
    for judges in dict.fromkeys(one.judges for one in agreements if one.verdicts):
        several = len(judges) > 2
        who = (",\n" if several else ", ").join(names[judge].plain for judge in judges)
        table.add_row(
            Text(f"all {who} (Fleiss)" if several else f"{who} (Cohen)"),
            *(_agreement(found.get((judges, question))) for question in SCALES),
        )
    return table


def _tally(tally: Tally) -> str:
    if not tally.asked:
        return f"{plain(tally.judge)} was not asked"
    failures = [f"{number:,} {words}" for key, words in FAILURES if (number := getattr(tally, key))]
    told = f" of {tally.asked:,} asked ({', '.join(failures)})" if failures else ""
    return f"{plain(tally.judge)} {count(tally.judged, 'verdict') if not told else f'{tally.judged:,}'}{told}"


def _agreement(agreement: JudgeAgreement | None) -> str:
    if agreement is None or not agreement.verdicts:
        return "-"
    kappa = "undefined" if agreement.kappa is None else f"{agreement.kappa:.2f}"
    return f"{kappa}, {agreement.same:.0%} of {agreement.verdicts:,}"
