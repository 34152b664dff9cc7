"""The first minute: a configuration that is written, found, or not needed at all; runs that have names."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from test_cli import refused, unisafe

from unisafe_async.config.bench_toml import parse_config
from unisafe_async.config.model_specs import name_models, read_model_spec
from unisafe_async.config.new_bench import EXAMPLES, read_example, write_bench
from unisafe_async.errors import UsageError

SIMULATED = ("--model-spec", "simulated:balanced", "--judge", "simulated:judge", "-n", "4")


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_configuration(name: str, tmp_path: Path) -> None:
    done = unisafe("init", "--example", name, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    parse_config(tomllib.loads((tmp_path / "bench.toml").read_text()))


def test_the_sample_is_the_one_of_the_repository() -> None:
    assert read_example("sample") == (Path(__file__).parents[2] / "bench.toml").read_text()


def test_what_init_writes_runs_and_overwrites_nothing(tmp_path: Path) -> None:
    done = unisafe("init", "--model-spec", "simulated:balanced", "--model-spec", "simulated:balanced", folder=tmp_path)
    assert "next: `unisafe plan`, `unisafe doctor`, `unisafe run`" in done.stdout
    written = tomllib.loads((tmp_path / "bench.toml").read_text())
    assert [model["name"] for model in written["models"]] == ["balanced", "balanced (2)"]
    assert unisafe("run", "-n", "4", folder=tmp_path).returncode == 0
    refused(unisafe("init", folder=tmp_path), "bench.toml is there already", "--force")


def test_what_init_writes_names_no_key_and_says_where_it_goes(tmp_path: Path) -> None:
    asked = (
        "--openai",
        "gpt-5-mini",
        "--anthropic",
        "claude-sonnet-5",
        "--local",
        "Qwen/Qwen3-4B",
        "--vllm",
        "m@http://gpu:8000/v1",
    )
    done = unisafe("init", *asked, "--judge", "vllm:Qwen/Qwen3-VL-8B-Instruct", folder=tmp_path, OPENAI_API_KEY="sk-planted-000")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "bench.toml").read_text()
    assert "sk-planted" not in text
    assert "export OPENAI_API_KEY=" in text
    config = parse_config(tomllib.loads(text))
    assert [(one.provider, one.model, one.address) for one in config.models][2:] == [
        ("vllm", "m", "http://gpu:8000/v1"),
        ("transformers", "Qwen/Qwen3-4B", ""),
    ] or [one.provider for one in config.models] == ["openai", "anthropic", "transformers", "vllm"]


@pytest.mark.parametrize(
    ("words", "section"),
    [
        ("openai:gpt-5-mini", {"provider": "openai", "model": "gpt-5-mini", "takes": ["text", "image"]}),
        ("openai:gpt-image-1", {"provider": "openai", "model": "gpt-image-1", "takes": ["text", "image"], "gives": ["image"]}),
        (
            "vllm:Qwen/Qwen3-VL@http://10.0.0.7:8000/v1",
            {"provider": "vllm", "model": "Qwen/Qwen3-VL", "base_url": "http://10.0.0.7:8000/v1", "takes": ["text", "image"]},
        ),
        ("openai:ft:gpt-5@2026-01-01", {"provider": "openai", "model": "ft:gpt-5@2026-01-01", "takes": ["text", "image"]}),
        (
            "portkey:@team/gpt-5",
            {
                "provider": "portkey",
                "model": "@team/gpt-5",
                "headers_env": {"x-portkey-api-key": "PORTKEY_API_KEY"},
                "takes": ["text", "image"],
            },
        ),
        (
            "databricks:m@https://w.cloud.databricks.com/serving-endpoints",
            {
                "provider": "databricks",
                "model": "m",
                "base_url": "https://w.cloud.databricks.com/serving-endpoints",
                "key_env": "DATABRICKS_TOKEN",
                "takes": ["text", "image"],
            },
        ),
        ("transformers:Qwen/Qwen3-4B", {"provider": "transformers", "model": "Qwen/Qwen3-4B"}),
        ("diffusers:segmind/tiny-sd", {"provider": "diffusers", "model": "segmind/tiny-sd", "gives": ["image"]}),
    ],
)
def test_a_model_in_one_word(words: str, section: dict[str, object]) -> None:
    assert read_model_spec(words, "--model-spec") == section


@pytest.mark.parametrize(
    ("words", "said"),
    [("gpt-5", "should look like openai:gpt-5-mini"), ("opnai:gpt-5", "did you mean openai?"), ("openai:", "should look like")],
)
def test_a_word_that_is_no_model_says_what_would_be(words: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"^--model-spec: ") as caught:
        read_model_spec(words, "--model-spec")
    assert said in str(caught.value)


def test_a_model_in_one_word_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    for words, said in [
        ("bedrock:amazon.nova-pro-v1:0", "set AWS_REGION"),
        ("vertex:gemini-2.5-flash", "set GOOGLE_CLOUD_PROJECT"),
        ("azure:mine", "azure:mine@https://RESOURCE.openai.azure.com/openai/v1"),
    ]:
        with pytest.raises(UsageError, match=r"^--judge: ") as caught:
            read_model_spec(words, "--judge")
        assert said in str(caught.value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "lab")
    assert read_model_spec("bedrock:amazon.nova-pro-v1:0", "--judge")["region"] == "eu-west-1"
    assert read_model_spec("vertex:gemini-2.5-flash", "--judge")["project"] == "lab"


def test_names_differ_and_any_text_is_written_as_it_is() -> None:
    models = name_models([{"provider": "simulated", "model": 'odd "name"\\x'}, {"provider": "simulated", "model": 'odd "name"\\x'}])
    written = tomllib.loads(write_bench(models, None, 'a "folder"'))
    assert [one["model"] for one in written["models"]] == ['odd "name"\\x'] * 2
    assert len({one["name"] for one in written["models"]}) == 2
    assert written["dataset"]["source"] == 'a "folder"'


def test_a_run_needs_no_file_at_all(tmp_path: Path) -> None:
    done = unisafe("run", *SIMULATED, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "bench.toml").exists()
    assert "balanced" in unisafe("report", folder=tmp_path).stdout
    refused(unisafe("run", "--model-spec", "simulated:balanced", folder=tmp_path), "`unisafe init` writes one")


def test_the_configuration_is_found_above_and_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "below" / "further").mkdir(parents=True)
    unisafe("init", "--model-spec", "simulated:balanced", folder=tmp_path)
    assert unisafe("run", "-n", "4", folder=tmp_path / "below" / "further").returncode == 0
    assert (tmp_path / "unisafe.duckdb").exists(), "its paths are relative to where it lies"
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    assert "balanced" in unisafe("report", folder=elsewhere, UNISAFE_CONFIG=str(tmp_path / "bench.toml")).stdout


def test_a_run_has_a_name_tags_and_a_note(tmp_path: Path) -> None:
    unisafe("run", *SIMULATED, "--name", "nightly", "--tag", "ci", "--tag", "gpt", folder=tmp_path)
    unisafe("run", *SIMULATED, folder=tmp_path)
    listed = unisafe("runs", folder=tmp_path).stdout
    assert "nightly #ci #gpt" in listed
    assert len(unisafe("runs", "--tag", "ci", folder=tmp_path).stdout.split("done")) == 2
    assert "nightly [ci, gpt]" in unisafe("report", "nightly", folder=tmp_path).stdout
    refused(unisafe("run", *SIMULATED, "--tag", "two words", folder=tmp_path), "a tag should be one word")
    refused(unisafe("run", *SIMULATED, "--note", "sk-proj-abcdefghijklmnopqrstuvwxyz0123", folder=tmp_path), "looks like a secret")


def test_a_plan_needs_no_key(tmp_path: Path) -> None:
    asked = ("--model-spec", "openai:gpt-5-mini", "--judge", "vllm:Qwen/Qwen3-VL-8B-Instruct", "-n", "4")
    done = unisafe("plan", *asked, folder=tmp_path, OPENAI_API_KEY="")
    assert done.returncode == 0, done.stderr
    assert "about $0.0" in done.stdout
    assert "A run needs OPENAI_API_KEY, which is not set." in done.stdout
    refused(unisafe("run", *asked, folder=tmp_path, OPENAI_API_KEY=""), "OPENAI_API_KEY is not set")


def test_a_server_of_one_s_own_needs_no_price(tmp_path: Path) -> None:
    table = {
        "run": {"budget_usd": 1.0},
        "models": [{"name": "m", "provider": "vllm", "model": "m", "base_url": "http://gpu:8000/v1"}],
        "judge": {"provider": "sglang", "model": "j"},
    }
    assert parse_config(table).models[0].prices.cost(1e6, 1e6, 1) == 0


def test_the_program_says_what_it_is(tmp_path: Path) -> None:
    assert unisafe("--version", folder=tmp_path).stdout.startswith("unisafe ")
    shown = unisafe("-h", folder=tmp_path, COLUMNS="80").stdout
    for group in ("Start", "Evaluate", "Look", "Share", "Keep and extend"):
        assert f"─ {group} ─" in shown
    assert "..." not in shown.replace("[ARGS]...", ""), "no sentence is cut"
    assert "Example: unisafe gate --max c_u=5" in unisafe("gate", "-h", folder=tmp_path).stdout
