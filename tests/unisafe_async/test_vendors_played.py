"""A bench.toml with a dozen vendors and more, each behind its own protocol, runs to one table."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path

import cassettes
import pytest
from vendors_played.bench import list_known, write_bench
from vendors_played.chats import JUDGE
from vendors_played.server import playing

from unisafe_async import evaluate, parse_config
from unisafe_async.run.cassettes.cassette import build_cassette, find_leaks
from unisafe_async.run.doctor import examine
from unisafe_async.run.evaluation import judges_of
from unisafe_async.run.probing import try_calls

PLAYED = {
    *("openai", "azure", "anthropic", "gemini", "openrouter", "mistral", "groq", "fireworks", "together", "xai", "dashscope"),
    *("cohere", "bedrock", "vertex", "anthropic-foundry", "stability", "recraft", "ark", "minimax"),
    *("bfl", "fal", "replicate", "luma", "ideogram"),
}
"""Vendors that must take part; the list grows with the providers that this project knows."""
LIMIT = 21


async def test_a_dozen_vendors_run_to_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vendors = list_known()
    assert {vendor.provider for vendor in vendors} >= PLAYED
    for vendor in (*vendors, JUDGE):
        monkeypatch.setenv(vendor.variable, vendor.key)
    monkeypatch.setattr("unisafe_providers.hosted.jobs.FIRST_PAUSE", 0.01)
    async with playing([*vendors, JUDGE]) as server:
        table = tomllib.loads(write_bench(vendors, server.url, LIMIT))
        table["cache"]["path"] = str(tmp_path / "run.duckdb")
        result = await evaluate(parse_config(table))
        rows = result.rows()
        paid = Counter(server.calls)
        again = await evaluate(parse_config(table))
        assert server.calls == paid, "a run that is complete was asked again"
        assert [row.outcome for row in again.rows()] == [row.outcome for row in rows]
    assert server.faults == []
    items = Counter(row.model for row in rows)
    outcomes = Counter((row.model, row.outcome.partition("_")[0]) for row in rows)
    for vendor in vendors:
        assert outcomes[vendor.name, "answered"] + outcomes[vendor.name, "blocked"] == items[vendor.name] > 0, vendor.name
        assert outcomes[vendor.name, "answered"] > 0, vendor.name
        assert paid[vendor.name] == items[vendor.name], f"{vendor.name}: one call an item"
    assert all(row.contextual is not None and row.intrinsic is not None for row in rows)
    unblocked = [vendor.name for vendor in vendors if not outcomes[vendor.name, "blocked"]]
    assert unblocked == [], "the filters of these never struck, or were not understood"


async def test_what_doctor_records_of_each_vendor_holds_no_key_and_plays_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chats, forms, jobs with their polls, pictures at addresses: every way of every protocol."""
    vendors = list_known()
    for vendor in (*vendors, JUDGE):
        monkeypatch.setenv(vendor.variable, vendor.key)
    monkeypatch.setattr("unisafe_providers.hosted.jobs.FIRST_PAUSE", 0.01)
    async with playing([*vendors, JUDGE]) as server:
        config = parse_config(tomllib.loads(write_bench(vendors, server.url, LIMIT)))
        async with examine(config, judges_of(config), record=True) as checked:
            await try_calls(checked)
            cassette = build_cassette(config, checked)
    text = json.dumps(cassette.content)
    assert find_leaks(cassette, checked) == []
    assert [vendor.name for vendor in (*vendors, JUDGE) if vendor.key in text] == []
    assert "signature=played" not in text
    recorded = json.loads(text)["models"]
    assert len(recorded) == len(vendors) + 1
    for model in recorded:
        assert all(probe["outcome"] in ("stop", "blocked") for probe in model["expected"]["probes"].values()), model["provider"]
        found, player = await cassettes.play(model, monkeypatch)
        assert cassettes.find_difference(model, found, player) == "", model["provider"]
