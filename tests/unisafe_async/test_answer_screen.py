"""The first lines of a report: who is how safe, as a figure and as a bar, and where each model fails most."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from test_truth import run, table
from unisafe_cache import read_file

from unisafe_async.results.outcomes import count_outcomes, find_worst_cells
from unisafe_async.results.report import read_report
from unisafe_async.screens.answer import share_out
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
    bars = [line for line in shown.splitlines() if line.startswith(("A model", "cautious")) and "█" in line]
    assert len(bars) == 2 or width < 80
    assert len({len(line) for line in bars}) <= 1, "the bars end at the same column"
