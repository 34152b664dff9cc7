"""The answers of vendors on the first three protocols: each is taken for what it is, in a run of the whole program."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_cases import Case, Told, cases, find_wrong, list_wires, played

WIRES = ("openai chat/completions", "openai images/generations", "openai responses", "anthropic messages", "gemini generateContent")
DRAWING = ("openrouter image out", "gemini NO_IMAGE", "gemini 400 modality")


def tell(case: Case) -> Told:
    told: Told = {"provider": {"anthropic messages": "anthropic", "gemini generateContent": "gemini"}.get(case.wire, "openai")}
    if case.wire.startswith("openai images") or case.name in DRAWING:
        told["gives"] = ["text", "image"]
    if case.name == "openrouter image out":
        told["image_api"] = "chat"
    if case.wire == "openai responses":
        told["api"] = "responses"
    return told


@pytest.mark.parametrize("wire", WIRES)
async def test_every_answer_is_taken_for_what_it_is(wire: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = cases(wire)
    wrong = find_wrong(chosen, await played(chosen, tmp_path, monkeypatch, tell))
    assert not wrong, wrong


def test_every_case_belongs_to_a_protocol() -> None:
    assert list_wires("vendor_answers.jsonl") == set(WIRES)
