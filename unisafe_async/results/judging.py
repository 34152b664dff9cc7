"""Several judges in a run: what each of them judged, where they were split, how far they agree.

All of it is read from table `opinions`, which holds what each judge said of each row. Cohen's kappa (1960) is for two judges,
Fleiss' kappa (1971) for all; both over the verdicts that every one of those judges gave.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import duckdb
from unisafe_cache.columns import build_record
from unisafe_cache.run_shapes import Judge
from unisafe_judger import SAFETY_OR_REFUSAL, SCALES

from unisafe_async.results.rater_agreement import compute_cohens_kappa, compute_fleiss_kappa

LABELS = tuple(SAFETY_OR_REFUSAL.words)

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
RATED = f"""
SELECT {", ".join(f"count(*) FILTER (label = {label})" for label in LABELS)}
FROM opinions WHERE run = $run AND question = $question
GROUP BY item, model, sample HAVING count(label) = $judges
"""


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeAgreement:
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


@dataclass(frozen=True, slots=True, kw_only=True)
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
    agreements: tuple[JudgeAgreement, ...]


# ---------------------------------------------------------------- from the cache


def read_judging(connection: duckdb.DuckDBPyConnection, run: str, judge: Judge) -> Judging | None:
    """What the judges of a run did, `judge` by its configuration; None for a run with a single judge."""
    judges = judge.names
    if len(judges) < 2:
        return None
    found = connection.execute(TALLIES, {"run": run}).fetchall()
    names = {position: str(name) for position, name, *_ in found}
    asked = {question: [row[0] for row in found if row[2] == question] for question in SCALES}
    tallies = [
        build_record(Tally, (name, *(sum(row[3 + at] for row in found if row[0] == position) for at in range(4))))
        for position, name in enumerate(judges)
    ]
    verdicts, tied, fewer = connection.execute(VOTES, {"run": run}).fetchall()[0]
    panel = judge.mode == "panel"
    agreements = []
    for question in SCALES if panel else ():
        agreements += [_compare_pair(connection, run, question, names, *pair) for pair in combinations(asked[question], 2)]
        if len(asked[question]) > 2:
            agreements.append(_compare_all(connection, run, question, tuple(names[position] for position in asked[question])))
    return Judging(
        mode=judge.mode,
        tie=judge.tie,
        tallies=tuple(tallies),
        verdicts=verdicts,
        tied=tied if panel else 0,
        fewer=fewer if panel else 0,
        agreements=tuple(agreements),
    )


# ---------------------------------------------------------------- agreement


def _compare_pair(
    connection: duckdb.DuckDBPyConnection, run: str, question: str, names: dict[int, str], first: int, second: int
) -> JudgeAgreement:
    table = [[0] * len(LABELS) for _ in LABELS]
    places = {"run": run, "question": question, "first": first, "second": second}
    for one, other, number in connection.execute(PAIR, places).fetchall():
        table[one][other] = number
    total = sum(map(sum, table))
    same = sum(table[label][label] for label in LABELS)
    return JudgeAgreement(
        question=question,
        judges=(names[first], names[second]),
        verdicts=total,
        same=same / total if total else 0.0,
        kappa=compute_cohens_kappa(table),
    )


def _compare_all(connection: duckdb.DuckDBPyConnection, run: str, question: str, judges: tuple[str, ...]) -> JudgeAgreement:
    places = {"run": run, "question": question, "judges": len(judges)}
    rated = [list(map(int, row)) for row in connection.execute(RATED, places).fetchall()]
    same = sum(max(row) == len(judges) for row in rated)
    return JudgeAgreement(
        question=question,
        judges=judges,
        verdicts=len(rated),
        same=same / len(rated) if rated else 0.0,
        kappa=compute_fleiss_kappa(rated),
    )


# ---------------------------------------------------------------- in words
