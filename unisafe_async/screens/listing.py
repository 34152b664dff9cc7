"""Lists of a cache's content: runs, and answers by model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from unisafe_providers.registry import answers_from

from unisafe_async.config.secret_words import hide_in_text
from unisafe_async.results.listing import ListedRun
from unisafe_async.screens.fitting import fit_table
from unisafe_async.text import count, format_dollars, format_duration, plain


def print_runs(console: Console, runs: list[ListedRun]) -> None:
    console.print(fit_table(console, [one.dataset for one in runs], partial(_runs, runs)) if runs else "no runs yet")


def _runs(runs: list[ListedRun], names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    called = any(one.name or one.tags for one in runs)
    for heading in ("Run", *(["called"] if called else []), "status", "dataset"):
        table.add_column(heading, no_wrap=True)
    for heading in ("models", "judged", "cost", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in runs:
        judged = f"{one.judged:,}/{one.total:,}"
        names_it = [Text(plain(" ".join([one.name, *(f"#{tag}" for tag in one.tags)]).strip()))] if called else []
        if not one.readable:
            table.add_row(Text(plain(one.run)), *names_it, "unreadable", names[one.dataset], "", judged, "", "")
            continue
        table.add_row(
            Text(plain(one.run)),
            *names_it,
            Text(plain(one.status)),
            names[one.dataset],
            str(one.models),
            judged,
            format_dollars(one.cost),
            format_duration(one.seconds),
        )
    return table


def print_stats(console: Console, path: Path, stats: list[tuple[Any, ...]], jobs: int = 0) -> None:
    """Print the answers by model, how many submitted `jobs` are not answered yet, and the file's size."""
    answers = [
        (
            (hide_in_text(place), "simulated")
            if answers_from(provider) == "simulation"
            else (hide_in_text(model), hide_in_text(place)),
            rest,
        )
        for provider, place, model, *rest in stats
    ]
    names = [name for named, _ in answers for name in named]
    console.print(fit_table(console, names, partial(_stats, answers)))
    if jobs:
        console.print(Text(f"{count(jobs, 'submitted job')} not answered yet: `unisafe batches` lists them"))
    console.print(f"{path}: {path.stat().st_size / 2**20:,.1f} MiB", highlight=False, markup=False)


def _stats(answers: list[tuple[tuple[str, str], list[Any]]], names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in ("Model", "at"):
        table.add_column(heading, no_wrap=True)
    for heading in ("answers", "tokens in", "out", "images", "cost"):
        table.add_column(heading, justify="right", no_wrap=True)
    for (name, at), (number, tokens_in, tokens_out, images, cost) in answers:
        paid = format_dollars(cost) if cost is not None else "unknown"
        table.add_row(names[name], names[at], f"{number:,}", f"{tokens_in:,}", f"{tokens_out:,}", f"{images:,}", paid)
    return table
