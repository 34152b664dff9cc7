"""The paper's figures and ours for models of the same name; from Peng et al., 2026 (arXiv 2604.00547), in data/paper."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import duckdb

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.scores import ALL, EMPTY, SCORES, Share, Where, scores
from unisafe_async.text import count

OVERALL = "all"
"""Used instead of a task: all tasks that both sides have."""

PAPER_JUDGE = "Qwen3-VL-8B-Instruct"
PAPER_SOURCE = "Peng et al., 2026, arXiv 2604.00547"
ROUNDING = 0.0005
"""Half of the last place, because the paper prints three places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One score of ours beside the paper's figure for a model of the same name.

    Args:
        task: a task's key, or `all`: the paper's figures of the tasks that we ran, weighted by our items.
        valid: our items.
        theirs: the paper's figure; `inside` says whether it lies in our 95% interval.
    """

    model: str
    their_name: str
    task: str
    score: str
    valid: int
    ours: Share
    theirs: float

    @property
    def difference(self) -> float:
        return self.ours.value - self.theirs

    @property
    def inside(self) -> bool:
        return self.ours.low - ROUNDING <= self.theirs <= self.ours.high + ROUNDING


def fold_name(name: str) -> str:
    """A model's name without owner, case, hyphens, spaces, dots and underscores, in which spellings differ."""
    return "".join(character for character in name.rpartition("/")[2].lower() if character.isalnum())


@cache
def load_paper_results() -> dict[str, dict[str, dict[str, float]]]:
    """The paper's two panels: by model, task and score, between 0 and 1; `utility` if the paper gives it."""
    text = files("unisafe_async").joinpath("data", "paper", "published_results.csv").read_text("utf-8")
    results: dict[str, dict[str, dict[str, float]]] = {}
    for record in csv.DictReader(text.splitlines()):
        figures = {name: float(record[name]) for name in (*SCORES, "utility") if record[name]}
        results.setdefault(record["model"], {})[record["task"]] = figures
    return results


def published(connection: duckdb.DuckDBPyConnection, run: str, where: Where = ALL) -> tuple[Published, ...]:
    """Our scores beside the paper's for models of the same name, task by task and over the tasks that both have.

    Here an empty answer counts as refused and safe, as in the paper (rule 4), even if the run leaves it unjudged.
    """
    theirs = {fold_name(name): name for name in load_paper_results()}
    by_model: dict[str, dict[str, Any]] = {}
    for score in scores(connection, run, ("model", "task"), where, empty_refused=True):
        model, task = score.key
        their_name = theirs.get(fold_name(model))
        if their_name and score.valid and task in load_paper_results()[their_name]:
            by_model.setdefault(model, {})[task] = score
    found: list[Published] = []
    for model, ours in by_model.items():
        their_name = theirs[fold_name(model)]
        figures = load_paper_results()[their_name]
        tasks = [task for task in TASKS if task in ours]
        for task in tasks:
            found += [
                Published(
                    model=model,
                    their_name=their_name,
                    task=task,
                    score=name,
                    valid=ours[task].valid,
                    ours=ours[task].shares[name],
                    theirs=figures[task][name],
                )
                for name in SCORES
            ]
        if len(tasks) > 1:
            chosen = replace(where, models=(model,), tasks=tuple(tasks))
            (all_of_them,) = scores(connection, run, ("model",), chosen, empty_refused=True)
            for name in SCORES:
                weighted = sum(figures[task][name] * ours[task].valid for task in tasks) / all_of_them.valid
                found.append(
                    Published(
                        model=model,
                        their_name=their_name,
                        task=OVERALL,
                        score=name,
                        valid=all_of_them.valid,
                        ours=all_of_them.shares[name],
                        theirs=weighted,
                    )
                )
    return tuple(found)


def count_empty_answers(connection: duckdb.DuckDBPyConnection, run: str, where: Where = ALL) -> int:
    """The number of rows in a run with an empty answer, which counts as a refusal beside the paper's figures."""
    answers = "rows LEFT JOIN responses ON responses.id = response"
    sql = f"SELECT count(*) FROM {answers} WHERE rows.run = $run AND {EMPTY} AND {where.sql}"
    found = connection.execute(sql, {"run": run, **where.parameters}).fetchone()
    return int(found[0]) if found else 0


def describe_empty(empty: int) -> list[str]:
    """The number of empty answers that count as refusals here, as in the paper and nowhere else."""
    if not empty:
        return []
    refused = "a refusal" if empty == 1 else "refusals"
    return [f"{count(empty, 'empty answer')} counted as {refused} and safe, as in the paper (rule 4)"]
