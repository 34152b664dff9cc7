"""A section of Amazon Bedrock in bench.toml: where it is asked, who is asked for what key, and what is said about mistakes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from unisafe_providers.hosted.bedrock import Bedrock
from unisafe_providers.hosted.bedrock_pictures import BedrockPictures
from vendors.bedrock import KEY_ID, REGION, SECRET, BedrockServer, answer

from unisafe_async import parse_config
from unisafe_async.config.bench_toml import ConfigError
from unisafe_async.config.sections import ModelSection
from unisafe_async.run.doctor import examine
from unisafe_async.run.endpoints import provider_of
from unisafe_async.run.evaluation import judges_of

KEY = "AWS_BEARER_TOKEN_BEDROCK"
VIRGINIA = "https://bedrock-runtime.us-east-1.amazonaws.com"
CANVAS = "amazon.nova-canvas-v1:0"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no region and no credentials."""
    for name in (KEY, "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def section(**keys: Any) -> ModelSection:
    table = {
        "dataset": {"source": "items.jsonl"},
        "models": [{"name": "a", "provider": "bedrock", "model": "amazon.nova-pro-v1:0", **keys}],
        "judge": {"provider": "simulated", "model": "judge"},
    }
    return parse_config(table).models[0]


def test_the_address_follows_from_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    assert section(region="us-east-1").address == VIRGINIA
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert section().address == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert section().address == VIRGINIA
    assert section(base_url="https://gateway.example/bedrock", key_env="K").address == "https://gateway.example/bedrock"


def test_the_openai_compatible_address_follows_from_the_region_too() -> None:
    named = section(provider="bedrock-openai", region="us-west-2")
    assert named.address == "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1"
    assert named.secret_variables == {"key_env": KEY}
    with pytest.raises(ConfigError, match=r"models\[0\]\.region: missing; .* set AWS_REGION"):
        section(provider="bedrock-openai")


def test_a_key_is_asked_for_where_nothing_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert section(region="us-east-1").secret_variables == {}, "without the variable requests are signed"
    assert section(region="us-east-1", key_env="MINE").secret_variables == {"key_env": "MINE"}
    monkeypatch.setenv(KEY, "a-bedrock-key-0123456789")
    assert section(region="us-east-1").secret_variables == {"key_env": KEY}
    assert section(region="us-east-1", profile="lab").secret_variables == {}


def test_the_way_does_not_change_what_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "a-bedrock-key-0123456789")
    by_key = provider_of(section(region="us-east-1"), Path())
    monkeypatch.delenv(KEY)
    assert provider_of(section(region="us-east-1", profile="lab"), Path()).identity == by_key.identity
    assert provider_of(section(region="eu-west-1"), Path()).identity != by_key.identity


def test_a_model_that_only_draws_is_asked_for_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "a-bedrock-key-0123456789")
    assert isinstance(provider_of(section(region="us-east-1"), Path()), Bedrock)
    for model in (CANVAS, "us.stability.stable-image-ultra-v1:1", f"arn:aws:bedrock:us-east-1::foundation-model/{CANVAS}", "m"):
        drawing = section(region="us-east-1", model=model, gives=["image"])
        assert isinstance(provider_of(drawing, Path()), BedrockPictures)


def test_a_guardrail_that_extra_names_is_traced_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "a-bedrock-key-0123456789")
    named = {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}
    provider = provider_of(section(region="us-east-1", extra=named), Path())
    assert '"trace":"enabled"' in provider.identity


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "region: missing; name the region of the model, such as us-east-1, or set AWS_REGION"),
        ({"region": "Virginia"}, "region: should look like us-east-1, found 'Virginia'"),
        ({"base_url": "https://gateway.example"}, "region: missing; requests are signed for a region"),
        ({"region": "us-east-1", "model": CANVAS}, 'gives: this model draws and writes no text; put gives = ["image"]'),
        ({"region": "us-east-1", "model": CANVAS, "gives": ["text", "image"]}, "gives: this model draws and writes no text"),
        ({"region": "us-east-1", "mask_prompt": "the sky"}, 'mask_prompt: goes with gives = ["image"] only'),
        ({"region": "us-east-1", "profile": "lab", "key_env": "MY_KEY"}, "key_env: stands beside `profile`"),
        ({"region": "us-east-1", "guardrail_version": "3"}, "guardrail_version: goes with a guardrail"),
        ({"region": "us-east-1", "guardrail": "g", "guardrail_version": "new"}, "guardrail_version: should look like 1"),
        ({"region": "us-east-1", "mode": "batch"}, "batch_role: missing; batch jobs of Amazon Bedrock need it"),
        (
            {"region": "us-east-1", "mode": "batch", "batch_role": "me", "batch_s3": "b"},
            "batch_role: should be such as arn:aws:iam",
        ),
    ],
)
def test_mistakes_name_the_key_and_what_would_be_right(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        section(**keys)
    assert f"models[0].{said}" in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, f"key_env: AWS credentials need the extra `aws`: pip install 'unisafe-async[aws]'; or set {KEY} to a Bedrock key"),
        ({"profile": "lab"}, "profile: AWS credentials need the extra `aws`: pip install 'unisafe-async[aws]'"),
    ],
)
def test_the_missing_extra_is_said_before_a_run(keys: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(ConfigError) as caught:
        section(region="us-east-1", **keys)
    assert f"models[0].{said}" in str(caught.value)


class Listing(BedrockServer):
    """Says which models and profiles a region has."""

    async def _answer(self, request: Any) -> Any:
        from aiohttp import web

        lists = {
            "/foundation-models": {"modelSummaries": [{"modelId": "amazon.nova-pro-v1:0"}]},
            "/inference-profiles": {"inferenceProfileSummaries": [{"inferenceProfileId": "us.anthropic.claude-sonnet-5-v1:0"}]},
        }
        wrong = self._check(request, b"")
        return web.json_response(wrong.body if wrong else lists[request.path], status=wrong.status if wrong else 200)


async def test_the_doctor_reads_the_lists_with_signed_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    async with Listing(answer(), sessions=("",)) as server:
        table = {
            "dataset": {"source": "items.jsonl"},
            "models": [
                {"name": "a", "provider": "bedrock", "model": "amazon.nova-pro-v1:0", "base_url": server.url, "region": REGION}
            ],
            "judge": {"provider": "simulated", "model": "judge"},
        }
        config = parse_config(table)
        provider = provider_of(config.models[0], Path())
        async with provider:
            names = await provider.models()  # type: ignore[attr-defined]
        async with examine(config, judges_of(config)) as checked:
            wrong = [str(one) for one in checked if one.wrong]
    assert names == ["amazon.nova-pro-v1:0", "us.anthropic.claude-sonnet-5-v1:0"]
    assert server.faults == ["", "", "", ""]
    assert wrong == []


async def test_the_doctor_says_that_there_are_no_credentials() -> None:
    table = {
        "dataset": {"source": "items.jsonl"},
        "models": [{"name": "a", "provider": "bedrock", "model": "x", "region": REGION}],
        "judge": {"provider": "simulated", "model": "judge"},
    }
    config = parse_config(table)
    async with examine(config, judges_of(config)) as checked:
        words = " ".join(str(finding) for one in checked for finding in one.findings)
    assert f"no AWS credentials were found: set {KEY} to a Bedrock key" in words
