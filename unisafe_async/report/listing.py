"""Lists of what a cache holds: runs, and answers by model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table

from unisafe_async.report.text import dollars, duration, line

RUNS = """
SELECT runs.run, started, status, dataset, config, summary, count(rows.item),
       count(rows.item) FILTER (contextual IS NOT NULL AND intrinsic IS NOT NULL)
FROM runs LEFT JOIN rows USING (run) GROUP BY ALL ORDER BY started DESC, runs.run DESC
"""
STATS = """
SELECT split_part(identity, '|', 1), split_part(identity, '|', 2), split_part(identity, '|', 3), count(*),
       sum(tokens_in), sum(tokens_out), sum(images_made), sum(cost), max(created)
FROM responses GROUP BY ALL ORDER BY ALL
"""


def read_runs(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute(RUNS).fetchall()


def print_runs(console: Console, runs: list[tuple[Any, ...]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Run", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("dataset", overflow="ellipsis", no_wrap=True, max_width=24)
    for heading in ("models", "judged", "cost", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, _, status, dataset, config, summary, rows, judged in runs:
        figures = json.loads(summary)
        table.add_row(
            name,
            status,
            line(dataset),
            str(len(json.loads(config)["models"])),
            f"{judged:,}/{figures.get('total', rows):,}",
            dollars(figures.get("cost", 0.0)),
            duration(figures.get("seconds", 0.0)),
        )
    console.print(table if runs else "no runs yet")


def read_stats(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute(STATS).fetchall()


def print_stats(console: Console, path: Path, stats: list[tuple[Any, ...]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Model", overflow="ellipsis", no_wrap=True, max_width=28)
    table.add_column("at", overflow="ellipsis", no_wrap=True, max_width=30)
    for heading in ("answers", "tokens in", "out", "images", "cost"):
        table.add_column(heading, justify="right", no_wrap=True)
    for provider, place, model, answers, tokens_in, tokens_out, images, cost, _ in stats:
        name, at = (place, "simulated") if provider == "simulated" else (model, place)
        paid = dollars(cost) if cost is not None else "unknown"
        table.add_row(line(name), line(at), f"{answers:,}", f"{tokens_in:,}", f"{tokens_out:,}", f"{images:,}", paid)
    console.print(table)
    console.print(f"{path}: {path.stat().st_size / 2**20:,.1f} MiB", highlight=False, markup=False)
