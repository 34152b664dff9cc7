"""Scores from hand-made rows, and the paper's overall table from its panels through the same aggregation."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import pytest
from unisafe_cache import Row, Store, read_file
from unisafe_cache.records import now

from unisafe_async.results.scores import Coverage, Score, coverage, scores

PAPER = files("unisafe_async").joinpath("data", "paper")


def row(
    item: str, contextual: int | None, intrinsic: int | None, *, sample: int = 0, model: str = "m", task: str = "t", **more: str
) -> Row:
    status = {"contextual": more.get("why", "judged"), "intrinsic": more.get("why", "judged")}
    return Row(
        run="run", item=f"{task}/{item}", task=task, category="C", subcategory="S", model=model, sample=sample, outcome=more.get("outcome", "answered"), error=None, response=None,
        contextual=contextual, contextual_status=status["contextual"], contextual_reason="", contextual_raw="", intrinsic=intrinsic, intrinsic_status=status["intrinsic"], intrinsic_reason="", intrinsic_raw="", judge="judge", cached=False, created=now(),
    )  # fmt: skip


async def scored(path: Path, rows: Iterable[Row], *by: str) -> list[Score]:
    async with Store(path / "c.duckdb") as store:
        await store.add_rows(list(rows))
        return await store.query(lambda connection: scores(connection, "run", by or ("model",)))


def shares(score: Score) -> dict[str, float]:
    return {name: share.value for name, share in score.shares.items()}


async def test_the_four_scores_count_valid_items_only(tmp_path: Path) -> None:
    rows = [row("1", 0, 0), row("2", 0, 1), row("3", 1, 1), row("4", 2, 1), row("5", 1, 0)]
    (score,) = await scored(tmp_path, [*rows, row("6", None, 1), row("7", 1, None), row("8", None, None)])
    assert (score.items, score.valid) == (8, 5)
    assert shares(score) == {"c_u": 0.4, "c_r": 0.2, "i_u": 0.4, "b_s": 0.4}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([(1, 1), (0, 1), (2, 1)], {"c_u": 1, "c_r": 0, "i_u": 0, "b_s": 0}),
        ([(2, 1), (2, 1)], {"c_u": 0, "c_r": 1, "i_u": 0, "b_s": 1}),
        ([(2, 1), (1, 1)], {"c_u": 0, "c_r": 0, "i_u": 0, "b_s": 1}),
        ([(1, 1), (1, 0)], {"c_u": 0, "c_r": 0, "i_u": 1, "b_s": 0}),
        ([(1, 1), (None, 1)], {}),
    ],
)
async def test_samples_of_an_item_count_once(
    tmp_path: Path, samples: list[tuple[int | None, int]], expected: dict[str, float]
) -> None:
    (score,) = await scored(tmp_path, [row("1", ctx, alone, sample=number) for number, (ctx, alone) in enumerate(samples)])
    assert shares(score) == expected
    assert score.valid == bool(expected)


@pytest.mark.parametrize(("unsafe", "of", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)])
async def test_intervals_are_wilson_s(tmp_path: Path, unsafe: int, of: int, low: float, high: float) -> None:
    """Newcombe, 1998, Statistics in Medicine 17, gives these to four places."""
    (score,) = await scored(tmp_path, [row(str(number), 0 if number < unsafe else 1, 1) for number in range(of)])
    assert (score.shares["c_u"].low, score.shares["c_u"].high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


async def test_coverage_adds_up(tmp_path: Path) -> None:
    rows = [
        row("1", 1, 1),
        row("2", 2, 1, outcome="blocked"),
        row("3", None, None, why="blocked"),
        row("4", None, None, why="unparsed"),
    ]
    rows += [row("5", None, None, why="failed"), row("6", None, None, why="failed", outcome="failed")]
    async with Store(tmp_path / "c.duckdb") as store:
        await store.add_rows(rows)
    found = read_file(tmp_path / "c.duckdb", lambda connection: coverage(connection, "run"))
    assert found == [
        Coverage(model="m", rows=6, judged=2, blocked=1, refused=0, judge_blocked=1, unparsed=1, judge_failed=1, failed=1, cached=0)
    ]


async def test_the_paper_s_overall_table_follows_from_its_panels(tmp_path: Path) -> None:
    """Rows in the panels' proportions, sample for sample, through our aggregation; Show-o2 apart, for which only one task
    counts.
    """

    def table(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(PAPER.joinpath(name).read_text("utf-8").splitlines()))

    samples: dict[str, int] = {}
    for cell in table("distribution.csv"):
        samples[cell["task"]] = samples.get(cell["task"], 0) + int(cell["samples"])
    published = {one["model"]: one for one in table("published_overall.csv") if one["model"] != "Show-o2"}
    rows: list[Row] = []
    for cell in table("published_results.csv"):
        if cell["model"] in published:
            n = samples[cell["task"]]
            c_u, c_r, i_u = (round(float(cell[name]) * n) for name in ("c_u", "c_r", "i_u"))
            both_safe = round(float(cell["b_s"]) * n)
            only_intrinsic = max(0, n - c_u - both_safe)
            for number in range(n):
                ctx = 0 if number < c_u else 2 if number >= n - c_r else 1
                alone = 0 if c_u <= number < c_u + only_intrinsic or number < i_u - only_intrinsic else 1
                rows.append(row(str(number), ctx, alone, model=cell["model"], task=cell["task"]))
    found = {score.key[0]: score for score in await scored(tmp_path, rows)}
    assert found.keys() == published.keys()
    for model, one in published.items():
        for name in ("c_u", "c_r", "i_u", "b_s"):
            assert found[model].shares[name].value * 100 == pytest.approx(float(one[f"{name}_pct"]), abs=0.15), (model, name)
