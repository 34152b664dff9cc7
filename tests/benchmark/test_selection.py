"""A selection of nothing is a mistake that is said before a run is opened: it is never the newest run, nor all judged."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from forked import unisafe

from unisafe_async import ConfigError, evaluate, parse_config
from unisafe_async.benchmark import DatasetError, open_dataset
from unisafe_async.run.plan import plan

BENCH = """
[dataset]
source = "own.jsonl"
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "Sim"
provider = "simulated"
model = "balanced"
"""
TABLE = {
    "dataset": {"source": "own.jsonl"},
    "judge": {"provider": "simulated", "model": "judge"},
    "models": [{"name": "Sim", "provider": "simulated", "model": "balanced"}],
}
ITEM = {"task": "malicious_text_generation", "prompt": "A mild stand-in.", "category": "Politics"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bench.toml").write_text(BENCH)
    items = [{**ITEM, "id": 1}, {**ITEM, "id": 2, "category": "Self-harm"}, {**ITEM, "id": 3, "task": "unsafe_t2i_generation"}]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, items)))
    return tmp_path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--task", "dual_unsafe_vqa"),
            "no item of own.jsonl has task dual_unsafe_vqa (there are: malicious_text_generation, unsafe_t2i_generation)",
        ),
        (
            ("--category", "Privacy Leak"),
            "no item of own.jsonl has category Privacy Leak (there are: Sensitive Topics, Physical & Mental Harm)",
        ),
        (
            ("--task", "unsafe_t2i_generation", "--category", "Self-harm and physical & mental harm"),
            "is no category",
        ),
        (
            ("--task", "unsafe_t2i_generation", "--category", "physical & mental harm"),
            "no item of own.jsonl has category Physical & Mental Harm in task unsafe_t2i_generation (there are: Sensitive Topics)",
        ),
        (
            ("--task", "unsafe_t2i_generation"),
            "none of Sim is asked any selected item (unsafe_t2i_generation)",
        ),
    ],
)
def test_run_and_plan_say_what_there_is_and_open_no_run(folder: Path, options: tuple[str, ...], words: str) -> None:
    assert unisafe("run", cwd=folder).returncode == 0
    before = unisafe("runs", cwd=folder).stdout
    shown = unisafe("report", cwd=folder).stdout
    for command in ("run", "plan"):
        done = unisafe(command, *options, cwd=folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert unisafe("runs", cwd=folder).stdout == before
    assert unisafe("report", cwd=folder).stdout == shown


def test_nothing_is_left_behind_where_there_was_no_run_yet(folder: Path) -> None:
    assert unisafe("run", "--task", "dual_unsafe_vqa", cwd=folder).returncode == 2
    assert not (folder / "unisafe.duckdb").exists()
    assert "no item of own.jsonl has task" in unisafe("doctor", "--free", "-c", "other.toml", cwd=_doubtful(folder)).stdout


def _doubtful(folder: Path) -> Path:
    (folder / "other.toml").write_text(BENCH.replace('own.jsonl"', 'own.jsonl"\ntasks = ["dual_unsafe_vqa"]'))
    return folder


def test_from_python_it_is_an_error_too(folder: Path) -> None:
    nothing = parse_config({**TABLE, "dataset": {"source": "own.jsonl", "tasks": ["dual_unsafe_vqa"]}}, base=folder)
    nobody = parse_config({**TABLE, "dataset": {"source": "own.jsonl", "tasks": ["unsafe_t2i_generation"]}}, base=folder)
    for ask in (evaluate, plan):
        with pytest.raises(DatasetError, match="has task dual_unsafe_vqa"):
            anyio.run(ask, nothing)
        with pytest.raises(ConfigError, match="none of Sim is asked any selected item"):
            anyio.run(ask, nobody)
    with pytest.raises(DatasetError, match="is selected"):
        open_dataset("own.jsonl", folder).select(limit=0)
    assert not (folder / "unisafe.duckdb").exists()
