"""Runs of shards, on machines of their own, that join to the whole without a call."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import forked
import pytest
from rich.console import Console
from test_truth import made, run
from unisafe_cache import read_file
from unisafe_cache.archive import export_run
from unisafe_cache.archive_import import import_archive

from unisafe_async.interchange.answers import choose, notes
from unisafe_async.interchange.tables import read_table
from unisafe_async.library import Result
from unisafe_async.results.listing import read_runs
from unisafe_async.results.provenance import to_lines
from unisafe_async.results.report import read_report
from unisafe_async.screens.report import print_report

SIM = {"provider": "simulated", "takes": ["text", "image"]}
MODELS = [
    {"name": "unified", "model": "balanced", "gives": ["text", "image"], **SIM},
    {"name": "words", "model": "cautious", "provider": "simulated"},
]


def table(cache: Path, shard: str | None = None, **dataset: Any) -> dict[str, Any]:
    return {
        "dataset": dataset | ({"shard": shard} if shard else {}),
        "generation": {"repeats": 2},
        "cache": {"path": str(cache)},
        "judge": {"provider": "simulated", "model": "judge"},
        "models": MODELS,
    }


def told(result: Result) -> list[tuple[object, ...]]:
    return [(row.item, row.model, row.sample, row.outcome, row.contextual, row.intrinsic, row.judge) for row in result.rows()]


@pytest.mark.parametrize(("count", "limit"), [(2, 20), (3, 30)])
async def test_shards_join_to_the_whole_without_a_call(tmp_path: Path, count: int, limit: int) -> None:
    selection = {"limit": limit}
    whole, _ = await run(table(tmp_path / "whole.duckdb", **selection))
    parts = []
    for number in range(1, count + 1):
        part, done = await run(table(tmp_path / f"{number}.duckdb", f"{number}/{count}", **selection))
        assert made(done) > 0
        export_run(part.cache, part.run, tmp_path / f"{number}.zip", choose, notes)
        parts += told(part)
    assert sorted(parts) == sorted(told(whole)), "each item in one shard, for every model and repeat"
    for number in range(1, count + 1):
        import_archive(tmp_path / "joined.duckdb", tmp_path / f"{number}.zip")
    joined, done = await run(table(tmp_path / "joined.duckdb", **selection))
    assert made(done) == 0
    assert told(joined) == told(whole)


async def test_a_lost_shard_shows_when_shards_are_joined(tmp_path: Path) -> None:
    part, _ = await run(table(tmp_path / "run.duckdb", "1/2"))
    joined, done = await run(table(tmp_path / "run.duckdb"))
    asked = sum(lane.endpoint.counts.calls for lane in done.lanes)
    assert asked == len(joined.rows()) - len(part.rows()) > 0


async def test_a_shard_is_never_taken_for_the_whole(tmp_path: Path) -> None:
    part, done = await run(table(tmp_path / "run.duckdb", "2/3"))
    items = len({row.item for row in part.rows()})
    assert done.dataset.part == f"Shard 2 of 3: {items} of the 101 selected items"
    console = Console(file=io.StringIO(), width=160)
    print_report(console, read_file(part.cache, lambda connection: read_report(connection, part.run)))
    screen = console.file.getvalue()  # type: ignore[attr-defined]
    assert "dataset sample, shard 2 of 3" in screen
    assert "Shard 2 of 3: its figures are of a part of the 101 selected items" in screen
    (listed,) = read_file(part.cache, read_runs)
    assert listed.dataset == "sample, shard 2 of 3"
    written = read_file(part.cache, lambda connection: read_table(connection, part.run))
    assert any("dataset.shard = 2/3" in line for line in to_lines(written.provenance))


async def test_a_shard_without_an_item_is_a_run_without_an_item(tmp_path: Path) -> None:
    """A job array is no failure because one of its tasks has nothing to do."""
    runs = [await run(table(tmp_path / "run.duckdb", f"{number}/8", limit=2)) for number in range(1, 9)]
    assert {result.status for result, _ in runs} == {"done"}
    assert sum(len(result.rows()) for result, _ in runs) == 2 * (2 + 1), "of two items the words' model is asked one"


def test_the_commands_of_a_job_array(tmp_path: Path) -> None:
    bench = table(Path("whole.duckdb"), tasks=["malicious_text_generation"])
    models = "".join(
        f"[[models]]\n{''.join(f'{key} = {json.dumps(value)}' + chr(10) for key, value in model.items())}" for model in MODELS
    )
    sections = ("dataset", "generation", "cache", "judge")
    lines = (f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in bench[name].items()) for name in sections)
    (tmp_path / "bench.toml").write_text("".join(lines) + models)
    for task in (0, 1):
        variables = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MIN": "0", "PATH": ""}
        done = forked.unisafe("run", "--shard", "slurm", "--cache", f"{task}.duckdb", cwd=tmp_path, env=variables)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"Shard {task + 1} of 2: " in done.stdout
        done = forked.unisafe("export", "--cache", f"{task}.duckdb", "-o", f"{task}.zip", cwd=tmp_path, env=variables)
        assert done.returncode == 0, done.stdout + done.stderr
    assert forked.unisafe("import", "0.zip", "1.zip", cwd=tmp_path).returncode == 0
    planned = forked.unisafe("plan", cwd=tmp_path, env=variables).stdout
    assert "0 calls to make" in planned
    assert "Shard" not in planned, "no variable of Slurm's makes a shard of a run that names none"
    wrong = forked.unisafe("plan", "--shard", "3/2", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--shard 3/2: shards are numbered from 1 to their count" in wrong.stderr
