"""What looks like a key is refused in bench.toml wherever it stands, by name or by looks, and never shown; what does not, is
not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import forked
import pytest

from tests.interchange.conftest import MODEL
from unisafe_async.config.bench_toml import ConfigError, load_config, parse_config
from unisafe_async.config.secret_words import hide_in_text, looks_secret

KEY = "sk-PLANTED0123456789abcd"
CLOUD = {"provider": "vllm", "base_url": "http://host/v1", "model": "x"}


def parsed(model: dict[str, Any], **more: Any) -> None:
    parse_config({"judge": {"provider": "simulated", "model": "judge"}, "models": [{"name": "m", **CLOUD, **model}], **more})


@pytest.mark.parametrize(
    "text",
    [
        *(KEY, "sk-ant-api03-abcDEF123_-xyzxyzxyz", "sk-proj-NESTEDsecretvalue", "sk-or-v1-" + "0a" * 32, "pk-lf-1234abcd-1234"),
        *("AIzaSyA1234567890abcdefghijklmnopqrstuv", "xai-" + "a1B2" * 20, "gsk_" + "a1B2" * 12, "AKIAIOSFODNN7EXAMPLE"),
        *("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "github_pat_11ABCDEFG0abcdefghijk", "glpat-abcdefghij1234567890"),
        *("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", "sk-abcdefghijklmnopqrstuvwxyz", "-----BEGIN RSA PRIVATE KEY-----"),
        *("Bearer abcdefghijklmnopqrstuvwxyz", "say bearer abcDEF1234567890", "https://user:pass@host/v1"),
        *("https://host/v1?api-key=abcdef123", "https://host/v1#token=abcdef123", f"http://host/{KEY}/v1"),
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.abc",
    ],
)
def test_a_key_is_told_by_its_looks_and_cut_out_of_what_is_shown(text: str) -> None:
    assert looks_secret(text)
    assert not looks_secret(hide_in_text(f"before {text} after"))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "sk-learn",
            "sk-learn-text-classifier-large",
            "gpt-4o-mini",
            "claude-sonnet-4-5-20250929",
            "risk-assessment-model-large-2024",
        ),
        *(
            "meta-llama/Llama-3.1-8B-Instruct-Turbo",
            "accounts/fireworks/models/qwen3-vl-235b-a22b-instruct",
            "fw_large_model_instruct",
        ),
        *(
            "hf_internal_testing_tiny_random_model",
            "hf:Hades2002/Uni-SafeBench",
            "0f343b0931126a20f133d67c2b018a3b",
            "https://h/x#section-key",
        ),
        *("The bearer responsibilities of understanding", "basic understanding-of-chemistry", "task-1234567890123456"),
        *("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "http://localhost:8000/v1"),
    ],
)
def test_names_digests_addresses_and_prose_are_no_keys(text: str) -> None:
    assert not looks_secret(text)
    assert hide_in_text(text) == text
    parsed({"extra": {"note": text, "deep": [{"model": text}]}})


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ({"model": KEY}, "model"),
        ({"base_url": f"http://host/{KEY}/v1"}, "base_url"),
        ({"base_url": "http://u:PLANTED@host/v1"}, "base_url"),
        ({"base_url": "http://host/v1?key=PLANTED123"}, "base_url"),
        ({"base_url": "http://host/v1#key=PLANTED123"}, "base_url"),
        ({"key_env": "hf_PLANTEDabcdefghijklmnopqrstuv12"}, "key_env"),
        ({"headers_env": {"X-A": "gsk_PLANTEDabcdefghijklmnopqrs12"}}, "headers_env.X-A"),
        ({"headers": {KEY: "x"}}, "headers"),
        ({"extra": {"a": [{"b": [{"c": f"x {KEY}"}]}]}}, "extra.a[0].b[0].c"),
        ({"extra": {"extra_headers": {"Authorization": "Bearer PLANTED"}}}, "extra.extra_headers.Authorization"),
        ({"extra": {"session_token": "PLANTED"}}, "extra.session_token"),
        ({"extra": {"body": '{"api_key": "PLANTED"}'}}, "extra.body"),
        ({"extra": {KEY: 1}}, "extra"),
        ({"rpm": KEY}, "rpm"),
        ({"provider": KEY}, "provider"),
        ({"tasks": [KEY]}, "tasks[0]"),
        ({KEY: 1}, ""),
    ],
)
def test_a_key_is_refused_wherever_it_stands_and_the_refusal_names_the_place_alone(model: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(model)
    assert "PLANTED" not in str(caught.value)
    assert f"models[0].{place}" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("section", ["dataset", "cache"])
def test_other_sections_are_searched_too(section: str) -> None:
    key = {"dataset": "source", "cache": "path"}[section]
    with pytest.raises(ConfigError, match=f"{section}.{key}: looks like a secret") as caught:
        parsed({}, **{section: {key: f"https://user:{KEY}@host/x"}})
    assert "PLANTED" not in str(caught.value)


def test_the_shipped_configuration_holds_none() -> None:
    load_config(Path(__file__).parents[2] / "bench.toml")


def test_a_key_that_an_older_version_stored_is_in_nothing_that_is_printed_or_written(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text(
        f'[dataset]\nsource = "sample"\nlimit = 7\n[judge]\nprovider = "simulated"\nmodel = "judge"\n'
        f'[[models]]\nname = "m"\n{"".join(f"{key} = {json.dumps(value)}{chr(10)}" for key, value in MODEL.items())}',
        "utf-8",
    )
    assert forked.unisafe("run", cwd=tmp_path).returncode in (0, 1)
    with duckdb.connect(str(tmp_path / "unisafe.duckdb")) as connection:
        config, summary = connection.execute("SELECT config, summary FROM runs").fetchone()  # type: ignore[misc]
        stored = json.loads(config)
        stored["models"][0] |= {"provider": "openai", "extra": {"extra_headers": {"Authorization": f"Bearer {KEY}"}}}
        identity = f'openai|https://host/v1|m|{{"extra_headers": {{"Authorization": "Bearer {KEY}"}}}}'
        figures = json.loads(summary)
        figures["identities"]["m"] = identity
        connection.execute("UPDATE runs SET config = ?, summary = ?", [json.dumps(stored), json.dumps(figures)])
        connection.execute("UPDATE responses SET identity = ? WHERE id IN (SELECT response FROM rows)", [identity])
    said = ""
    for arguments in (
        *(["report"], ["runs"], ["cache", "stats"], ["tables"], ["tables", "-f", "json"], ["tables", "-f", "latex"]),
        *(["rows", "-o", "r.csv"], ["rows", "-o", "r.json"], ["rows", "-o", "r.parquet"], ["report", "--html", "p.html"]),
        *(["export-official", "-o", "official"], ["export", "-o", "run.zip"]),
    ):
        done = forked.unisafe(*arguments, cwd=tmp_path)
        assert "Traceback" not in done.stderr
        said += done.stdout + done.stderr
    assert "PLANTED" not in said
    assert "looks like a secret" in said, "the archive is refused"
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT DISTINCT identity FROM read_parquet('{tmp_path / 'r.parquet'}')").fetchall()
    assert "PLANTED" not in str(rows)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in (".duckdb", ".wal")]
    assert len(written) > 5
    assert [path.name for path in written if b"PLANTED" in path.read_bytes()] == []
