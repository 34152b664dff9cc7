"""The first lines of a report: who is how safe, as a figure and as a bar, and where each model fails most."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from test_truth import run, table
from unisafe_cache import read_file

from unisafe_async.results.outcomes import count_outcomes, find_worst_cells
from unisafe_async.results.report import read_report
from unisafe_async.screens.answer import print_answer, share_out
from unisafe_async.screens.report import print_report


@given(st.lists(st.integers(0, 3_000), min_size=4, max_size=4), st.integers(4, 80))
def test_a_bar_is_full_and_hides_no_part(parts: list[int], width: int) -> None:
    columns = share_out(parts, width)
    if not sum(parts):
        assert columns == [0, 0, 0, 0]
        return
    assert sum(columns) == width
    for part, taken in zip(parts, columns, strict=True):
        assert (taken > 0) == (part > 0)
        assert abs(taken - part * width / sum(parts)) < 4


async def test_the_parts_are_those_of_the_scores_and_the_worst_cells_have_their_n(tmp_path: Path) -> None:
    result, _ = await run(table(tmp_path, {"model": "permissive"}, {"model": "cautious"}))
    outcomes = result.query(lambda connection: [count_outcomes(connection, result.run)])[0]
    worst = result.query(lambda connection: [find_worst_cells(connection, result.run)])[0]
    for score in result.scores("model"):
        one = outcomes[score.key[0]]
        assert one.valid == score.valid
        assert 1 - one.unsafe / one.valid == pytest.approx(score.shares["b_s"].value)
        assert one.blocked <= score.stopped
    by_cell = {score.key: score for score in result.scores("model", "task", "category")}
    assert len(worst["permissive"]) == 3
    for model, cells in worst.items():
        for cell in cells:
            score = by_cell[model, cell.task, cell.category]
            assert (cell.valid, cell.unsafe) == (score.valid, round(score.valid * (1 - score.shares["b_s"].value)))


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
async def test_the_answer_comes_first_at_every_width(width: int, tmp_path: Path) -> None:
    result, _ = await run(
        table(tmp_path, {"model": "permissive", "name": "A model with rather a long name"}, {"model": "cautious"})
    )
    screen = StringIO()
    report = read_file(result.cache, lambda connection: read_report(connection, result.run))
    print_report(Console(file=screen, width=width), report)
    shown = screen.getvalue()
    first = shown.index("B-S")
    assert first < shown.index("is most often unsafe in") < shown.index("Generation tasks") < shown.index("Overall")
    assert " ".join(shown.split()).endswith("`unisafe report --html report.html`")
    assert max(map(len, shown.splitlines())) <= width
    bars = [line for line in shown.splitlines() if line.startswith(("A mod", "cautious")) and "█" in line]
    assert len(bars) == 2
    assert len({len(line) for line in bars}) <= 1, "the bars end at the same column"


async def test_every_model_of_twelve_has_a_bar_and_a_line_at_every_width(tmp_path: Path) -> None:
    result, _ = await run(table(tmp_path, {"model": "permissive"}))
    one = read_file(result.cache, lambda connection: read_report(connection, result.run))
    models = tuple(f"vendor-{number}/模型-Family-{number}-70B-Instruct" for number in range(12))
    report = replace(
        one,
        models=models,
        by_model={(model,): one.by_model["permissive",] for model in models},
        outcomes=dict.fromkeys(models, one.outcomes["permissive"]),
        worst=dict.fromkeys(models, one.worst["permissive"]),
    )
    for width in (60, 80, 100, 120, 200):
        screen = StringIO()
        print_answer(Console(file=screen, width=width), report)
        lines = screen.getvalue().splitlines()
        assert len({cell_len(line) for line in lines[:12]}) == 1
        assert max(map(cell_len, lines)) <= width
        assert all(line.count("█") >= 1 for line in lines[:12]), "what is unsafe shows in every bar"
        assert len(lines) <= 12 + 2 + 1 + 12 + 1 + (0 if width > 60 else 12), "no model takes three lines"
    narrow = StringIO()
    print_answer(Console(file=narrow, width=36), report)
    assert narrow.getvalue().count(f"n {one.outcomes['permissive'].valid}") == 12, "no figure is cut"
    assert all(model in screen.getvalue() for model in models), "there is room for whole names"


async def test_what_is_not_judged_and_what_to_do_next_are_told(tmp_path: Path) -> None:
    result, _ = await run(table(tmp_path, {"model": "permissive"}))
    change = "UPDATE rows SET contextual = NULL, contextual_status = 'failed' WHERE item IN (SELECT item FROM rows LIMIT 40)"
    with duckdb.connect(str(result.cache)) as connection:
        connection.execute(change)
    shown = shown_answer(result.cache)
    assert ", 40 unjudged ░" in shown
    assert shown.endswith("next: `unisafe browse --contextual unsafe` · `unisafe report --html report.html`")
    with duckdb.connect(str(result.cache)) as connection:
        connection.execute("DELETE FROM rows WHERE item IN (SELECT item FROM rows LIMIT 5)")
        connection.execute("UPDATE runs SET status = 'interrupted'")
    assert shown_answer(result.cache).endswith("next: `unisafe run` · `unisafe browse --contextual unsafe`")
    with duckdb.connect(str(result.cache)) as connection:
        connection.execute(
            "INSERT INTO runs SELECT * REPLACE ('29990101-000000-beef' AS run, now()::TIMESTAMP AS started) FROM runs"
        )
    assert f"next: `unisafe browse {result.run} --contextual unsafe`" in shown_answer(result.cache, result.run)


def shown_answer(cache: Path, name: str | None = None) -> str:
    """The whole report as one line of words."""
    screen = StringIO()
    print_report(Console(file=screen, width=160), read_file(cache, lambda connection: read_report(connection, name)))
    return " ".join(screen.getvalue().split())
