"""A bench.toml with a dozen vendors and more, each behind its own protocol, runs to one table."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest
from vendors_played.bench import list_known, write_bench
from vendors_played.chats import JUDGE
from vendors_played.server import playing

from unisafe_async import evaluate, parse_config

PLAYED = {
    *("openai", "azure", "anthropic", "gemini", "openrouter", "mistral", "groq", "fireworks", "together", "xai"),
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
