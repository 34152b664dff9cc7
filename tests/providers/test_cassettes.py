"""Cassettes of real vendors and servers: each answer is taken today as it was taken when it was recorded.

A cassette is made by `unisafe doctor --record FILE` (CONTRIBUTING.md). A file in `cassettes/` is all that a new one needs.
"""

from __future__ import annotations

import pytest
from cassettes import FOLDER, find_difference, list_recorded, play
from unisafe_providers.presets import load_presets

from unisafe_async.config.secret_words import find_secrets

RECORDED = list_recorded()


@pytest.mark.parametrize("name", RECORDED)
async def test_every_recorded_answer_comes_out_as_it_did(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = RECORDED[name]
    found, player = await play(recorded, monkeypatch)
    wrong = find_difference(recorded, found, player)
    assert not wrong, wrong


def test_a_vendor_that_was_called_has_a_cassette() -> None:
    called = {name for name, preset in load_presets().items() if preset.checked == "called"}
    answered = {
        one["provider"]
        for one in RECORDED.values()
        if any(probe["outcome"] in ("stop", "length") for probe in one["expected"]["probes"].values())
    }
    assert called - answered == set(), "no cassette in tests/providers/cassettes/ shows an answer of these"
    assert answered & load_presets().keys() - called == set(), 'their cassettes are here: say checked = "called" in their files'


def test_no_cassette_holds_a_secret() -> None:
    for file in FOLDER.glob("*.json"):
        assert list(find_secrets(file.read_text("utf-8"), file.name)) == []
