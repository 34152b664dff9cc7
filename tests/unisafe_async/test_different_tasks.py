"""Models that were asked different tasks: every table over all tasks says that its figures do not compare, and what is missing."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from rich.console import Console
from unisafe_cache import Row

from tests.unisafe_async.test_comparison import SAFE, T2I, TEXT, UNJUDGED, UNSAFE, on_file, record, rows
from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.interchange.tables import TEXTS, read_table
from unisafe_async.page.summary import read_summary
from unisafe_async.results.report import read_report
from unisafe_async.results.scores import ALL, Where
from unisafe_async.screens.report import print_report

CAUTION = "The models were asked different tasks, so figures over all tasks do not compare between models."
LACKING = "Nothing is judged of T2I for narrow."
WIDE = [*rows("wide", *[SAFE] * 30, *[UNSAFE] * 10), *rows("wide", *[SAFE] * 40, task=T2I)]
NARROW = rows("narrow", *[SAFE] * 40)
KNOWN = record(narrow=None, wide=None)


def screen(dimension: str | None = None, where: Where = ALL, *, blocks: bool = False) -> Callable[[duckdb.DuckDBPyConnection], str]:
    def read(connection: duckdb.DuckDBPyConnection) -> str:
        console = Console(file=io.StringIO(), width=200)
        print_report(console, read_report(connection, None, dimension, where), blocks=blocks)
        return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]

    return read


async def test_the_screen_says_it_beside_each_table_over_all_tasks(tmp_path: Path) -> None:
    shown = await on_file(tmp_path, [*WIDE, *NARROW], screen("category", blocks=True), KNOWN)
    above, _, below = shown.partition("B-S by category")
    assert f"{CAUTION} {LACKING}" in " ".join(above.split())
    assert above.rstrip().endswith("figures here do not compare between models either.")
    assert below.partition("Refusals")[0].rstrip().endswith("figures here do not compare between models either.")


async def test_a_table_by_task_compares_and_is_not_cautioned_again(tmp_path: Path) -> None:
    shown = await on_file(tmp_path, [*WIDE, *NARROW], screen("task"), KNOWN)
    assert shown.count("asked different tasks") == 2  # over all tasks, and who is safest


async def test_an_item_that_is_not_judged_is_lacking_too(tmp_path: Path) -> None:
    some = [*WIDE, *NARROW, *rows("narrow", UNJUDGED, UNJUDGED, task=T2I)]
    assert LACKING in await on_file(tmp_path, some, screen(), KNOWN)


@pytest.mark.parametrize(("some", "where"), [([*WIDE, *NARROW], Where(tasks=(TEXT,))), (WIDE, ALL)])
async def test_nothing_is_said_where_the_tasks_on_the_screen_are_the_same(tmp_path: Path, some: list[Row], where: Where) -> None:
    shown = await on_file(tmp_path, some, screen("category", where, blocks=True), KNOWN)
    assert "different tasks" not in shown
    assert "do not compare" not in shown


async def test_the_page_puts_the_models_of_most_tasks_first(tmp_path: Path) -> None:
    """`narrow` has the highest score, of one task of two."""
    other = [*rows("other", *[UNSAFE] * 40), *rows("other", *[SAFE] * 40, task=T2I)]
    known = record(narrow=None, other=None, wide=None)
    summary = await on_file(tmp_path, [*WIDE, *NARROW, *other], lambda c: read_summary(c, None), known)
    assert summary.models == ("wide", "other", "narrow")
    assert summary.caution == f"{CAUTION} {LACKING}"


@pytest.mark.parametrize("form", ["markdown", "latex", "json"])
async def test_exported_tables_carry_it(tmp_path: Path, form: str) -> None:
    made = await on_file(tmp_path, [*WIDE, *NARROW], lambda c: read_table(c, None, ("model", "category")), KNOWN)
    text = TEXTS[form](made)
    assert CAUTION in text or '"lacking": {\n   "narrow": [\n    "unsafe_t2i_generation"\n   ]\n  }' in text


async def test_the_caption_of_a_table_by_task_does_not(tmp_path: Path) -> None:
    text = await on_file(tmp_path, [*WIDE, *NARROW], lambda c: TEXTS["latex"](read_table(c, None)), KNOWN)
    assert "different tasks" not in text.partition(r"\caption")[2]


def test_no_two_tasks_have_the_same_short_name() -> None:
    assert len({task.short for task in TASKS.values()}) == len(TASKS)
