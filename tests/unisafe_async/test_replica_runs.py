"""Runs over several servers of one model: complete though one dies, and answered from the cache of a run over one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from machines import Machine
from test_truth import SIM, run

from unisafe_async.config.bench_toml import ConfigError, parse_config
from unisafe_async.run.endpoints import endpoint_of


def bench(folder: Path, base_url: object, **more: Any) -> dict[str, Any]:
    return {
        "cache": {"path": str(folder / "run.duckdb")},
        "dataset": {"source": "sample", "tasks": ["malicious_text_generation"]},
        "judge": {**SIM, "model": "judge"},
        "models": [{"name": "m", "provider": "vllm", "model": "m", "base_url": base_url, **more}],
    }


async def test_a_run_over_two_servers_one_of_which_dies_is_complete_and_its_answers_serve_one_server_too(tmp_path: Path) -> None:
    one, other = Machine(0.01), Machine(0.01)
    other.breaks_after = 5
    await one.start()
    await other.start()
    try:
        result, done = await run(bench(tmp_path, [one.url, other.url], max_concurrency=4))
        assert result.status == "done"
        assert done.unjudged == 0
        assert set((one.answered + other.answered).values()) == {1}
        assert one.answered
        assert other.answered
        assert any(other.url in note for notes in done.summary()["notes"].values() for note in notes)  # type: ignore[attr-defined]
        before = one.asked
        _, again = await run(bench(tmp_path, one.url))
        assert again.unjudged == 0
        assert one.asked == before
    finally:
        await one.stop()
        await other.stop()


def identity(folder: Path, base_url: object) -> str:
    section = parse_config(bench(folder, base_url)).models[0]
    return endpoint_of(section, "m", folder, anyio.sleep).provider.identity


def test_the_first_address_is_the_identity(tmp_path: Path) -> None:
    alone = identity(tmp_path, "http://a:8000/v1")
    assert alone == "openai|http://a:8000/v1|m|images"
    assert identity(tmp_path, ["http://a:8000/v1"]) == alone
    assert identity(tmp_path, ["http://a:8000/v1", "http://b:8000/v1"]) == alone


def test_each_server_takes_as_many_calls_and_has_the_limits_that_the_section_says(tmp_path: Path) -> None:
    section = parse_config(bench(tmp_path, ["http://a/v1", "http://b/v1", "http://c/v1"], max_concurrency=10, rpm=60.0)).models[0]
    assert endpoint_of(section, "m", tmp_path, anyio.sleep).concurrency.max_calls == 30


@pytest.mark.parametrize(
    ("base_url", "more", "said"),
    [
        ([], {}, "base_url: should be an address"),
        (["http://a/v1", "b"], {}, "base_url: should be an address such as https://host/v1, found 'b'"),
        (["http://a/v1", "http://a/v1/"], {}, "base_url: names an address twice"),
        (["http://a/v1", "http://u:p@b/v1"], {}, "base_url: holds a user"),
        (["http://a/v1", 5], {}, "replicas"),
        (["http://a/v1", "http://b/v1"], {"provider": "openai", "mode": "batch"}, "base_url: batch jobs go to one address"),
    ],
)
def test_a_wrong_list_is_one_clear_error(tmp_path: Path, base_url: object, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(bench(tmp_path, base_url, **more))
    assert f"models[0].{said}" in str(refused.value)
