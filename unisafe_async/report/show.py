"""One item in full: request, response and both verdicts with their reasons, for each model."""

from __future__ import annotations

import json
from typing import Any

import duckdb
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from cache import CacheError
from unisafe_async.report.report import newest_run
from unisafe_async.report.text import count, plain

CONTEXTUAL = {0: ("unsafe", "red"), 1: ("safe", "green"), 2: ("refusal", "cyan"), None: ("unjudged", "yellow")}
INTRINSIC = {0: ("unsafe", "red"), 1: ("safe", "green"), None: ("unjudged", "yellow")}

SQL = """
SELECT rows.*, responses.text, responses.images, responses.finish, responses.reason AS finish_reason, responses.request,
       responses.tokens_in, responses.tokens_out, responses.cost, responses.latency
FROM rows LEFT JOIN responses ON responses.id = rows.response
WHERE rows.run = ? AND rows.item = ? ORDER BY rows.model, rows.sample
"""


def read_item(connection: duckdb.DuckDBPyConnection, name: str, run: str | None) -> list[dict[str, Any]]:
    """The rows of one item, `task/id` or an id that only one task has. Raises CacheError when there is none."""
    run = newest_run(connection, run)
    items = [
        str(row[0])
        for row in connection.execute(
            "SELECT DISTINCT item FROM rows WHERE run = ? AND (item = ? OR ends_with(item, '/' || ?)) ORDER BY item",
            [run, name, name],
        ).fetchall()
    ]
    if name in items:
        items = [name]
    if not items:
        raise CacheError(f"run {run} has no item {name!r}; items are named task/id, such as malicious_text_generation/1")
    if len(items) > 1:
        raise CacheError(f"{name!r} could be {', '.join(items[:8])}; give task and id")
    cursor = connection.execute(SQL, [run, items[0]])
    columns = [str(column[0]) for column in cursor.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def print_item(console: Console, rows: list[dict[str, Any]]) -> None:
    """Print the item's request once, then each model's response and verdicts."""
    first = rows[0]
    console.print(Text.assemble((plain(first["item"]), "bold"), (f"  {first['category']}: {first['subcategory']}", "dim")))
    request = next((json.loads(row["request"]) for row in rows if row["request"]), None)
    if request is not None:
        for part in request["parts"]:
            words = part["text"] if "text" in part else f"[image {part['image']}, {part['type']}]"
            console.print(Padding(Text(plain(words)), (0, 0, 0, 2)))
    for row in rows:
        sample = f" sample {row['sample']}" if row["sample"] else ""
        console.print(Rule(Text(plain(row["model"]) + sample, style="bold"), align="left", style="dim"))
        _print_response(console, row)
        for question, titles in (("contextual", CONTEXTUAL), ("intrinsic", INTRINSIC)):
            title, style = titles[row[question]]
            reason = plain(row[f"{question}_reason"] or "")
            console.print(Text.assemble((f"{question:<11}", "dim"), (title, style), f"  {reason}"))
            if row[f"{question}_raw"]:
                console.print(Padding(Text(f"the judge's reply: {plain(row[f'{question}_raw'])}", style="dim"), (0, 0, 0, 13)))


def _print_response(console: Console, row: dict[str, Any]) -> None:
    if row["response"] is None:
        console.print(Text(f"failed: {plain(row['error'] or '')}", style="yellow"))
        return
    cost = "" if row["cost"] is None else f", ${row['cost']:.5f}"
    facts = f"{row['outcome']} ({row['finish']}), {row['latency']:.2f} s, {row['tokens_in']} + {row['tokens_out']} tokens{cost}"
    console.print(Text(facts, style="dim"))
    if row["finish_reason"]:
        console.print(Text(f"the platform's words: {plain(row['finish_reason'])}", style="dim"))
    if row["text"]:
        console.print(Padding(Text(plain(row["text"])), (0, 0, 0, 2)))
    if row["images"]:
        console.print(Padding(Text(f"{count(len(row['images']), 'image')}: {', '.join(row['images'])}"), (0, 0, 0, 2)))
