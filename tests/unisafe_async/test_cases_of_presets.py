"""Answers of vendors that are a file of data on a protocol of ours, in a run of the whole program under the vendor's own name."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_cases import Case, Told, cases, find_wrong, played

WIRES = {"minimax chat": "minimax"}
VENDORS = ("deepseek", "zai", "moonshot", "dashscope", "mistral", "openrouter", "azure", "xai", "groq")


def tell(case: Case) -> Told:
    return {"provider": WIRES[case.wire]}


@pytest.mark.parametrize("wire", WIRES)
async def test_every_answer_is_taken_for_what_it_is(wire: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = cases(wire)
    wrong = find_wrong(chosen, await played(chosen, tmp_path, monkeypatch, tell))
    assert not wrong, wrong


async def test_a_vendor_s_answers_are_read_alike_under_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cases of a vendor, which other tests play as OpenAI's, with `provider` naming the vendor."""
    chosen = [
        case
        for case in cases("openai chat/completions")
        if case.name.split()[0] in VENDORS and case.name != "openrouter image out" and "random_seed" not in case.expected
    ]
    found = await played(chosen, tmp_path, monkeypatch, lambda case: {"provider": case.name.split()[0]})
    wrong = find_wrong(chosen, found)
    assert not wrong, wrong
