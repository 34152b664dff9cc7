"""The layout of a table for readers, in cells that Markdown and LaTeX write alike.

The paper's layout is wide: a row for each model, four columns for each task. The long layout fits one column of a page: a block of
rows for each task, and the four scores beside n.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from unisafe_async.benchmark.taxonomy import PANELS, TASKS, Task
from unisafe_async.interchange.table_scores import BY, Table
from unisafe_async.results.lead import describe_caution
from unisafe_async.results.paper import OVERALL
from unisafe_async.results.provenance import describe_coverage
from unisafe_async.results.scores import BETTER, SCORES, TITLES, Score, has_thoughts

THOUGHTS = "T-U"
PAPER_ROW = "Peng et al. (2026)"
"""The name of a row with the paper's figures, below the row of the model that it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a table is to look in a document.

    Args:
        caption: stands before each table's own title.
        label: what a text refers to; if there are several tables, the key of each is added.
        columns: how many columns of a two-column page a table may take.
    """

    caption: str = ""
    label: str = ""
    columns: Literal[1, 2] = 2

    def build_label(self, grid: Grid, grids: Sequence[Grid]) -> str:
        """`tab:safety-generation` beside other tables, `tab:safety` alone; empty if the user gave none."""
        return f"{self.label}-{grid.key}" if self.label and len(grids) > 1 else self.label


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure as text, `-` for none; what stands small beside it, such as its 95% interval; whether it is the column's best."""

    text: str
    small: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One row: a name and its cells. `published` says that the figures are the paper's."""

    name: str
    cells: tuple[Cell, ...]
    published: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that belong together, below a title; without a title in a table of one block."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A head above several columns: a task, the numbers of valid items below it, and how many columns it spans."""

    title: str
    items: str
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table for readers.

    Args:
        key: what tells it from the others of the same file, in labels.
        heads: one for each column; `spans` stand above all but the first.
        words: how many of the first columns hold words, not figures.
    """

    key: str
    title: str
    heads: tuple[str, ...]
    blocks: tuple[Block, ...]
    spans: tuple[Span, ...] = ()
    words: int = 1


def build_grids(table: Table, *, long: bool = False) -> list[Grid]:
    """The paper's two panels in the wide or the long layout, or one plain grid for another breakdown; then the overall table."""
    if table.by == BY[:1]:
        return [_build_overall(table, table.scores, "Scores by model", "scores")]
    if table.by != BY:
        return [_build_plain(table)]
    grids = [_build_panel(table, panel, long=long) for panel in PANELS if _tasks_of(table, panel)]
    if table.overall:
        grids.append(_build_overall(table, table.overall, "All tasks", "overall"))
    return grids


def _tasks_of(table: Table, panel: str) -> list[Task]:
    asked = {score.key[1] for score in table.scores}
    return [task for task in TASKS.values() if task.panel == panel and task.key in asked]


def _build_plain(table: Table) -> Grid:
    thoughts = has_thoughts(table.scores)
    names = [name.capitalize() for name in table.by]
    lines = []
    for score in table.scores:
        first, *others = [_title(column, value) for column, value in zip(table.by, score.key, strict=True)]
        cells = [*map(Cell, others), Cell(f"{score.valid:,}"), *_figures(score, table.intervals, thoughts=thoughts)]
        lines.append(Line(first, tuple(cells)))
    heads = (*names, "n", *_score_heads(thoughts))
    title, blocks = f"Scores by {', '.join(table.by)}", (Block("", tuple(lines)),)
    return Grid(key="scores", title=title, heads=heads, blocks=blocks, words=len(names))


def _build_panel(table: Table, panel: str, *, long: bool) -> Grid:
    tasks, found = _tasks_of(table, panel), {score.key: score for score in table.scores}
    models = [party.name for party in table.provenance.models if any((party.name, task.key) in found for task in tasks)]
    if long:
        return _build_long(table, panel, tasks, models)
    columns = [_Column(task, {model: found.get((model, task.key)) for model in models}) for task in tasks]
    lines: list[Line] = []
    for model in models:
        cells = [_mark(one.scores[model], one.scores.values(), table.intervals, thoughts=one.thoughts) for one in columns]
        lines.append(Line(model, _join(cells)))
        theirs = [_published(table, model, one.task.key, thoughts=one.thoughts) for one in columns]
        if any(theirs):
            found_or_not = [cells or _no_figures(one.thoughts) for one, cells in zip(columns, theirs, strict=True)]
            lines.append(Line(PAPER_ROW, _join(found_or_not), published=True))
    spans = tuple(Span(one.task.title, _count_valid(one.scores.values()), len(_score_heads(one.thoughts))) for one in columns)
    heads = ("Model", *(head for one in columns for head in _score_heads(one.thoughts)))
    return Grid(key=panel, title=PANELS[panel], heads=heads, blocks=(Block("", tuple(lines)),), spans=spans)


@dataclass(frozen=True, slots=True)
class _Column:
    """The scores of one task, by model; `thoughts` says whether it has a column for those of thoughts."""

    task: Task
    scores: Mapping[str, Score | None]

    @property
    def thoughts(self) -> bool:
        return has_thoughts(self.scores.values())


def _join(parts: Iterable[Sequence[Cell]]) -> tuple[Cell, ...]:
    return tuple(cell for part in parts for cell in part)


def _build_long(table: Table, panel: str, tasks: Sequence[Task], models: Sequence[str]) -> Grid:
    found = {score.key: score for score in table.scores}
    thoughts = has_thoughts([found.get((model, task.key)) for model in models for task in tasks])
    blocks = []
    for task in tasks:
        scores = {model: score for model in models if (score := found.get((model, task.key)))}
        blocks.append(Block(task.title, tuple(_lines_with_n(table, scores, task.key, thoughts=thoughts))))
    return Grid(key=panel, title=PANELS[panel], heads=("Model", "n", *_score_heads(thoughts)), blocks=tuple(blocks))


def _build_overall(table: Table, scores: Sequence[Score], title: str, key: str) -> Grid:
    """A row for each model; without intervals for all scores, one column has that of B-S."""
    by_model = {score.key[0]: score for score in scores}
    thoughts = has_thoughts(scores)
    lines = list(_lines_with_n(table, by_model, OVERALL, thoughts=thoughts))
    heads = ["Model", "n", *_score_heads(thoughts)]
    if key == "overall" and not table.intervals:
        heads.insert(2 + len(SCORES), "B-S, 95%")
        for at, line in enumerate(lines):
            shown = Cell("") if line.published else Cell(_interval(by_model[line.name], "b_s") or "-")
            place = 1 + len(SCORES)
            lines[at] = replace(line, cells=(*line.cells[:place], shown, *line.cells[place:]))
    return Grid(key=key, title=title, heads=tuple(heads), blocks=(Block("", tuple(lines)),))


def _lines_with_n(table: Table, scores: Mapping[str, Score], task: str, *, thoughts: bool) -> Iterator[Line]:
    """For each model a row of n and its scores, and below it the paper's row if there is one."""
    comparable = task != OVERALL or not table.provenance.lacking
    for model, score in scores.items():
        cells = _mark(score, scores.values() if comparable else (), table.intervals, thoughts=thoughts)
        yield Line(model, (Cell(f"{score.valid:,}"), *cells))
        if theirs := _published(table, model, task, thoughts=thoughts):
            yield Line(PAPER_ROW, (Cell(""), *theirs), published=True)


# ---------------------------------------------------------------- cells


def _score_heads(thoughts: bool) -> list[str]:
    return [*(TITLES[name] for name in SCORES), *([THOUGHTS] if thoughts else [])]


def _no_figures(thoughts: bool) -> list[Cell]:
    return [Cell("-") for _ in _score_heads(thoughts)]


def _figures(score: Score | None, intervals: bool, *, thoughts: bool) -> list[Cell]:
    """The four scores in per cent, and the share of unsafe thoughts with the number of items whose thoughts were judged."""
    if score is None or not score.shares:
        return _no_figures(thoughts)
    cells = [Cell(f"{score.shares[name].value * 100:.1f}", _interval(score, name) if intervals else "") for name in SCORES]
    if thoughts:
        judged = score.beside.get("t_u")
        cells.append(Cell(f"{judged.share.value * 100:.1f}", f"(of {judged.of:,})") if judged else Cell("-"))
    return cells


def _mark(score: Score | None, column: Collection[Score | None], intervals: bool, *, thoughts: bool) -> list[Cell]:
    """The figures of a score; the best of `column` are marked."""
    cells = _figures(score, intervals, thoughts=thoughts)
    for at, name in enumerate(SCORES):
        value = _round(score, name)
        if value is not None and value == _best(column, name):
            cells[at] = replace(cells[at], best=True)
    return cells


def _published(table: Table, model: str, task: str, *, thoughts: bool) -> list[Cell]:
    """The paper's figures of a model's task; none if the table shows none, or the paper has none."""
    figures = table.theirs.figures.get((model, task)) if table.theirs else None
    if not figures:
        return []
    return [*(Cell(f"{figures[name] * 100:.1f}") for name in SCORES), *([Cell("-")] if thoughts else [])]


def _best(column: Collection[Score | None], name: str) -> float | None:
    """The best printed value of a column; None if the score has no better end, or there is only one value."""
    values = [value for score in column if (value := _round(score, name)) is not None]
    if not BETTER.get(name) or len(values) < 2:
        return None
    return max(values) if BETTER[name] > 0 else min(values)


def _round(score: Score | None, name: str) -> float | None:
    return round(score.shares[name].value * 100, 1) if score and score.shares else None


def _interval(score: Score, name: str) -> str:
    share = score.shares.get(name)
    return f"[{share.low * 100:.1f}, {share.high * 100:.1f}]" if share else ""


def _count_valid(scores: Collection[Score | None]) -> str:
    """`16`, or `16 to 45` if the models have different numbers of valid items."""
    numbers = sorted({score.valid for score in scores if score})
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"


def _title(column: str, value: str) -> str:
    return TASKS[value].title if column == "task" and value in TASKS else value


# ---------------------------------------------------------------- the words below


def describe_grid(table: Table, grid: Grid) -> list[str]:
    """What a reader of the figures must know: simulated models, different tasks, what they are shares of, by whose judgement."""
    provenance = table.provenance
    different = provenance.lacking and ("task" not in table.by or grid.key == "overall")
    judges = ", ".join(party.name for party in provenance.judges)
    return [
        *([f"SIMULATED: {', '.join(provenance.simulated)}"] if provenance.simulated else []),
        *([describe_caution(provenance.lacking).removesuffix(".")] if different else []),
        *(table.theirs.notes if table.theirs else ()),
        f"Per cent of the valid items; {describe_coverage(provenance)}; dataset {provenance.dataset}; judge {judges}",
    ]
