"""bench.toml: what a user adds to requests. Secrets are refused at every depth and never repeated; headers are what HTTP can
carry.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from vendors import KEY, openai

from unisafe_async import ConfigError, evaluate, parse_config
from unisafe_async.run.endpoints import endpoint_of

JUDGE = {"provider": "simulated", "model": "judge"}
SECRET = "sk-planted0123456789abcdef"


def parsed(model: dict[str, Any], judge: dict[str, Any] = JUDGE) -> Any:
    return parse_config({"models": [{"name": "m", "model": "x", "provider": "vllm", **model}], "judge": judge})


def refusal(model: dict[str, Any], judge: dict[str, Any] = JUDGE) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(model, judge)
    assert "planted" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ({"extra": {"api_key": "x"}}, "extra.api_key"),
        ({"extra": {"extra_headers": {"Authorization": f"Bearer {SECRET}"}}}, "extra.extra_headers.Authorization"),
        ({"extra": {"extra_headers": {"X-Auth": "Basic cGxhbnRlZA=="}}}, "extra.extra_headers.X-Auth"),
        ({"extra": {"a": [{"b": {"note": SECRET}}]}}, "extra.a[0].b.note"),
        ({"extra": {"extra_headers": [["Authorization", "planted"]]}}, "extra.extra_headers.Authorization"),
        ({"extra": {"headers": [{"name": "X-Auth-Token", "value": "planted"}]}}, "extra.headers.X-Auth-Token"),
        ({"extra": {"route": "AIzaplanted0123456789abc"}}, "extra.route"),
        ({"extra": {"note": "with hf_planted0123456789abcdef"}}, "extra.note"),
        ({"extra_chat": {"metadata": {"token": "planted"}}}, "extra_chat.metadata.token"),
        ({"serve": {"args": ["--api-key", "planted"]}}, "serve.args[1]"),
        ({"serve": {"args": ["--api-key=planted"]}}, "serve.args[0]"),
        ({"serve": {"command": ["x", "{port}", "--hf-token", "planted"]}}, "serve.command[3]"),
        ({"provider": "command", "command": ["x", "--password", "planted"]}, "command[2]"),
        ({"gives": ["image"], "extra_image": {"password": "planted"}}, "extra_image.password"),
        ({"gives": ["image"], "takes": ["image"], "extra_edit": {"x": {"secret": "planted"}}}, "extra_edit.x.secret"),
    ],
)
def test_a_secret_in_extra_is_refused_at_every_depth_in_one_line(model: dict[str, Any], place: str) -> None:
    words = refusal(model)
    assert f"models[0].{place}: looks like a secret" in words
    assert len(words.splitlines()) == 1


@pytest.mark.parametrize(
    "extra",
    [
        {"prompt_cache_key": "run-1", "max_completion_tokens": 9, "logit_bias": {"1": -1}},
        {"chat_template_kwargs": {"enable_thinking": False}, "stop_token_ids": [1]},
        {"tools": [{"function": {"parameters": {"properties": {"monkey": {"type": "string"}}}}}]},
        {"adapter": "/scratch/me/hf_cache/hub/models--owner--name", "draft_model": "/mnt/fw_models/some-large-model"},
        {"variant": "r8_quantized_model_files", "note": "Bearer authentication is not used"},
        {"models": ["xai-org/grok-2-instruct-weights", "perplexity/pplx-7b-chat-alpha", "npm_config_registry_url"]},
    ],
)
def test_what_only_sounds_like_one_is_no_secret(extra: dict[str, Any]) -> None:
    assert parsed({"extra": extra}).models[0].extra == extra


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "authorization", "api-key", "x-api-key", "X-Portkey-Api-Key", "Helicone-Auth", "cf-aig-authorization"),
        *(
            "Cookie",
            "X-Token",
            "x-auth-token",
            "x-portkey-virtual-key",
            "Ocp-Apim-Subscription-Key",
            "X-Client-Secret",
            "X-Signature",
        ),
    ],
)
def test_a_secret_header_must_come_from_a_variable(name: str) -> None:
    words = refusal({"headers": {name: "planted"}})
    assert f'headers_env = {{ "{name}" = "VARIABLE" }}' in words
    assert parsed({"headers_env": {name: "GATEWAY_KEY"}}).models[0].headers_env == {name: "GATEWAY_KEY"}


@pytest.mark.parametrize("value", [SECRET, "Bearer planted", "Basic cGxhbnRlZA==", "eyJplanted0123456789.abc"])
def test_a_secret_value_must_come_from_a_variable(value: str) -> None:
    assert "headers.X-Route: looks like a secret" in refusal({"headers": {"X-Route": value}})


@pytest.mark.parametrize(
    "name",
    [
        "HTTP-Referer",
        "X-Title",
        "x-portkey-config",
        "Helicone-Cache-Enabled",
        "Helicone-Session-Id",
        "cf-aig-cache-key",
        "X-Author",
    ],
)
def test_an_ordinary_header_stands_in_the_file(name: str) -> None:
    assert parsed({"headers": {name: "value"}}).models[0].headers == {name: "value"}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"headers": {"X Title": "a"}}, "'X Title' is no name of a header"),
        ({"headers": {"X-Title:": "a"}}, "'X-Title:' is no name of a header"),
        ({"headers": {"": "a"}}, "'' is no name of a header"),
        ({"headers": {"X-Title": "a\r\nHost: b"}}, "headers.X-Title: holds a line break"),
        ({"headers": {"X-Title": "Prüfung"}}, "non-ASCII"),
        ({"headers": {"X-Title": 3}}, "headers.X-Title: should be a text, found 3"),
        ({"headers": {"Content-Type": "a"}}, "headers.Content-Type: is set by how requests are sent"),
        ({"headers_env": {"host": "A"}}, "headers_env.host: is set by how requests are sent"),
        ({"headers": {"content-length": "3"}}, "headers.content-length: is set by how requests are sent"),
        ({"headers": {"X-A": "1"}, "headers_env": {"x-a": "A"}}, "'x-a' is given twice"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "'x-a' is given twice"),
        ({"headers_env": {"X-A": "not a variable"}}, "headers_env.X-A: should be a variable's name"),
        ({"headers_env": {"X-A": SECRET}}, "headers_env.X-A: should be a variable's name"),
        ({"key_env": "A", "headers_env": {"Authorization": "B"}}, "carries the key that key_env names already"),
        ({"key_env": ""}, "key_env: should be the name of a variable"),
        ({"key_env": SECRET}, "key_env: should be the name of a variable"),
        ({"provider": "transformers", "headers": {"X-A": "1"}}, "headers: goes with"),
        ({"extra_image": {"steps": 4}}, 'extra_image: goes with a model with "image" in gives only'),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(model: dict[str, Any], words: str) -> None:
    assert words in refusal(model)


def test_judges_have_headers_too_and_are_only_asked_in_chats() -> None:
    judge = {"provider": "vllm", "model": "j", "headers": {"X-Title": "a"}, "headers_env": {"X-Token": "T"}}
    assert parsed({}, judge).judge.headers_env == {"X-Token": "T"}
    assert "judge.headers.X-Token: looks like a secret" in refusal({}, {**judge, "headers": {"X-Token": "planted"}})
    assert "judge.extra_edit: goes with models under test only" in refusal({}, {**judge, "extra_edit": {"a": 1}})
    several = {"judges": [judge, {**judge, "model": "k", "headers": {"Cookie": "planted"}}]}
    assert "judge.judges[1].headers.Cookie: looks like a secret" in refusal({}, several)


async def test_a_header_s_variable_that_is_not_set_stops_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    config = parsed({"headers_env": {"X-Gateway-Key": "NO_SUCH_KEY"}})
    with pytest.raises(ConfigError, match=r"models\[0\].headers_env.X-Gateway-Key: the variable NO_SUCH_KEY is not set"):
        await evaluate(config)


async def test_a_gateway_s_key_reaches_it_and_is_stored_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", KEY)
    monkeypatch.setenv("GATEWAY_KEY", "gateway-planted-0123456789")
    async with openai.OpenAIServer(openai.completion("Sure.")) as server:
        model = {
            "name": "m",
            "provider": "openai",
            "model": "m",
            "base_url": server.url,
            "key_env": "VENDOR_KEY",
            "headers": {"X-Title": "bench"},
            "headers_env": {"X-Gateway-Key": "GATEWAY_KEY"},
            "extra_chat": {"top_k": 1},
        }
        dataset = {"tasks": ["malicious_text_generation"], "limit": 2}
        table = {
            "dataset": dataset,
            "models": [model],
            "judge": {**JUDGE, "simulation": {"guess": 0.5}},
            "cache": {"path": "c.duckdb"},
        }
        result = await evaluate(parse_config(table, base=tmp_path))
    assert result.unjudged == 0
    assert {asked.headers["x-gateway-key"] for asked in server.asked} == {"gateway-planted-0123456789"}
    assert {asked.body["top_k"] for asked in server.asked} == {1}
    assert b"planted" not in (tmp_path / "c.duckdb").read_bytes()
    assert b"X-Title" in (tmp_path / "c.duckdb").read_bytes()


@pytest.mark.parametrize(
    ("model", "names", "edit_body", "title"),
    [
        ({"provider": "mistral"}, {"seed": "random_seed"}, "form", "Mistral"),
        (
            {"provider": "openai", "base_url": "https://api.mistral.ai/v1", "key_env": "K"},
            {"seed": "random_seed"},
            "form",
            "Mistral",
        ),
        (
            {"provider": "mistral", "base_url": "https://proxy.example/v1", "key_env": "K"},
            {"seed": "random_seed"},
            "form",
            "the endpoint",
        ),
        ({"provider": "xai"}, {}, "json", "xAI"),
        ({"provider": "openai", "base_url": "https://api.x.ai/v1/", "key_env": "K"}, {}, "json", "xAI"),
        ({"provider": "openai", "base_url": "http://localhost:8000/v1"}, {}, "form", "the endpoint"),
    ],
)
def test_a_vendor_s_own_ways_hold_by_its_name_and_by_its_address(
    model: dict[str, Any], names: dict[str, str], edit_body: str, title: str
) -> None:
    provider: Any = endpoint_of(parsed(model).models[0], "m", Path(), anyio.sleep).provider
    assert (dict(provider._accepted.names), provider._edit_body, provider.title) == (names, edit_body, title)
