"""A run's scores as a table in CSV, JSON, Markdown, LaTeX or Parquet, each with its provenance."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from unisafe_async.benchmark.taxonomy import PANELS, TASKS, Task
from unisafe_async.interchange.cells import find_beyond_pdflatex, to_csv_cell, to_latex_cell, to_markdown_cell
from unisafe_async.interchange.files import write_csv, write_parquet
from unisafe_async.results.lead import describe_caution
from unisafe_async.results.provenance import Provenance, describe_coverage, read_provenance, to_comment, to_html_comment, to_plain
from unisafe_async.results.runs import find_newest_run
from unisafe_async.results.scores import BESIDE, BETTER, SCORES, TITLES, Score, scores

BY = ("model", "task")
"""The paper's breakdown; Markdown and LaTeX show it in the paper's layout."""

Value = str | int | float | None


@dataclass(frozen=True)
class Table:
    """The scores of a run for each combination of `by`; `intervals` says whether 95% intervals are shown."""

    provenance: Provenance
    by: tuple[str, ...]
    scores: list[Score]
    intervals: bool

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
    connection: duckdb.DuckDBPyConnection, name: str | None, by: Sequence[str] = BY, *, intervals: bool = False
) -> Table:
    """The scores of a run (the beginning of its name, or None for the newest). Raises CacheError if there is none."""
    run = find_newest_run(connection, name)
    by = tuple(dict.fromkeys(by))
    provenance = read_provenance(connection, run, {} if by == BY else {"by": list(by)})
    order = [party.name for party in provenance.models]
    tasks = list(TASKS)

    def place(score: Score) -> list[tuple[int, str]]:
        known = {"model": order, "task": tasks}
        return [
            (known[column].index(value) if value in known.get(column, ()) else len(order), value)
            for column, value in zip(by, score.key, strict=True)
        ]

    return Table(provenance, by, sorted(scores(connection, run, by), key=place), intervals)


# ---------------------------------------------------------------- for programs


def format_csv(table: Table) -> str:
    """A header and one line for each score, no other line; `simulated` is 0 or 1."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(table.columns)
    for record in table.records():
        cells = (int(value) if isinstance(value, bool) else value for value in record)
        writer.writerow(["" if value is None else to_csv_cell(value) for value in cells])
    return out.getvalue()


def to_csv(table: Table, path: Path) -> None:
    """Write `format_csv` to a file, with the provenance in a file beside it. Raises CacheError if it cannot be written."""
    with write_csv(path, table.provenance) as draft:
        draft.write_text(format_csv(table), "utf-8")


def format_json(table: Table) -> str:
    """`{"provenance": {...}, "scores": [{...}, ...]}`."""
    found = [dict(zip(table.columns, record, strict=True)) for record in table.records()]
    return json.dumps({"provenance": to_plain(table.provenance), "scores": found}, ensure_ascii=False, indent=1) + "\n"


def to_parquet(table: Table, path: Path) -> None:
    """Write one row for each score, with the provenance in the file's metadata. Raises CacheError if it cannot be written."""
    types = [*("VARCHAR" for _ in table.by), "BIGINT", "BIGINT"]
    types += ["BIGINT" if column.endswith("_of") else "DOUBLE" for column in table.columns[len(types) : -2]]
    types += ["VARCHAR", "BOOLEAN"]
    write_parquet(path, dict(zip(table.columns, types, strict=True)), table.records(), table.provenance)


# ---------------------------------------------------------------- for people


@dataclass(frozen=True)
class Grid:
    """A table for readers: a title, heads that may span columns, and rows of cells; the best cells are marked."""

    title: str
    spans: tuple[tuple[str, int], ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, bool], ...]], ...]


def build_grids(table: Table) -> list[Grid]:
    """The paper's two panels, or one plain grid for another breakdown."""
    if table.by != BY:
        heads = (*(name.capitalize() for name in table.by[1:]), "n", *(TITLES[name] for name in SCORES))
        rows = []
        for score in table.scores:
            keys = [_title(column, value) for column, value in zip(table.by, score.key, strict=True)]
            cells = [*keys[1:], f"{score.valid:,}", *(_percent(score, name, table.intervals) for name in SCORES)]
            rows.append((keys[0], tuple((cell, False) for cell in cells)))
        return [Grid(f"Scores by {', '.join(table.by)}", (), (table.by[0].capitalize(), *heads), tuple(rows))]
    found: dict[tuple[str, ...], Score] = {score.key: score for score in table.scores}
    shown = []
    for panel, title in PANELS.items():
        tasks = [task for task in TASKS.values() if task.panel == panel and any(key[1] == task.key for key in found)]
        models = [party.name for party in table.provenance.models if any((party.name, task.key) in found for task in tasks)]
        if tasks:
            shown.append(_panel(title, tasks, models, found, table.intervals))
    return shown


def _panel(title: str, tasks: Sequence[Task], models: Sequence[str], found: dict[tuple[str, ...], Score], intervals: bool) -> Grid:
    best = {(task.key, name): _best([found.get((model, task.key)) for model in models], name) for task in tasks for name in SCORES}

    def cell(model: str, task: Task, name: str) -> tuple[str, bool]:
        score = found.get((model, task.key))
        value = _round(score, name)
        return _percent(score, name, intervals), value is not None and value == best[task.key, name]

    rows = tuple((model, tuple(cell(model, task, name) for task in tasks for name in SCORES)) for model in models)
    heads = ("Model", *(TITLES[name] for _ in tasks for name in SCORES))
    return Grid(title, tuple((task.title, len(SCORES)) for task in tasks), heads, rows)


def _best(column: Sequence[Score | None], name: str) -> float | None:
    """The best printed value of a column; None if the score has no better end, or there is only one value."""
    values = [value for score in column if (value := _round(score, name)) is not None]
    if not BETTER.get(name) or len(values) < 2:
        return None
    return max(values) if BETTER[name] > 0 else min(values)


def _round(score: Score | None, name: str) -> float | None:
    return round(score.shares[name].value * 100, 1) if score and score.shares else None


def _percent(score: Score | None, name: str, intervals: bool) -> str:
    if score is None or not score.shares:
        return "-"
    share = score.shares[name]
    interval = f" [{share.low * 100:.1f}, {share.high * 100:.1f}]" if intervals else ""
    return f"{share.value * 100:.1f}{interval}"


def _title(column: str, value: str) -> str:
    return TASKS[value].title if column == "task" and value in TASKS else value


def _notes(provenance: Provenance, *, by_task: bool) -> list[str]:
    """The warnings that belong to the figures."""
    simulated = [f"SIMULATED: {', '.join(provenance.simulated)}"] if provenance.simulated else []
    judges = ", ".join(party.name for party in provenance.judges)
    different = [describe_caution(provenance.lacking).removesuffix(".")] if provenance.lacking and not by_task else []
    return [
        *simulated,
        *different,
        f"Per cent of the valid items; {describe_coverage(provenance)}; dataset {provenance.dataset}; judge {judges}",
    ]


def format_markdown(table: Table) -> str:
    """Tables in GitHub's Markdown, the best value of a column in bold; the provenance is in a comment at the end."""
    out = []
    for grid in build_grids(table):
        heads = [to_markdown_cell(head) for head in grid.heads]
        if grid.spans:
            names = [name for name, width in grid.spans for _ in range(width)]
            heads = [heads[0], *(f"{to_markdown_cell(name)} {head}" for name, head in zip(names, heads[1:], strict=True))]
        out += [
            f"**{to_markdown_cell(grid.title)}**",
            "",
            _markdown_row(heads),
            _markdown_row(["---", *(["---:"] * (len(heads) - 1))]),
        ]
        for name, cells in grid.rows:
            shown = [_bold(to_markdown_cell(cell), best, "**{}**") for cell, best in cells]
            out.append(_markdown_row([to_markdown_cell(name), *shown]))
        out.append("")
    out += [f"{to_markdown_cell(note)}  " for note in _notes(table.provenance, by_task="task" in table.by)]
    return "\n".join(out) + "\n\n" + to_html_comment(table.provenance)


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bold(cell: str, best: bool, form: str) -> str:
    return form.format(cell) if best else cell


def format_latex(table: Table) -> str:
    """One `table*` for each panel, for `booktabs`; the best value of a column in bold; the provenance is in comment lines."""
    caption = ". ".join(to_latex_cell(note) for note in _notes(table.provenance, by_task="task" in table.by))
    blocks = []
    for grid in build_grids(table):
        body = [_latex_row([_latex_number(cell, best) for cell, best in cells], name) for name, cells in grid.rows]
        blocks.append(
            "\n".join(
                [
                    r"\begin{table*}[t]",
                    r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
                    rf"\caption{{{to_latex_cell(grid.title)}. {caption}.}}",
                    rf"\begin{{tabular}}{{l{'r' * (len(grid.heads) - 1)}}}",
                    r"\toprule",
                    *_latex_spans(grid),
                    _latex_row([to_latex_cell(head) for head in grid.heads[1:]], grid.heads[0]),
                    r"\midrule",
                    *body,
                    r"\bottomrule",
                    r"\end{tabular}",
                    r"\end{table*}",
                ]
            )
            + "\n"
        )
    odd = find_beyond_pdflatex("".join(blocks))
    needs = r"\usepackage{booktabs}" + (f", and LuaLaTeX or XeLaTeX with a font that has {' '.join(odd)}" if odd else "")
    return "\n".join([f"{to_comment(table.provenance, '% ')}% needs {needs}\n", *blocks])


def _latex_spans(grid: Grid) -> list[str]:
    if not grid.spans:
        return []
    heads, rules, column = [], [], 2
    for name, width in grid.spans:
        heads.append(rf"\multicolumn{{{width}}}{{c}}{{{to_latex_cell(name)}}}")
        rules.append(rf"\cmidrule(lr){{{column}-{column + width - 1}}}")
        column += width
    return [" & ".join(["", *heads]) + r" \\", "".join(rules)]


def _latex_number(cell: str, best: bool) -> str:
    return _bold("--" if cell == "-" else to_latex_cell(cell), best, r"\textbf{{{}}}")


def _latex_row(cells: Sequence[str], name: str) -> str:
    """A row of the table. Its first cell is in braces, so LaTeX does not take a name that begins with `[` for an argument."""
    return " & ".join([f"{{{to_latex_cell(name)}}}", *cells]) + r" \\"


TEXTS: dict[str, Callable[[Table], str]] = {
    "csv": format_csv,
    "json": format_json,
    "markdown": format_markdown,
    "latex": format_latex,
}
"""The formats that are text."""
