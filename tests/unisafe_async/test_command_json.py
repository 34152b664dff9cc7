"""`--json`, `--quiet`, `--log-file`: what scripts read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_cli import bench, unisafe

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text()


def list_keys(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield key
            free = key in ("tasks", "scores", "unable", "facts") and isinstance(value, dict)
            inside = value.values() if free else [value]
            for one in inside:
                yield from list_keys(one)
    elif isinstance(content, list):
        for one in content:
            yield from list_keys(one)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("json")
    second = '[[models]]\nname = "other"\nprovider = "simulated"\nmodel = "permissive"\nbackbone = "sim"\n'
    bench(folder, more=second + '[[models]]\nname = "GPT-4o"\nprovider = "simulated"\nmodel = "cautious"\n')
    assert unisafe("run", "--name", "first", "--tag", "ci", folder=folder).returncode == 0
    return folder


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("report --by category", "models"),
        ("run --json", "models"),
        ("plan", "judges"),
        ("compare sim other", "pairs"),
        ("compare --backbone", "backbones"),
        ("compare --paper", "paper"),
        ("runs", "runs"),
        ("doctor --free", "places"),
        ("cache stats", "models"),
        ("providers", "providers"),
        ("providers bfl", "blocks"),
    ],
)
def test_it_prints_one_object_whose_keys_are_described(words: str, part: str, folder: Path) -> None:
    done = unisafe(*words.split(), *([] if "--json" in words else ["--json"]), folder=folder)
    assert done.returncode in (0, 1), done.stderr
    content = json.loads(done.stdout)
    assert content["format"] == 1
    assert content[part]
    missing = sorted({key for key in list_keys(content) if f"`{key}`" not in PAGE})
    assert missing == []


def test_its_figures_are_those_of_the_screen(folder: Path) -> None:
    told = json.loads(unisafe("report", "first", "--json", folder=folder).stdout)
    shown = unisafe("report", "first", "--ci", folder=folder).stdout
    for model in told["models"]:
        assert model["overall"]["valid"] == model["coverage"]["judged"] == model["planned"]
        assert f"{model['overall']['scores']['b_s']['value']:.1f}" in shown
    assert told["called"] == "first [ci]"


def test_a_quiet_run_still_says_what_was_not_measured(tmp_path: Path) -> None:
    bench(tmp_path)
    silent = unisafe("run", "--quiet", folder=tmp_path)
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")
    bench(tmp_path, judge="simulation = { garbled = 0.5 }")
    told = unisafe("run", "--quiet", "--fresh", folder=tmp_path)
    assert told.returncode == 1
    assert "judge not understood" in told.stderr


def test_a_log_holds_each_answer_and_no_word_of_it(tmp_path: Path) -> None:
    bench(tmp_path)
    assert unisafe("run", "--quiet", "--log-file", "log.jsonl", "-n", "7", folder=tmp_path).stdout == ""
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {line["event"] for line in lines} == {"answer", "run"}
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert sum(line.get("model") == "sim" for line in lines) == 7
    assert not any("prompt" in line or "text" in line for line in lines)
    done = unisafe("run", "--log-file", "nowhere/log.jsonl", folder=tmp_path)
    assert (done.returncode, "--log-file nowhere/log.jsonl: cannot be written" in done.stderr) == (2, True)
