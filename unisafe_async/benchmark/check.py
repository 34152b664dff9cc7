"""A dataset looked at line by line and image by image, and the paper's counts to hold it against."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files

from unisafe_async.benchmark import Dataset, ItemError, open_dataset


@dataclass(frozen=True)
class Check:
    """A dataset and all its mistakes: refused lines and broken images."""

    dataset: Dataset
    problems: list[str]


def check(source: str) -> Check:
    """Read every line and decode every image. Raises DatasetError if nothing can be used."""
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


def count_published() -> Counter[tuple[str, str]]:
    """The paper's numbers of items by task and category (distribution.csv)."""
    counts: Counter[tuple[str, str]] = Counter()
    text = files("unisafe_async").joinpath("data", "paper", "distribution.csv").read_text("utf-8")
    for record in csv.DictReader(text.splitlines()):
        counts[record["task"], record["category"]] += int(record["samples"])
    return counts
