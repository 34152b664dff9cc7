"""Several judges, on the same screen as the scores: what each judged, where they were split, how far they agree.

The figures come from table `opinions`, which holds each judge's vote on each row. Cohen's kappa (1960) is for two judges, Fleiss'
kappa (1971) for all. Statsmodels computes both, over the verdicts that all of those judges gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unisafe_async.provenance import judge_names
from unisafe_async.report.fitting import fitted
from unisafe_async.report.text import count, plain

QUESTIONS = ("contextual", "intrinsic")
LABELS = (0, 1, 2)
FAILURES = (("blocked", "blocked"), ("unparsed", "not understood"), ("failed", "failed"))

TALLIES = """
SELECT position, any_value(judge), question, count(*) FILTER (label IS NOT NULL), count(*) FILTER (status = 'blocked'),
       count(*) FILTER (status = 'unparsed'), count(*) FILTER (status = 'failed')
FROM opinions WHERE run = $run GROUP BY position, question ORDER BY position, question
"""
VOTES = """
SELECT count(*), count(*) FILTER (most * 2 <= votes AND votes > 0), count(*) FILTER (votes < judges)
FROM (
    SELECT sum(given) AS votes, max(given) FILTER (label IS NOT NULL) AS most, sum(asked) AS judges
    FROM (
        SELECT item, model, sample, question, label, count(*) AS asked, count(label) AS given
        FROM opinions WHERE run = $run GROUP BY ALL
    ) GROUP BY item, model, sample, question
)
"""
PAIR = """
SELECT first.label, second.label, count(*)
FROM opinions first JOIN opinions second USING (run, item, model, sample, question)
WHERE run = $run AND question = $question AND first.position = $first AND second.position = $second
      AND first.label IS NOT NULL AND second.label IS NOT NULL
GROUP BY ALL
"""
RATED = """
SELECT count(*) FILTER (label = 0), count(*) FILTER (label = 1), count(*) FILTER (label = 2)
FROM opinions WHERE run = $run AND question = $question
GROUP BY item, model, sample HAVING count(label) = $judges
"""
OPINIONS = """
SELECT model, sample, question, judge, label, status, reason, raw
FROM opinions WHERE run = ? AND item = ? ORDER BY model, sample, question, position
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """One judge's work: the verdicts that it gave, and the failed ones by cause."""

    judge: str
    judged: int
    blocked: int
    unparsed: int
    failed: int

    @property
    def asked(self) -> int:
        return self.judged + self.blocked + self.unparsed + self.failed


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two judges agree (Cohen's kappa), or more than two (Fleiss').

    Args:
        verdicts: the number of verdicts that all of them gave.
        same: the share of these on which all agree.
        kappa: None if it is not defined: no verdicts in common, or only one label in all of them.
    """

    question: str
    judges: tuple[str, ...]
    verdicts: int
    same: float
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Judging:
    """The work of several judges in a run.

    Args:
        mode, tie: as configured.
        tallies: one for each judge, in their order.
        verdicts: the number of requested verdicts; `tied` had no majority, `fewer` had fewer votes than asked judges.
        agreements: for a panel, by question: of each pair and of all judges.
    """

    mode: str
    tie: str
    tallies: tuple[Tally, ...]
    verdicts: int
    tied: int
    fewer: int
    agreements: tuple[Agreement, ...]


# ---------------------------------------------------------------- from the cache


def read_judging(connection: duckdb.DuckDBPyConnection, run: str, config: dict[str, Any]) -> Judging | None:
    """The work of a run's judges; None for a run with a single judge."""
    judges = judge_names(config["judge"])
    if len(judges) < 2:
        return None
    found = connection.execute(TALLIES, {"run": run}).fetchall()
    names = {position: str(judge) for position, judge, *_ in found}
    asked = {question: [row[0] for row in found if row[2] == question] for question in QUESTIONS}
    tallies = [
        Tally(name, *(sum(row[3 + at] for row in found if row[0] == position) for at in range(4)))
        for position, name in enumerate(judges)
    ]
    verdicts, tied, fewer = connection.execute(VOTES, {"run": run}).fetchall()[0]
    panel = config["judge"]["mode"] == "panel"
    agreements = []
    for question in QUESTIONS if panel else ():
        agreements += [_pair(connection, run, question, names, *pair) for pair in combinations(asked[question], 2)]
        if len(asked[question]) > 2:
            agreements.append(_all(connection, run, question, tuple(names[position] for position in asked[question])))
    return Judging(
        config["judge"]["mode"],
        config["judge"]["tie"],
        tuple(tallies),
        verdicts,
        tied if panel else 0,
        fewer if panel else 0,
        tuple(agreements),
    )


def opinions_of(connection: duckdb.DuckDBPyConnection, run: str, item: str) -> dict[tuple[str, int, str], list[dict[str, Any]]]:
    """Each judge's vote on an item, by model, repeat and question; empty for a run with a single judge."""
    found: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for model, sample, question, judge, label, status, reason, raw in connection.execute(OPINIONS, [run, item]).fetchall():
        opinion = {"judge": judge, "label": label, "status": status, "reason": reason, "raw": raw}
        found.setdefault((model, sample, question), []).append(opinion)
    return found


# ---------------------------------------------------------------- agreement


def _pair(
    connection: duckdb.DuckDBPyConnection, run: str, question: str, names: dict[int, str], first: int, second: int
) -> Agreement:
    table = [[0] * len(LABELS) for _ in LABELS]
    places = {"run": run, "question": question, "first": first, "second": second}
    for one, other, number in connection.execute(PAIR, places).fetchall():
        table[one][other] = number
    total = sum(map(sum, table))
    same = sum(table[label][label] for label in LABELS)
    return Agreement(question, (names[first], names[second]), total, same / total if total else 0.0, cohens_kappa(table))


def _all(connection: duckdb.DuckDBPyConnection, run: str, question: str, judges: tuple[str, ...]) -> Agreement:
    places = {"run": run, "question": question, "judges": len(judges)}
    rated = [list(map(int, row)) for row in connection.execute(RATED, places).fetchall()]
    same = sum(max(row) == len(judges) for row in rated)
    return Agreement(question, judges, len(rated), same / len(rated) if rated else 0.0, fleiss_kappa(rated))


def cohens_kappa(table: Sequence[Sequence[int]]) -> float | None:
    """Cohen's kappa of a square table of counts (one judge's labels down, the other's across); None if it is 0/0."""
    used = {label for label, row in enumerate(table) if sum(row) or sum(other[label] for other in table)}
    if len(used) < 2:
        return None
    from statsmodels.stats.inter_rater import cohens_kappa as kappa

    return float(kappa(table, return_results=False))


def fleiss_kappa(rated: Sequence[Sequence[int]]) -> float | None:
    """Fleiss' kappa of rows that count the judges for each label, all with the same number of judges; None if it is 0/0."""
    if sum(any(column) for column in zip(*rated, strict=True)) < 2:
        return None
    from statsmodels.stats.inter_rater import fleiss_kappa as kappa

    return float(kappa(rated))


# ---------------------------------------------------------------- in words


def judging_lines(judging: Judging | None) -> list[str]:
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
    for words in judging_lines(judging):
        console.print(Text(words))
    if judging is None or not any(one.verdicts for one in judging.agreements):
        return
    names = [judge for one in judging.agreements for judge in one.judges]
    console.print(fitted(console, names, partial(_agreements, judging.agreements)))
    console.print(
        Text(
            "kappa (1: always agree, 0: as by chance), and the share of verdicts on which they agree, where each of them gave one",
            style="dim",
        )
    )


def _agreements(agreements: Sequence[Agreement], names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Agreement", no_wrap=True)
    for question in QUESTIONS:
        table.add_column(question, justify="right", no_wrap=True)
    found = {(one.judges, one.question): one for one in agreements}
    for judges in dict.fromkeys(one.judges for one in agreements if one.verdicts):
        several = len(judges) > 2
        who = (",\n" if several else ", ").join(names[judge].plain for judge in judges)
        table.add_row(
            Text(f"all {who} (Fleiss)" if several else f"{who} (Cohen)"),
            *(_agreement(found.get((judges, question))) for question in QUESTIONS),
        )
    return table


def _tally(tally: Tally) -> str:
    if not tally.asked:
        return f"{plain(tally.judge)} was not asked"
    failures = [f"{number:,} {words}" for key, words in FAILURES if (number := getattr(tally, key))]
    told = f" of {tally.asked:,} asked ({', '.join(failures)})" if failures else ""
    return f"{plain(tally.judge)} {count(tally.judged, 'verdict') if not told else f'{tally.judged:,}'}{told}"


def _agreement(agreement: Agreement | None) -> str:
    if agreement is None or not agreement.verdicts:
        return "-"
    kappa = "undefined" if agreement.kappa is None else f"{agreement.kappa:.2f}"
    return f"{kappa}, {agreement.same:.0%} of {agreement.verdicts:,}"
