"""An old key or option is still read, said to be old in one sentence, and leads to the same answers in the cache."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import duckdb
import pytest
from forked import unisafe

from unisafe_async import Result, evaluate
from unisafe_async.benchmark.responses import open_responses
from unisafe_async.config.bench_toml import ConfigError, load_config, parse_config
from unisafe_async.config.renamed_keys import OldName
from unisafe_async.interchange.judging import build_judging_config

JUDGE = {"provider": "simulated", "model": "judge"}
MODEL = {"name": "sim", "provider": "simulated", "model": "balanced"}
BENCH = """
[dataset]
tasks = ["malicious_text_generation"]
limit = 2
[cache]
path = "run.duckdb"
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "sim"
provider = "simulated"
model = "balanced"
"""
OLD_KEY = (
    "unisafe: bench.toml: generation.samples: this is the old name of generation.repeats; it is still read, "
    "but use generation.repeats\n"
)
OLD_OPTION = "unisafe: --samples: this is the old name of --repeats; it is still read, but use --repeats\n"


def bench(folder: Path, generation: str) -> Path:
    path = folder / "bench.toml"
    path.write_text(BENCH + generation)
    return path


def table(folder: Path, **generation: Any) -> dict[str, Any]:
    return {
        "models": [MODEL],
        "judge": JUDGE,
        "dataset": {"limit": 3},
        "cache": {"path": str(folder / "run.duckdb")},
        "generation": generation,
    }


def calls_of(cache: Path) -> int:
    with duckdb.connect(str(cache), read_only=True) as connection:
        return int(connection.execute("SELECT count(*) FROM responses").fetchall()[0][0])


def verdicts_of(result: Result) -> list[tuple[str, int, int | None, int | None]]:
    return [(row.item, row.sample, row.contextual, row.intrinsic) for row in result.rows()]


def test_the_old_key_and_the_old_option_are_read_and_said_to_be_old_once(tmp_path: Path) -> None:
    bench(tmp_path, "[generation]\nsamples = 3\n")
    first = unisafe("run", cwd=tmp_path)
    assert "6 trials (3 of each item): 6 judged" in first.stdout
    assert first.stderr.count(OLD_KEY) == 1
    assert "old name" not in first.stdout

    bench(tmp_path, "[generation]\nrepeats = 3\n")
    again = unisafe("run", cwd=tmp_path)
    assert "6 trials (3 of each item): 6 judged" in again.stdout
    assert "old name" not in again.stderr

    option = unisafe("run", "--samples", "3", cwd=tmp_path)
    assert "6 trials (3 of each item): 6 judged" in option.stdout
    assert option.stderr.count(OLD_OPTION) == 1
    assert "--samples" not in unisafe("run", "--help", cwd=tmp_path).stdout


@pytest.mark.anyio
async def test_a_cache_filled_under_the_old_key_answers_a_run_under_the_new_one(tmp_path: Path) -> None:
    with pytest.warns(OldName, match=r"^bench\.toml: generation\.samples: this is the old name of generation\.repeats"):
        old = parse_config(table(tmp_path, samples=2, seed=5))
    first = await evaluate(old)
    paid = calls_of(first.cache)
    assert paid > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new = parse_config(table(tmp_path, repeats=2, seed=5))
    again = await evaluate(new)
    assert calls_of(again.cache) == paid
    assert all(row.cached for row in again.rows())
    assert verdicts_of(again) == verdicts_of(first)
    with duckdb.connect(str(first.cache), read_only=True) as connection:
        stored = [json.loads(config) for (config,) in connection.execute("SELECT config FROM runs").fetchall()]
    assert stored[0] == stored[1]
    assert stored[0]["generation"]["samples"] == 2


@pytest.mark.parametrize("generation", [{"samples": 2, "repeats": 2}, {"repeats": 1, "samples": 0}])
def test_an_old_key_beside_the_new_one_is_one_clear_error(tmp_path: Path, generation: dict[str, int]) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(table(tmp_path, **generation))
    said = "bench.toml: generation.samples: this is the old name of repeats, which is given too; keep repeats alone"
    assert str(raised.value) == said


def test_both_options_at_once_are_one_clear_error(tmp_path: Path) -> None:
    bench(tmp_path, "")
    for command in ("run", "plan"):
        done = unisafe(command, "--samples", "2", "--repeats", "2", cwd=tmp_path, env={"COLUMNS": "400"})
        assert done.returncode == 2
        assert "--samples: this is the old name of --repeats, which is given too; keep --repeats alone" in done.stderr
    assert not (tmp_path / "run.duckdb").exists()


def test_the_option_goes_before_either_key(tmp_path: Path) -> None:
    for key in ("samples", "repeats"):
        for option in ("--repeats", "--samples"):
            bench(tmp_path, f"[generation]\n{key} = 1\n")
            planned = unisafe("plan", option, "4", cwd=tmp_path, env={"COLUMNS": "400"})
            assert planned.returncode == 0, planned.stderr
            config = load_config(tmp_path / "bench.toml", {"generation": {"repeats": 4}})
            assert config.generation.repeats == 4


@pytest.mark.parametrize(
    ("key", "value", "words"), [("samples", 0, ">= 1"), ("repeats", 0, ">= 1"), ("samples", "3", "whole number")]
)
def test_a_wrong_value_is_told_by_the_key_that_was_written(tmp_path: Path, key: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(table(tmp_path, **{key: value}))
    assert str(raised.value).startswith(f"bench.toml: generation.{key}: should be ")
    assert words in str(raised.value)


def test_an_unknown_key_is_answered_with_the_new_name_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean repeats\?$"):
        parse_config(table(tmp_path, repeat=2))
    with pytest.raises(ConfigError) as raised:
        parse_config(table(tmp_path, zzz=2))
    assert str(raised.value).endswith("keys are max_tokens, temperature, top_p, seed, image_size, repeats")


def test_judging_recorded_responses_warns_of_nothing_that_it_replaces(tmp_path: Path) -> None:
    path = bench(tmp_path, "[generation]\nsamples = 3\n")
    answers = tmp_path / "answers.jsonl"
    lines = [
        {"id": 1, "task": "malicious_text_generation", "prompt": "Mild.", "category": "Politics", "response": word} for word in "ab"
    ]
    answers.write_text("\n".join(map(json.dumps, lines)))
    dataset, repeats = open_responses(answers, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = build_judging_config(path, answers, None, "recorded", dataset, repeats)
    assert config.generation.repeats == 2
