"""Prices that bench.toml does not give: from one table, matched by name, with their date; what is old or unknown is said."""

from __future__ import annotations

import json
import runpy
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from unisafe_providers import price_table
from unisafe_providers.price_table import find_price

from unisafe_async import parse_config
from unisafe_async.run.endpoints import endpoint_of
from unisafe_async.screens.plan import describe_prices

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "refresh_prices.py"))
READ = "2026-05-01"
TABLE = {
    "read": READ,
    "source": "a table",
    "prices": {
        "anthropic": {"claude-opus-5-5": [4.0, 20.0], "claude-old-20240101": [1.0, 2.0], "claude-odd-20240101": [1.0, 2.0]},
        "bedrock": {"anthropic.claude-x-v1:0": [3.0, 15.0], "us.anthropic.claude-x-v1:0": [3.3, 16.5]},
        "gemini": {"gemini-image": [0.3, 0.0, 0.039]},
        "stability": {"stable-image-core": [0.0, 0.0, 0.03], "sd3.5-large": [0.0, 0.0, 0.065]},
        "snowflake": {"claude-4": [3.0, 15.0]},
    },
}
TABLE["prices"]["anthropic"]["claude-odd-20250101"] = [3.0, 4.0]  # type: ignore[index]


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    price_table._index_versions.cache_clear()
    monkeypatch.setattr(price_table, "_load_table", lambda: TABLE)


@pytest.mark.parametrize(
    ("vendor", "model", "price"),
    [
        ("anthropic", "claude-opus-5-5", (4.0, 20.0, None)),
        ("anthropic", "claude-opus-5-5-20261001", (4.0, 20.0, None)),
        ("anthropic", "claude-old", (1.0, 2.0, None)),
        ("anthropic", "claude-odd", None),
        ("bedrock", "us.anthropic.claude-x-v1:0", (3.3, 16.5, None)),
        ("bedrock", "eu.anthropic.claude-x-v1:0", (3.0, 15.0, None)),
        ("bedrock-openai", "eu.anthropic.claude-x-v1:0", (3.0, 15.0, None)),
        ("gemini", "gemini-image", (0.3, 0.0, 0.039)),
        ("stability", "core", (0.0, 0.0, 0.03)),
        ("stability", "sd3.5-large", (0.0, 0.0, 0.065)),
        ("gemini", "claude-opus-5-5", None),
        ("azure", "claude-opus-5-5", None),
    ],
)
def test_a_model_s_name_is_matched_as_the_table_spells_it(vendor: str, model: str, price: tuple[float, ...] | None) -> None:
    found = find_price(vendor, model)
    assert (found and (found.price.tokens_in, found.price.tokens_out, found.price.image)) == price
    assert found is None or found.read == READ


def config(*models: dict[str, Any]) -> Any:
    named = [{"name": f"m{number}", **model} for number, model in enumerate(models)]
    return parse_config({"models": named, "judge": {"provider": "simulated", "model": "judge"}})


def told(parsed: Any, today: date) -> str:
    return "\n".join(words for words, _ in describe_prices(parsed, today))


def test_a_plan_says_which_prices_are_old_and_which_models_have_none() -> None:
    parsed = config(
        {"provider": "anthropic", "model": "claude-opus-5-5"},
        {"provider": "groq", "model": "unheard-of"},
        {"provider": "groq", "model": "priced", "price_in": 1.0, "price_out": 1.0},
        {"provider": "vllm", "model": "mine"},
    )
    fresh = told(parsed, date.fromisoformat(READ) + timedelta(days=90))
    assert "Prices: a table, read on 2026-05-01" in fresh
    assert "old" not in fresh
    assert "No price is known of m1:" in fresh
    old = told(parsed, date.fromisoformat(READ) + timedelta(days=91))
    assert "The prices of m0 are old, read on 2026-05-01, 91 days ago" in old
    assert "python scripts/refresh_prices.py" in old


@pytest.mark.parametrize(
    ("models", "keys"),
    [
        ([{"provider": "bfl", "model": "unheard-of"}], "price_image"),
        ([{"provider": "xai", "model": "unheard-of"}], "price_in and price_out"),
        (
            [{"provider": "xai", "model": "a"}, {"provider": "xai", "model": "b", "gives": ["image"]}],
            "price_in and price_out, or price_image",
        ),
    ],
)
def test_a_plan_asks_for_the_prices_that_such_models_have(models: list[dict[str, Any]], keys: str) -> None:
    assert f"give {keys}." in told(config(*models), date.fromisoformat(READ))


async def test_a_run_s_report_says_that_a_price_was_old() -> None:
    async def never(_seconds: float) -> None:
        raise AssertionError

    parsed = config({"provider": "anthropic", "model": "claude-opus-5-5"}, {"provider": "groq", "model": "x"})
    notes = [endpoint_of(section, "m", Path(), never).notes for section in parsed.models]
    days = (datetime.now(UTC).date() - date.fromisoformat(READ)).days
    assert f"{days} days ago" in notes[0]["price"]
    assert notes[1] == {}


def test_a_customer_s_own_address_at_a_vendor_has_the_vendor_s_prices_and_another_has_none() -> None:
    def priced(address: str) -> bool:
        section = config({"provider": "snowflake", "model": "claude-4", "base_url": address, "key_env": "K"}).models[0]
        return section.known_price is not None

    assert priced("https://me-1.snowflakecomputing.com/api/v2/cortex/v1/")
    assert not priced("https://me-1.snowflakecomputing.com.example.com/api/v2/cortex/v1")
    assert not priced("http://127.0.0.1:9/v1")


# ---------------------------------------------------------------- what LiteLLM's table becomes


ENTRIES: dict[str, Any] = {
    "xai/grok": {"litellm_provider": "xai", "mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05},
    "xai/grok-voice": {
        "litellm_provider": "xai",
        "mode": "realtime",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 1e-06,
    },
    "xai/free": {"litellm_provider": "xai", "mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
    "xai/seconds": {"litellm_provider": "xai", "mode": "chat", "input_cost_per_second": 0.01, "output_cost_per_second": 0.01},
    "xai/one-price": {"litellm_provider": "xai", "mode": "image_generation", "output_cost_per_image": 0.07},
    "xai/by-size": {"litellm_provider": "xai", "mode": "image_generation", "output_cost_per_image": 0.07},
    "xai/2048-x-2048/by-size": {"litellm_provider": "xai", "mode": "image_generation", "output_cost_per_image": 0.14},
    "xai/by-k": {
        "litellm_provider": "xai",
        "mode": "image_generation",
        "output_cost_per_image": 0.08,
        "output_cost_per_image_1K": 0.08,
        "output_cost_per_image_4K": 0.16,
    },
    "xai/pixels": {"litellm_provider": "xai", "mode": "image_generation", "output_cost_per_pixel": 1e-8},
    "xai/tokens": {
        "litellm_provider": "xai",
        "mode": "image_generation",
        "input_cost_per_token": 5e-06,
        "input_cost_per_image_token": 1e-05,
        "output_cost_per_image_token": 4e-05,
    },
    "openai/grok": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
}


def test_only_prices_that_are_told_exactly_come_into_the_table() -> None:
    assert SCRIPT["read_vendor"](ENTRIES, ("xai",)) == {
        "grok": [3.0, 15.0],
        "one-price": [0.0, 0.0, 0.07],
        "tokens": [10.0, 40.0],
    }


def test_the_table_is_written_one_model_a_line_and_changes_are_told() -> None:
    prices = {"xai": {"grok": [3.0, 15.0], "image": [0.0, 0.0, 0.07]}}
    text = SCRIPT["write_table"]({"read": READ, "source": "a table", "prices": prices})
    assert json.loads(text) == {"read": READ, "source": "a table", "prices": prices}
    assert sum('"grok": [3.0, 15.0]' in line for line in text.splitlines()) == 1
    changed = SCRIPT["describe_changes"](prices, {"xai": {"grok": [2.0, 10.0]}})
    assert list(changed) == ["xai grok: [3.0, 15.0] -> [2.0, 10.0]", "xai image: [0.0, 0.0, 0.07] -> gone"]


def test_the_screen_of_a_vendor_says_its_prices_their_day_and_how_its_blocks_look() -> None:
    from unisafe_async.screens.provider_keys import print_provider, read_provider

    out = StringIO()
    print_provider(Console(file=out, width=160), *read_provider("anthropic"))
    screen = out.getvalue()
    for words in (
        "of 4 models: a table",
        "days ago",
        "stop_reason: refusal after some text",
        "blocked response",
        'provider = "anthropic"',
    ):
        assert words in screen
    assert "recorded, read on 2026-11-24" in screen
