"""The bench.toml of the paper's models, package data: it is read, and asks each model what the paper asked it."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from unisafe_async.config.bench_toml import Config, load_config
from unisafe_async.results.paper import fold_name, load_paper_results

BENCH = Path(str(files("unisafe_async").joinpath("data", "paper", "bench.toml")))
ROOT = Path(__file__).parents[2]
TWO_CHECKPOINTS = {"Emu3-Gen": "Emu3"}
"""Entries that share a row of the paper with another one, by the name of that row."""


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(BENCH)


def test_each_of_the_sixteen_models_is_asked_the_tasks_that_the_paper_ran_it_on(config: Config) -> None:
    asked: dict[str, set[str]] = {}
    for model in config.models:
        row = asked.setdefault(fold_name(TWO_CHECKPOINTS.get(model.name, model.name)), set())
        tasks = {task.key for task in config.tasks_of(model)}
        assert not row & tasks, f"{model.name} is asked twice"
        row |= tasks
    assert asked == {fold_name(name): set(tasks) for name, tasks in load_paper_results().items()}
    assert len(asked) == 16


def test_the_judge_and_the_dataset_are_the_papers(config: Config) -> None:
    assert config.dataset.source == "hf:Hades2002/Uni-SafeBench"
    ((_, judge),) = config.judge.sections
    assert judge.model == "Qwen/Qwen3-VL-8B-Instruct"


def test_a_model_in_an_environment_of_its_own_is_started_as_its_recipe_says() -> None:
    entries = [entry for entry in tomllib.loads(BENCH.read_text("utf-8"))["models"] if entry["provider"] == "command"]
    recipes = {entry["name"]: entry for path in (ROOT / "recipes").glob("*/bench.toml") for entry in _models(path)}
    assert {entry["name"] for entry in entries} == {"Show-o2", "Bagel", "Tar-1.5B", "Tar-7B", "Harmon", "JanusFlow"}
    for entry in entries:
        said = recipes[entry["name"]]
        for key in ("command", "files", "takes", "gives", "options"):
            assert entry.get(key) == said.get(key), f"{entry['name']}: {key}"
        assert all((ROOT / file).is_file() for file in entry["files"])


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*/bench.toml")), ids=lambda path: path.parent.name)
def test_the_entry_of_a_recipe_can_be_pasted(path: Path, tmp_path: Path) -> None:
    bench = tmp_path / "bench.toml"
    bench.write_text('[judge]\nprovider = "simulated"\nmodel = "judge"\n' + path.read_text("utf-8"))
    assert load_config(bench).models


def _models(path: Path) -> list[dict[str, Any]]:
    return list(tomllib.loads(path.read_text("utf-8"))["models"])
