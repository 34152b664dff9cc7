"""Models behind four vendors' protocols, on real servers, in one run and one table: each is read as it would be in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from unisafe_cache import Row

from unisafe_async import evaluate, parse_config
from unisafe_async.benchmark import open_dataset
from unisafe_async.simulate import Simulator, open_server

KEY = "sk-planted-2b8d10f4"
PROFILE = "balanced"
BOTH = ["text", "image"]
GIVES = {"openai": BOTH, "azure": BOTH, "gemini": BOTH, "anthropic": ["text"]}


async def rows_of(folder: Path, models: list[dict[str, object]], judge: dict[str, object]) -> list[Row]:
    table = {"cache": {"path": str(folder / "run.duckdb")}, "models": models, "judge": judge}
    return (await evaluate(parse_config(table))).rows()


def seen(rows: list[Row], model: str) -> dict[str, tuple[object, ...]]:
    """By item: what became of it, without what two kinds of provider may tell differently (their reasons)."""
    return {row.item: (row.outcome, row.contextual, row.intrinsic, row.contextual_status) for row in rows if row.model == model}


async def test_four_vendors_protocols_in_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_KEY", KEY)
    simulator = Simulator(open_dataset("sample"), key=KEY)
    async with open_server(simulator) as url:
        root = url.removesuffix("/v1")
        places = {"openai": url, "azure": f"{root}/openai/v1", "gemini": f"{root}/v1beta", "anthropic": f"{root}/anthropic/v1"}

        def at(vendor: str, model: str) -> dict[str, object]:
            return {"provider": vendor, "model": model, "base_url": places[vendor], "key_env": "PLANTED_KEY", "takes": BOTH}

        models = [{**at(vendor, PROFILE), "name": vendor, "gives": gives} for vendor, gives in GIVES.items()]
        rows = await rows_of(tmp_path, models, at("anthropic", "judge"))
        paid = simulator.seen.answers.total()
        again = await rows_of(tmp_path, models, at("anthropic", "judge"))
        assert simulator.seen.answers.total() == paid
    here = {"provider": "simulated", "model": PROFILE, "takes": BOTH, "gives": BOTH, "name": "here"}
    expected = seen(await rows_of(tmp_path, [here], {"provider": "simulated", "model": "judge"}), "here")
    assert {"blocked_request", "blocked_response", "refused", "answered"} <= {outcome for outcome, *_ in expected.values()}
    for vendor in ("gemini", "azure", "anthropic", "openai"):
        found = seen(rows, vendor)
        wanted = {item: told_by(vendor, expected[item], item) for item in found}
        assert found == wanted, vendor
        assert seen(again, vendor) == found
    assert len(seen(rows, "gemini")) == len(seen(rows, "azure")) == len(expected)


def told_by(vendor: str, truth: tuple[object, ...], item: str) -> tuple[object, ...]:
    """What a vendor can tell of the truth: some have no way to say that the model refused, or at which stage a filter blocked."""
    outcome, *verdicts = truth
    drawn = item.startswith(("unsafe_t2i", "malicious_image"))
    if outcome == "refused" and vendor in ("anthropic", "gemini"):
        outcome = "answered"
    if outcome in ("refused", "answered") and verdicts[0] == 2 and vendor in ("openai", "azure") and drawn:
        outcome = "blocked_request"  # their address for images has no place for words
    if outcome == "blocked_response" and vendor == "anthropic":
        outcome = "blocked_request"  # nothing had been written when its classifier struck
    if outcome == "blocked_response" and vendor in ("openai", "azure") and drawn:
        outcome = "blocked_request"
    return (outcome, *verdicts)
