"""Lists of a cache's content: runs, and answers by model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cache.run_shapes import wrong_json
from unisafe_async.report.fitting import fitted
from unisafe_async.report.text import dollars, duration, plain
from unisafe_async.secret_words import shown

RUNS = """
SELECT runs.run, try_cast(started AS VARCHAR) AS started, status, dataset, config, summary, count(rows.item),
       count(rows.item) FILTER (contextual IS NOT NULL AND intrinsic IS NOT NULL)
FROM runs LEFT JOIN rows USING (run) GROUP BY ALL ORDER BY started DESC, runs.run DESC
"""
STATS = """
SELECT coalesce(split_part(identity, '|', 1), ''), coalesce(split_part(identity, '|', 2), ''),
       coalesce(split_part(identity, '|', 3), ''), count(*),
       coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0), coalesce(sum(images_made), 0), sum(cost)
FROM responses GROUP BY ALL ORDER BY ALL
"""


def read_runs(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute(RUNS).fetchall()


def print_runs(console: Console, runs: list[tuple[Any, ...]]) -> None:
    console.print(fitted(console, [str(dataset) for _, _, _, dataset, *_ in runs], partial(_runs, runs)) if runs else "no runs yet")


def _runs(runs: list[tuple[Any, ...]], names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in ("Run", "status", "dataset"):
        table.add_column(heading, no_wrap=True)
    for heading in ("models", "judged", "cost", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, _, status, dataset, config, summary, rows, judged in runs:
        if wrong_json(config, "{}", summary):
            table.add_row(Text(plain(str(name))), "unreadable", names[str(dataset)], "", f"{judged:,}/{rows:,}", "", "")
            continue
        figures = json.loads(summary)
        table.add_row(
            Text(plain(name)),
            Text(plain(status or "")),
            names[str(dataset)],
            str(len(json.loads(config)["models"])),
            f"{judged:,}/{figures.get('total', rows):,}",
            dollars(figures.get("cost", 0.0)),
            duration(figures.get("seconds", 0.0)),
        )
    return table


def read_stats(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute(STATS).fetchall()


def print_stats(console: Console, path: Path, stats: list[tuple[Any, ...]]) -> None:
    answers = [
        ((shown(place), "simulated") if provider == "simulated" else (shown(model), shown(place)), rest)
        for provider, place, model, *rest in stats
    ]
    names = [name for named, _ in answers for name in named]
    console.print(fitted(console, names, partial(_stats, answers)))
    console.print(f"{path}: {path.stat().st_size / 2**20:,.1f} MiB", highlight=False, markup=False)


def _stats(answers: list[tuple[tuple[str, str], list[Any]]], names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in ("Model", "at"):
        table.add_column(heading, no_wrap=True)
    for heading in ("answers", "tokens in", "out", "images", "cost"):
        table.add_column(heading, justify="right", no_wrap=True)
    for (name, at), (number, tokens_in, tokens_out, images, cost) in answers:
        paid = dollars(cost) if cost is not None else "unknown"
        table.add_row(names[name], names[at], f"{number:,}", f"{tokens_in:,}", f"{tokens_out:,}", f"{images:,}", paid)
    return table
