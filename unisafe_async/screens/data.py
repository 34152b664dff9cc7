"""`data check`: a dataset's counts beside the paper's, and every problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unisafe_async.benchmark.check import Check, count_published
from unisafe_async.benchmark.taxonomy import CATEGORIES, TASKS, category_of
from unisafe_async.screens.console import line
from unisafe_async.screens.fitting import build_lines, measure_needed
from unisafe_async.text import count

SHORT = {
    "Toxicity Content": "Toxic",
    "Sensitive Topics": "Sensit.",
    "Privacy Leak": "Privacy",
    "Unethical Activities": "Unethic.",
    "Physical & Mental Harm": "Harm",
    "Biased Opinion": "Bias",
}


def print_check(console: Console, checked: Check) -> None:
    """Counts per task x category, each beside the paper's, then the problems."""
    ours: Counter[tuple[str, str]] = Counter()
    for (task, subcategory), number in checked.dataset.counts().items():
        ours[task, category_of(subcategory)] += number
    beside, below = _counts(ours, count_published(), "/"), _counts(ours, count_published(), "\n")
    fits = next((table for table in (beside, below) if measure_needed(console, table) <= console.width), None)
    console.print(fits or build_lines(console, beside))
    for problem in checked.problems:
        console.print(Text.assemble(("refused  ", "yellow"), line(problem)), soft_wrap=True)
    console.print(
        Text(f"{count(len(checked.dataset), 'item')}, {count(len(checked.problems), 'problem')}; digest {checked.dataset.digest}")
    )


def _counts(ours: Counter[tuple[str, str]], theirs: Counter[tuple[str, str]], between: str) -> Table:
    """Both counts of a cell with `between` between them: side by side, or on two lines if it is a line break."""

    def pair(tasks: Iterable[str], categories: Collection[str]) -> str:
        cells = [(task, category) for task in tasks for category in categories]
        return between.join(str(sum(counts[cell] for cell in cells)) for counts in (ours, theirs))

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), show_footer=True)
    below = "" if between == "/" else "\n  paper"
    table.add_column(f"ours{below or '/paper'}", f"All{below}", no_wrap=True)
    columns = {**{SHORT[category]: (category,) for category in CATEGORIES}, "All": tuple(CATEGORIES)}
    for title, categories in columns.items():
        table.add_column(title, pair(TASKS, categories), justify="right", no_wrap=True)
    for task, kind in TASKS.items():
        title = kind.title.removeprefix("Malicious ").replace("Generation", "gen.")
        table.add_row(f"{title}{below}", *(pair([task], categories) for categories in columns.values()))
    return table
