"""One comparison has one p and one corrected p, on whichever screen it stands and whatever else is chosen there."""

from __future__ import annotations

import io
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import anyio
import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from statsmodels.stats.multitest import multipletests
from unisafe_cache import Row, Store
from unisafe_cache.records import add_rows

from tests.unisafe_async.test_comparison import SAFE, T2I, TEXT, UNSAFE, Labels, on_file, record, row, rows
from unisafe_async.page.headline import build_headline
from unisafe_async.page.summary import read_summary
from unisafe_async.page.view import View
from unisafe_async.results.compared import read_comparison
from unisafe_async.results.comparison import Difference, backbones, duels, paired
from unisafe_async.results.paired_tests import compute_mcnemar_exact
from unisafe_async.results.probabilities import format_both, format_probability
from unisafe_async.results.scores import ALL, Where
from unisafe_async.screens.compare import print_comparison

TASKS = (TEXT, T2I, "dual_unsafe_vqa")
CATEGORIES = ("Sensitive Topics", "Privacy Leak")
MODELS = ("a", "b", "c", "d")
LABELS: tuple[Labels, ...] = ((1, 1), (0, 0), (2, 1), (0, 1), (None, None))
SELECTIONS = [
    Where(models=(), tasks=tasks, categories=categories)
    for number in range(len(TASKS) + 1)
    for tasks in combinations(TASKS, number)
    for categories in ((), *((one,) for one in CATEGORIES), CATEGORIES)
]
"""Every selection of tasks and categories."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one run of four models, three of which name a backbone; its rows are each test's own."""
    path = tmp_path_factory.mktemp("families") / "c.duckdb"

    async def made() -> None:
        async with Store(path) as store:
            await store.save_run(record(a="d", b="d", c="b", d=None))

    anyio.run(made)
    return path


def filled(connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Rows of four models that were asked some of three tasks, with any labels."""
    chance = random.Random(seed)
    some: list[Row] = []
    for model in MODELS:
        leaning = [chance.random() for _ in LABELS]
        for task in chance.sample(TASKS, chance.randint(1, len(TASKS))):
            for item in range(chance.randint(4, 30)):
                labels = chance.choices(LABELS, leaning)[0]
                some.append(row(item, labels, model=model, task=task, category=CATEGORIES[item % 2]))
    connection.execute("DELETE FROM rows")
    add_rows(connection, some)


@settings(max_examples=4, deadline=None, database=None)
@given(seed=st.integers(0, 10**6))
def test_a_test_has_the_same_numbers_whatever_is_chosen_beside_it(file: Path, seed: int) -> None:
    """The same score of the same items of the same two models: named by its items, whatever the row on the screen is called."""
    with duckdb.connect(str(file)) as connection:
        filled(connection, seed)
        first, second = random.Random(seed).sample(MODELS, 2)
        shared = items_of(connection, first, second)
        seen: defaultdict[tuple[object, str], set[object]] = defaultdict(set)
        for where in SELECTIONS:
            for one in paired(connection, ("run", second), ("run", first), where).differences:
                seen[chosen(shared, where, one.task), one.score].add((one.p, one.corrected, one.family))
        assert all(len(numbers) == 1 for numbers in seen.values())


@settings(max_examples=4, deadline=None, database=None)
@given(seed=st.integers(0, 10**6))
def test_every_view_of_two_models_shows_the_same_numbers(file: Path, seed: int) -> None:
    with duckdb.connect(str(file)) as connection:
        filled(connection, seed)
        seen: defaultdict[frozenset[str], set[object]] = defaultdict(set)
        for first, second in combinations(MODELS, 2):
            for one in paired(connection, ("run", first), ("run", second)).overall.values():
                if one.score == "b_s":
                    seen[frozenset((first, second))].add((one.p, one.corrected, one.family))
        known = {pair: set(numbers) for pair, numbers in seen.items()}
        for pair, one in views(connection):
            seen[pair].add((one.p, one.corrected, one.family))
        assert seen == known


@settings(max_examples=4, deadline=None, database=None)
@given(seed=st.integers(0, 10**6))
def test_the_primary_comparison_is_corrected_over_every_two_models_of_the_run(file: Path, seed: int) -> None:
    with duckdb.connect(str(file)) as connection:
        filled(connection, seed)
        met = [paired(connection, ("run", one), ("run", other)).overall.get("b_s") for one, other in combinations(MODELS, 2)]
        found = [one for one in met if one is not None]
    by_hand = [compute_mcnemar_exact(one.only_first, one.only_second) for one in found]
    assert [one.p for one in found] == by_hand
    if found:
        assert [one.corrected for one in found] == pytest.approx(list(multipletests(by_hand, method="holm")[1]))
        assert {one.family.tests for one in found if one.family} == {len(found)}


def items_of(connection: duckdb.DuckDBPyConnection, first: str, second: str) -> dict[str, tuple[str, str]]:
    """The items that both models have a verdict for, with task and category."""
    sql = (
        "SELECT item, any_value(task), any_value(category) FROM rows WHERE model IN ($first, $second) AND contextual IS NOT NULL "
        "GROUP BY item HAVING count(*) = 2"
    )
    found = connection.execute(sql, {"first": first, "second": second}).fetchall()
    return {str(item): (task, category) for item, task, category in found}


def chosen(shared: dict[str, tuple[str, str]], where: Where, task: str) -> frozenset[str]:
    tasks = (task,) if task in TASKS else where.tasks or TASKS
    categories = where.categories or CATEGORIES
    return frozenset(item for item, (its_task, category) in shared.items() if its_task in tasks and category in categories)


def views(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[frozenset[str], Difference]]:
    """B-S of two models over all that they share, wherever the package has it."""
    for other, duel in duels(connection, "run", "b", ("d", "c", "a")).items():
        yield frozenset(("b", other)), duel
    summaries = [read_summary(connection, "run", where) for where in (ALL, Where(models=("c", "a")))]
    for one in (
        *backbones(connection, "run", Where(models=("c",))),
        *(one for summary in summaries for one in summary.unifications),
    ):
        if one.paired:
            yield frozenset((one.model, one.backbone)), one.paired.overall["b_s"]
    for summary in summaries:
        for other, duel in summary.duels.items():
            yield frozenset((summary.report.ranking.ranked[0].model, other)), duel


# -------------------------------------------------------- what a reader sees


def screen(connection: duckdb.DuckDBPyConnection, *asked: str, where: Where = ALL) -> str:
    console = Console(file=io.StringIO(), width=200)
    named = asked[0] if len(asked) == 1 else asked
    print_comparison(console, read_comparison(connection, "run", named, where))  # type: ignore[arg-type]
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


async def test_terminal_and_page_print_the_same_p_and_corrected_p(tmp_path: Path) -> None:
    """Seven items lost and none gained: p is 2 / 2^7, which Holm multiplies by three pairs of models."""
    some = [
        *rows("u", *[UNSAFE] * 7, *[SAFE] * 9),
        *rows("v", *[UNSAFE] * 3, *[SAFE] * 12, UNSAFE),
        *rows("base", *[SAFE] * 16),
        *rows("u", *[SAFE] * 20, task=T2I),
        *rows("v", *[UNSAFE] * 20, task=T2I),
    ]

    def read(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
        summary = read_summary(connection, "run")
        view = View(summary)
        overall = {key[0]: score for key, score in summary.report.by_model.items()}
        told = build_headline(summary.models, overall, summary.report.ranking, summary.duels)
        page = [f"p {one.p}, by Holm {one.holm} (of {one.tests} tests)" for one in view.list_duels() if one.title == "u"]
        page += [
            f"p {one.p}, by Holm {one.holm} (of {one.tests} tests)"
            for found, changes in view.list_changes()
            for one in changes
            if found.model == "u"
        ]
        return {
            "page": page,
            "compare": both(screen(connection, "u", "base")),
            "narrow": both(screen(connection, "base", "u", where=Where(tasks=(TEXT,)))),
            "backbone": both(screen(connection, "backbone"))[:1],
            "headline": [format_both(duel) for duel in summary.duels.values() if format_both(duel) in " ".join(told.notes)],
            "whole": [format_both(paired(connection, ("run", "u"), ("run", "base")).overall["b_s"])],
        }

    found = await on_file(tmp_path, some, read, record(u="base", v="base", base=None))
    expected = f"p {format_probability(2 / 2**7)}, by Holm"
    assert found["page"] == found["whole"] * 2
    assert found["compare"] == found["narrow"] == found["backbone"] == found["whole"]
    assert found["whole"][0].startswith(expected)
    assert found["whole"][0].endswith("(of 3 tests)")
    assert len(found["headline"]) == 1


def both(shown: str) -> list[str]:
    return re.findall(r"p [<0-9.]+, by Holm [<0-9.]+ \(of \d+ tests?\)", shown)


async def test_a_reader_sees_how_many_tests_are_in_each_family(tmp_path: Path) -> None:
    some = [*rows("a", *[SAFE] * 30), *rows("b", *[UNSAFE] * 30), *rows("c", *[SAFE] * 30)]
    some += [*rows("a", *[SAFE] * 9, task=T2I), *rows("b", *[UNSAFE] * 9, task=T2I)]
    shown = await on_file(tmp_path, some, lambda c: screen(c, "a", "b"), record(a=None, b=None, c=None))
    shown = " ".join(shown.split())
    assert "B-S over all, 3 tests (the primary comparison, of every pair of models of the run)" in shown
    assert "C-U, C-R, I-U over all, 3 tests; B-S by task, 2 tests; C-U, C-R, I-U by task, 6 tests" in shown


async def test_models_of_two_runs_are_one_test(tmp_path: Path) -> None:
    some = [*rows("a", *[SAFE] * 8), *rows("b", *[SAFE] * 8), *rows("a", *[UNSAFE] * 8, run="new")]
    known = (record(a=None, b=None), record("new", a=None))
    found = await on_file(tmp_path, some, lambda c: paired(c, ("new", "a"), ("run", "a")).overall["b_s"], *known)
    assert format_both(found) == "p 0.008, by Holm 0.008 (of 1 test)"


async def test_a_selection_that_is_no_family_is_called_a_hint_and_has_no_star(tmp_path: Path) -> None:
    some: list[Row] = []
    for task in TASKS:
        some += [*rows("a", *[SAFE] * 20, task=task), *rows("b", *[UNSAFE] * 20, task=task)]
    found = await on_file(tmp_path, some, lambda c: screen(c, "a", "b", where=Where(tasks=TASKS[:2])))
    (overall,) = re.findall(r"B-S .* ↑100.0 .*", found.partition("All these")[2])
    assert overall.split()[-2:] == ["<0.001", "-"]
    assert "belongs to no family" in found
    assert "p <0.001, not corrected" in found
