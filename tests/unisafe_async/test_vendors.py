"""Vendors in bench.toml: what a section may say, the prices that are known, and a run of four vendors to one table."""

from __future__ import annotations

from contextlib import AsyncExitStack
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from unisafe_cache import read_file
from vendors import KEY, Reply, anthropic, gemini, openai

from unisafe_async import ConfigError, evaluate, parse_config
from unisafe_async.results.report import read_report
from unisafe_async.run.endpoints import endpoint_of
from unisafe_async.screens.report import print_report

JUDGE = {"provider": "simulated", "model": "judge"}


def parsed(model: dict[str, Any]) -> Any:
    return parse_config({"models": [{"name": "m", "model": "x", **model}], "judge": JUDGE})


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"provider": "gemini", "safety": {"HARM_CATEGORY_HARRASSMENT": "OFF"}}, "did you mean HARM_CATEGORY_HARASSMENT?"),
        ({"provider": "gemini", "safety": {"HARM_CATEGORY_HARASSMENT": "BLOCK_NON"}}, "did you mean BLOCK_NONE?"),
        (
            {"provider": "openai", "safety": {"HARM_CATEGORY_HARASSMENT": "OFF"}},
            'safety: goes with provider = "gemini" or "vertex" only',
        ),
        ({"provider": "anthropic", "api": "responses"}, "api: goes with"),
        ({"provider": "gemini", "background": True}, 'background: goes with api = "interactions" only'),
        ({"provider": "gemini", "api": "interactions", "job_wait_s": 9.0}, "job_wait_s: goes with background = true only"),
        ({"provider": "openai", "api_version": "2024-10-21"}, 'api_version: goes with provider = "azure" only'),
        ({"provider": "bfl", "safety_tolerance": 2}, "goes into `extra`: extra = { safety_tolerance = ... }"),
        (
            {"provider": "databricks", "base_url": "https://w.cloud.databricks.com/serving-endpoints"},
            "key_env: missing; name the variable that holds the key for w.cloud.databricks.com, such as DATABRICKS_TOKEN",
        ),
        ({"provider": "azure"}, "https://RESOURCE.openai.azure.com/openai/v1"),
        (
            {"provider": "azure", "base_url": "https://r.openai.azure.com/openai/deployments/mine", "key_env": "K"},
            "api_version: missing",
        ),
        (
            {"provider": "azure", "base_url": "https://r.openai.azure.com/openai/v1", "key_env": "K", "api_version": "2024-10-21"},
            "of one deployment only",
        ),
        ({"provider": "anthropic", "gives": ["image"]}, "write text only"),
    ],
)
def test_what_a_vendor_has_not_is_said_before_anything_is_sent(model: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(model)
    assert words in str(caught.value)


async def priced(model: dict[str, Any]) -> tuple[float | None, float | None]:
    async def never(_seconds: float) -> None:
        raise AssertionError

    section = parsed(model).models[0]
    prices = endpoint_of(section, "m", Path(), never).prices
    return prices.tokens_in, prices.tokens_out


async def test_a_vendor_s_known_price_holds_at_its_own_address_unless_the_file_says_another() -> None:
    claude = {"provider": "anthropic", "model": "claude-opus-4-5"}
    assert await priced(claude) == (5.0, 25.0)
    assert await priced({**claude, "price_in": 4.0, "price_out": 20.0}) == (4.0, 20.0)
    assert await priced({**claude, "base_url": "https://proxy.example/v1", "key_env": "K"}) == (None, None)
    assert await priced({"provider": "anthropic", "model": "claude-unheard-of"}) == (None, None)


def test_a_budget_needs_no_price_where_the_preset_knows_it() -> None:
    table = {
        "models": [{"name": "m", "provider": "anthropic", "model": "claude-opus-4-5"}],
        "judge": JUDGE,
        "run": {"budget_usd": 1.0},
    }
    assert parse_config(table).models[0].priced
    table["models"][0]["model"] = "claude-unheard-of"  # type: ignore[index]
    with pytest.raises(ConfigError, match="price"):
        parse_config(table)


ERROR = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"violence": {"filtered": True, "severity": "high"}}}


async def test_four_vendors_run_to_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own protocol and its own way to say no; rows and report tell them apart, and what was changed is said."""

    def picky(asked: Any) -> Reply:
        return (
            openai.error("unsupported_value", "'temperature' is not supported")
            if "temperature" in asked.body
            else openai.completion("Sure.")
        )

    servers = {
        "openai": openai.OpenAIServer(picky),
        "anthropic": anthropic.AnthropicServer(anthropic.message("The first half", "refusal", stop_details={"category": "bio"})),
        "gemini": gemini.GeminiServer(gemini.blocked("PROHIBITED_CONTENT")),
        "azure": openai.AzureServer(openai.error("content_filter", "Filtered.", innererror=ERROR)),
    }
    monkeypatch.setenv("VENDOR_KEY", KEY)
    async with AsyncExitStack() as stack:
        for server in servers.values():
            await stack.enter_async_context(server)
        models = [
            {
                "name": name,
                "provider": name,
                "model": "m",
                "base_url": server.url,
                "key_env": "VENDOR_KEY",
                "takes": ["text", "image"],
            }
            for name, server in servers.items()
        ]
        table = {
            "dataset": {"tasks": ["malicious_text_generation"], "limit": 3},
            "generation": {"temperature": 0.5},
            "models": models,
            "judge": {**JUDGE, "simulation": {"guess": 0.5}},
            "cache": {"path": "c.duckdb"},
        }
        result = await evaluate(parse_config(table, base=tmp_path))
    found = {(row.model, row.outcome) for row in result.rows()}
    assert found == {
        ("openai", "answered"),
        ("anthropic", "blocked_response"),
        ("gemini", "blocked_request"),
        ("azure", "blocked_request"),
    }
    assert result.unjudged == 0
    console = Console(file=StringIO(), width=140)
    print_report(console, read_file(result.cache, lambda connection: read_report(connection, result.run)))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.count("m takes no temperature such as 0.5: it was left out") == 1
    stored = read_file(
        result.cache,
        lambda connection: connection.execute(
            "SELECT DISTINCT stage, categories FROM responses WHERE finish = 'blocked' ORDER BY ALL"
        ).fetchall(),
    )
    assert any(
        stage == "request" and categories and '"violence"' in categories and '"high"' in categories for stage, categories in stored
    )
    assert any(stage == "response" and categories and '"bio"' in categories for stage, categories in stored)
