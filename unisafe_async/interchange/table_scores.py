"""The scores of a run that a table shows, with their provenance; and the paper's figures for models of the same name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.paper import OVERALL, PAPER_JUDGE, count_empty_answers, describe_empty, fold_name, published
from unisafe_async.results.provenance import Provenance, read_provenance
from unisafe_async.results.runs import find_newest_run
from unisafe_async.results.scores import BESIDE, SCORES, Score, scores

BY = ("model", "task")
"""The paper's breakdown; Markdown and LaTeX show it in the paper's layout."""

Value = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Theirs:
    """The paper's figures beside a run's, and what a reader must know about them.

    Args:
        figures: by model and task (or `all`), then by score, between 0 and 1.
        notes: other judges, models that the paper does not have, empty answers that count as refusals here.
    """

    figures: Mapping[tuple[str, str], Mapping[str, float]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """The scores of a run for each combination of `by`.

    Args:
        intervals: whether 95% intervals are shown.
        overall: the scores by model alone; empty for a table that has none.
        theirs: the paper's figures, for a table that shows them.
    """

    provenance: Provenance
    by: tuple[str, ...]
    scores: list[Score]
    intervals: bool
    overall: list[Score] = field(default_factory=list)
    theirs: Theirs | None = None

    @property
    def columns(self) -> list[str]:
        shares = [column for name in SCORES for column in ((name, f"{name}_low", f"{name}_high") if self.intervals else (name,))]
        beside = [column for name in self.beside for column in self._beside_columns(name)]
        return [*self.by, "items", "valid", *shares, *beside, "run", "simulated"]

    @property
    def beside(self) -> list[str]:
        """The keys of BESIDE that any score in the table has; their columns follow the four scores."""
        return [name for name in BESIDE if any(name in score.beside for score in self.scores)]

    def _beside_columns(self, name: str) -> list[str]:
        return [name, *([f"{name}_low", f"{name}_high"] if self.intervals else []), f"{name}_of"]

    def records(self) -> list[list[Value]]:
        """One list for each score, in the order of `columns`; shares between 0 and 1, None if no item is valid.

        The last two columns tell what a reader must know about a record that is passed on alone.
        """
        return [
            [*score.key, score.items, score.valid, *self._shares(score), *self._besides(score), self.run, self._simulated(score)]
            for score in self.scores
        ]

    @property
    def run(self) -> str:
        return self.provenance.run

    def _simulated(self, score: Score) -> bool:
        """Whether the judge, or a model behind the score, was simulated."""
        simulated = self.provenance.simulated
        if "judge" in simulated or "model" not in self.by:
            return bool(simulated)
        return score.key[self.by.index("model")] in simulated

    def _besides(self, score: Score) -> list[Value]:
        """For each key in `beside`, its share and the number of items with such a verdict."""
        found: list[Value] = []
        for name in self.beside:
            one = score.beside.get(name)
            values = (one.share.value, one.share.low, one.share.high) if one else (None, None, None)
            found += [*(values if self.intervals else values[:1]), one.of if one else 0]
        return found

    def _shares(self, score: Score) -> list[float | None]:
        found: list[float | None] = []
        for name in SCORES:
            share = score.shares.get(name)
            values = (share.value, share.low, share.high) if share else (None, None, None)
            found += values if self.intervals else values[:1]
        return found


def read_table(
    connection: duckdb.DuckDBPyConnection,
    name: str | None,
    by: Sequence[str] = BY,
    *,
    intervals: bool = False,
    overall: bool = False,
    paper: bool = False,
) -> Table:
    """The scores of a run (the beginning of its name, or None for the newest). Raises CacheError if there is none.

    Args:
        overall: whether a table by model follows.
        paper: whether the paper's figures stand beside ours. Then an empty answer counts as refused and safe, as in the paper.
    """
    run = find_newest_run(connection, name)
    by = tuple(dict.fromkeys(by))
    provenance = read_provenance(connection, run, {} if by == BY else {"by": list(by)})

    def read(dimensions: tuple[str, ...]) -> list[Score]:
        found = scores(connection, run, dimensions, empty_refused=paper)
        return sorted(found, key=lambda score: _place(score, dimensions, provenance))

    beside = read(("model",)) if overall else []
    theirs = _read_theirs(connection, run, provenance) if paper else None
    return Table(provenance, by, read(by), intervals, beside, theirs)


def _place(score: Score, by: Sequence[str], provenance: Provenance) -> list[tuple[int, str]]:
    """Where a score stands: models as configured, tasks as in the paper, everything else by name and after those."""
    known = {"model": [party.name for party in provenance.models], "task": list(TASKS)}
    last = len(known["model"]) + len(TASKS)
    return [
        (known[column].index(value) if value in known.get(column, ()) else last, value)
        for column, value in zip(by, score.key, strict=True)
    ]


def _read_theirs(connection: duckdb.DuckDBPyConnection, run: str, provenance: Provenance) -> Theirs:
    """The paper's figures; over all tasks only for a model whose judged tasks are all in the paper."""
    figures: dict[tuple[str, str], dict[str, float]] = {}
    for one in published(connection, run):
        figures.setdefault((one.model, one.task), {})[one.score] = one.theirs
    judged: dict[str, list[str]] = {}
    for score in scores(connection, run, BY, empty_refused=True):
        if score.valid:
            judged.setdefault(score.key[0], []).append(score.key[1])
    for model, tasks in judged.items():
        if any((model, task) not in figures for task in tasks):
            figures.pop((model, OVERALL), None)
        elif len(tasks) == 1:
            figures[model, OVERALL] = figures[model, tasks[0]]
    return Theirs(figures=figures, notes=tuple(_describe_theirs(figures, provenance, count_empty_answers(connection, run))))


def _describe_theirs(figures: Mapping[tuple[str, str], object], provenance: Provenance, empty: int) -> list[str]:
    shown = {model for model, _ in figures}
    others = [party.name for party in provenance.models if party.name not in shown]
    judges = [party.name for party in provenance.judges]
    notes = []
    if any(task == OVERALL for _, task in figures):
        notes.append("The paper's figures over all tasks are weighted by our numbers of items")
    if shown and [fold_name(judge) for judge in judges] != [fold_name(PAPER_JUDGE)]:
        notes.append(f"The judge is {', '.join(judges)} here and {PAPER_JUDGE} in the paper")
    if others:
        notes.append(f"Not in the paper by that name: {', '.join(others)}")
    return [*notes, *describe_empty(empty)]
