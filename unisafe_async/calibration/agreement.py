"""Compares people's labels with the judge: accuracy, Cohen's kappa, confusion matrices, and labels that cannot be compared.

Accuracy is the share of compared responses on which judge and people gave the same verdict; its interval is Wilson's (1927), 95%.
If several people labelled one response, the majority is compared; a tie is only counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import duckdb
from unisafe_cache import read_file
from unisafe_cache.columns import build_record
from unisafe_cache.sql_texts import quote_list
from unisafe_judger import SCALES
from unisafe_providers.lines import BadItemLine

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.calibration.labels import Label, LabelError, digest_response, read_labels
from unisafe_async.results.rater_agreement import compute_cohens_kappa, compute_wilson_interval
from unisafe_async.results.runs import find_newest_run
from unisafe_async.text import count

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The judge's side of a labelled response; `unseen` says that the verdict was imported, without the response."""

    run: str
    task: str
    judge: str
    came_out: bool
    unseen: bool
    labels: dict[str, int | None]
    reasons: dict[str, str]


Verdicts = dict[tuple[str, ...], Judged | None]
"""Verdicts by a label's item, model, repeat and response; None if the run has another response there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedLabel:
    """One response and question with both a label by people and a verdict of the judge."""

    question: str
    item: str
    model: str
    repeat: int
    task: str
    human: int
    judge: int
    reason: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How often two sides agree; `accuracy`, `low` and `high` are None if `n` is 0, and `kappa` if it is undefined."""

    n: int
    agreed: int
    accuracy: float | None
    low: float | None
    high: float | None
    kappa: float | None


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What `agree` found.

    Attributes:
        runs: the runs whose verdicts were compared.
        judges: the judges that gave them.
        labels: all labels that were read; `responses` is the number of responses that they are about.
        bad: lines of the file that are no label.
        unseen: responses whose verdicts were imported without them: only item, model and repeat say what was judged.
        missing: responses that the run does not have. `changed`: the run has another response there. `silent`: nothing came out,
            so no judge was asked.
        unjudged, unlabelled, tied: for each question, responses without the judge's verdict, without a label, and with a tie
            between people.
        comparisons: every pair of verdicts.
        between: for each question and pair of labellers, the Cell over the responses that both labelled.
        single: for each question and labeller, the Cell against the judge, if there are several labellers.
    """

    runs: tuple[str, ...]
    judges: tuple[str, ...]
    labellers: tuple[str, ...]
    labels: int
    responses: int
    unseen: int
    bad: tuple[BadItemLine, ...]
    missing: int
    changed: int
    silent: int
    unjudged: dict[str, int]
    unlabelled: dict[str, int]
    tied: dict[str, int]
    comparisons: tuple[ComparedLabel, ...]
    between: dict[str, dict[tuple[str, str], Cell]]
    single: dict[str, dict[str, Cell]]

    def of(self, question: str, task: str | None = None) -> list[ComparedLabel]:
        return [one for one in self.comparisons if one.question == question and task in (None, one.task)]

    def cell(self, question: str, task: str | None = None) -> Cell:
        """Agreement on `contextual` or `intrinsic`, over all tasks or one."""
        return cell_of([(one.human, one.judge) for one in self.of(question, task)], tuple(SCALES[question].words))

    def matrix(self, question: str) -> list[list[int]]:
        """How often people gave the row's verdict and the judge the column's, in the order unsafe, safe, refusal."""
        return matrix_of([(one.human, one.judge) for one in self.of(question)], tuple(SCALES[question].words))

    @property
    def disagreements(self) -> list[ComparedLabel]:
        return [one for one in self.comparisons if one.human != one.judge]


def agree(labels: Path | str, cache: Path | str, run: str | None = None) -> Agreement:
    """Compare the labels in a file with the verdicts of `run`, or each label with the run in which it was given.

    A label is about a response, not a run: it also counts for a run that judged the same response with another judge.
    Raises LabelError if no line of the file can be used or no labelled response is there, CacheError if there is no such run.
    """
    path = Path(labels)
    given, bad = read_labels(path)
    if not given:
        first = f"; the first problem: {bad[0]}" if bad else "; it is empty"
        raise LabelError(f"{path} holds no label that can be used{first}")

    def read(connection: duckdb.DuckDBPyConnection) -> tuple[str | None, Verdicts]:
        full = find_newest_run(connection, run) if run is not None else None
        return full, _read_verdicts(connection, given, full)

    name, verdicts = read_file(Path(cache), read)
    if not any(verdicts.values()):
        raise LabelError(_explain_nothing(path, name, given, verdicts))
    return compare(given, bad, verdicts)


def _explain_nothing(path: Path, run: str | None, labels: Sequence[Label], verdicts: Verdicts) -> str:
    """Why no label can be compared, and what to do; `run` is the requested run."""
    responses = {_key(label) for label in labels}
    whose = ", ".join(sorted({label.run for label in labels if label.run}))
    where = f"run {run}" if run else f"the runs that they were given in ({whose or 'not named'})"
    other = sum(key in verdicts for key in responses)
    why = f"; of {other:,} the run has another response" if other else ""
    todo = f"they were given in {whose}: leave --run out" if run and whose else "name another --run or another --cache"
    return f"{path}: of {count(len(responses), 'labelled response')} none is in {where}{why}; {todo}"


IMAGE_TASKS = quote_list(task.key for task in TASKS.values() if task.image_out)
SQL = f"""
SELECT rows.run, item, rows.model, sample, task, judge, responses.text, responses.images, contextual, intrinsic,
       contextual_reason, intrinsic_reason,
       rows.response IS NULL AND outcome = 'answered', task IN ({IMAGE_TASKS})
FROM rows LEFT JOIN responses ON responses.id = rows.response
WHERE rows.run IN (SELECT unnest(?::VARCHAR[])) AND item IN (SELECT unnest(?::VARCHAR[]))
"""


def _read_verdicts(
    connection: duckdb.DuckDBPyConnection, labels: Sequence[Label], run: str | None
) -> dict[tuple[str, ...], Judged | None]:
    """The judge's verdicts by the labels' keys; None if the run has another response than the labelled one."""
    wanted: dict[tuple[str, str, str, int], list[Label]] = {}
    newest = ""
    if run is None and any(not label.run for label in labels):
        newest = find_newest_run(connection, None)
    for label in labels:
        wanted.setdefault((run or label.run or newest, label.item, label.model, label.repeat), []).append(label)
    runs = sorted({key[0] for key in wanted})
    items = sorted({key[1] for key in wanted})
    found: Verdicts = {}
    for start in range(0, len(items), BATCH):
        for record in connection.execute(SQL, [runs, items[start : start + BATCH]]).fetchall():
            name, item, model, repeat, task, judge, text, images, contextual, intrinsic, why_ctx, why_int, unseen, image = record
            digest = digest_response(text or "", images or ())
            for label in wanted.get((name, item, model, repeat), ()):
                if label.response and label.response != digest and not unseen:
                    found.setdefault(_key(label), None)
                    continue
                came_out = unseen or (bool(images) if image else bool((text or "").strip()))
                verdicts = {"contextual": contextual, "intrinsic": intrinsic}
                reasons = {"contextual": why_ctx or "", "intrinsic": why_int or ""}
                found[_key(label)] = Judged(
                    run=name, task=task, judge=judge, came_out=came_out, unseen=unseen, labels=verdicts, reasons=reasons
                )
    return found


def _key(label: Label) -> tuple[str, ...]:
    return (label.item, label.model, str(label.repeat), label.response)


def compare(labels: Sequence[Label], bad: Sequence[BadItemLine], judged: Verdicts) -> Agreement:
    """The agreement of labels with verdicts; pure."""
    by_response: dict[tuple[str, ...], list[Label]] = {}
    for label in labels:
        by_response.setdefault(_key(label), []).append(label)
    labellers = tuple(sorted({label.labeller for label in labels}))
    missing = changed = silent = 0
    unjudged, unlabelled, tied = Counter[str](), Counter[str](), Counter[str]()
    comparisons: list[ComparedLabel] = []
    single: dict[str, dict[str, list[tuple[int, int]]]] = {question: {who: [] for who in labellers} for question in SCALES}
    used: list[Judged] = []
    for key, said in by_response.items():
        verdict = judged.get(key)
        if verdict is None:
            changed += key in judged
            missing += key not in judged
            continue
        if not verdict.came_out:
            silent += 1
            continue
        used.append(verdict)
        for question in SCALES:
            given = {label.labeller: value for label in said if (value := _value(label, question)) is not None}
            answer = verdict.labels[question]
            if not given:
                unlabelled[question] += 1
            elif answer is None:
                unjudged[question] += 1
            else:
                for who, value in given.items():
                    single[question][who].append((value, answer))
                human = find_majority(given.values())
                if human is None:
                    tied[question] += 1
                    continue
                first = said[0]
                notes = "; ".join(label.note for label in said if label.note)
                reason = verdict.reasons[question]
                comparisons.append(
                    ComparedLabel(
                        question=question,
                        item=first.item,
                        model=first.model,
                        repeat=first.repeat,
                        task=verdict.task,
                        human=human,
                        judge=answer,
                        reason=reason,
                        note=notes,
                    )
                )
    return Agreement(
        runs=tuple(sorted({one.run for one in used})),
        judges=tuple(sorted({one.judge for one in used})),
        labellers=labellers,
        labels=len(labels),
        responses=len(by_response),
        unseen=sum(one.unseen for one in used),
        bad=tuple(bad),
        missing=missing,
        changed=changed,
        silent=silent,
        unjudged=dict(unjudged),
        unlabelled=dict(unlabelled),
        tied=dict(tied),
        comparisons=tuple(comparisons),
        between={question: _compare_labellers(by_response.values(), labellers, question) for question in SCALES},
        single={
            question: {who: cell_of(pairs, tuple(SCALES[question].words)) for who, pairs in each.items()}
            if len(labellers) > 1
            else {}
            for question, each in single.items()
        },
    )


def _value(label: Label, question: str) -> int | None:
    return label.contextual if question == "contextual" else label.intrinsic


def _compare_labellers(
    by_response: Iterable[Sequence[Label]], labellers: Sequence[str], question: str
) -> dict[tuple[str, str], Cell]:
    """How far each two labellers agree on `question`, over the responses that both labelled."""
    pairs: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for said in by_response:
        given = {label.labeller: value for label in said if (value := _value(label, question)) is not None}
        for one, other in combinations(labellers, 2):
            if one in given and other in given:
                pairs.setdefault((one, other), []).append((given[one], given[other]))
    return {who: cell_of(both, tuple(SCALES[question].words)) for who, both in sorted(pairs.items())}


def find_majority(values: Iterable[int]) -> int | None:
    """The majority's verdict; None for a tie."""
    ranked = Counter(values).most_common(2)
    return None if len(ranked) > 1 and ranked[0][1] == ranked[1][1] else ranked[0][0]


def matrix_of(pairs: Sequence[tuple[int, int]], labels: Sequence[int]) -> list[list[int]]:
    counted = Counter(pairs)
    return [[counted[row, column] for column in labels] for row in labels]


def cell_of(pairs: Sequence[tuple[int, int]], labels: Sequence[int]) -> Cell:
    """Accuracy with its interval, and Cohen's kappa (1960), of pairs of verdicts."""
    n, agreed = len(pairs), sum(one == other for one, other in pairs)
    if not n:
        return Cell(n=0, agreed=0, accuracy=None, low=None, high=None, kappa=None)
    return build_record(
        Cell, (n, agreed, agreed / n, *compute_wilson_interval(agreed, n), compute_cohens_kappa(matrix_of(pairs, labels)))
    )
