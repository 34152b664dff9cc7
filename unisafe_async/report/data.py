"""`data check`: a dataset's counts beside the paper's, and every problem."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unisafe_async.dataset import Dataset, ItemError, open_dataset
from unisafe_async.report.text import count, line
from unisafe_async.taxonomy import CATEGORIES, CATEGORY_OF, TASKS

SHORT = {
    "Toxicity Content": "Toxic",
    "Sensitive Topics": "Sensit.",
    "Privacy Leak": "Privacy",
    "Unethical Activities": "Unethic.",
    "Physical & Mental Harm": "Harm",
    "Biased Opinion": "Bias",
}


@dataclass(frozen=True)
class Check:
    """A dataset and all that is wrong with it: lines that were refused, and images that are broken."""

    dataset: Dataset
    problems: list[str]


def check(source: str) -> Check:
    """Read every line and decode every image. Raises DatasetError when nothing can be used."""
    dataset = open_dataset(source)
    problems = [str(problem) for problem in dataset.problems]
    for item, place in zip(dataset.items(), dataset.places(), strict=True):
        if item.image is not None:
            try:
                dataset.images.identify(item.image)
                dataset.images.verify(item.image)
            except ItemError as error:
                problems.append(f"{place}: {error}")
    return Check(dataset, problems)


def published() -> Counter[tuple[str, str]]:
    """The paper's samples by task and category (distribution.csv)."""
    counts: Counter[tuple[str, str]] = Counter()
    text = files("unisafe_async").joinpath("data", "paper", "distribution.csv").read_text("utf-8")
    for record in csv.DictReader(text.splitlines()):
        counts[record["task"], record["category"]] += int(record["samples"])
    return counts


def print_check(console: Console, checked: Check) -> None:
    """Counts per task x category, each beside the paper's, then the problems."""
    ours: Counter[tuple[str, str]] = Counter()
    for (task, subcategory), number in checked.dataset.counts().items():
        ours[task, CATEGORY_OF[subcategory]] += number
    theirs = published()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), show_footer=True)
    table.add_column("ours/paper", "All", no_wrap=True)
    for category in CATEGORIES:
        sums = [sum(counts[task, category] for task in TASKS) for counts in (ours, theirs)]
        table.add_column(SHORT[category], f"{sums[0]}/{sums[1]}", justify="right", no_wrap=True)
    table.add_column("All", f"{len(checked.dataset)}/{theirs.total()}", justify="right", no_wrap=True)
    for task, kind in TASKS.items():
        cells = [f"{ours[task, category]}/{theirs[task, category]}" for category in CATEGORIES]
        sums = [sum(counts[task, category] for category in CATEGORIES) for counts in (ours, theirs)]
        table.add_row(kind.title.removeprefix("Malicious ").replace("Generation", "gen."), *cells, f"{sums[0]}/{sums[1]}")
    console.print(table)
    for problem in checked.problems:
        console.print(Text.assemble(("refused  ", "yellow"), line(problem)), soft_wrap=True)
    console.print(
        Text(f"{count(len(checked.dataset), 'item')}, {count(len(checked.problems), 'problem')}; digest {checked.dataset.digest}")
    )
