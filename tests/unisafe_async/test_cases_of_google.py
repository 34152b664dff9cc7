"""The answers of Google's clouds and of Cohere: each is taken for what it is, in a run of the whole program."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_cases import Asked, Case, Played, Reply, Told, cases, check, find_wrong, play_case, played

TOLD: dict[str, Told] = {
    "vertex gemini generateContent": {
        "provider": "vertex",
        "model": "gemini-2.5-flash",
        "project": "p",
        "location": "europe-west4",
    },
    "vertex anthropic rawPredict": {"provider": "vertex", "model": "claude-opus-5", "project": "p"},
    "vertex imagen predict": {"provider": "vertex", "model": "imagen-4.0-generate-001", "gives": ["image"]},
    "cohere v2 chat": {"provider": "cohere", "model": "command-a-03-2025"},
}
PATHS = {
    "vertex gemini generateContent": "/v1/projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-flash:generateContent",
    "vertex anthropic rawPredict": "/v1/projects/p/locations/global/publishers/anthropic/models/claude-opus-5:rawPredict",
    "vertex imagen predict": "/v1/publishers/google/models/imagen-4.0-generate-001:predict",
    "cohere v2 chat": "/v1/chat",
}


def tell(case: Case) -> Told:
    more: Told = {"gives": ["text", "image"]} if case.name == "vertex image out" else {}
    return TOLD[case.wire] | more


def play(case: Case, asked: Asked, number: int) -> Reply:
    assert asked.path == PATHS[case.wire]
    return play_case(case, asked, number)


def check_more(case: Case, found: Played) -> None:
    """What `check` looks at, and the words in brackets."""
    answer, error = found.response, found.row.error or ""
    if "once more, then failed" in case.expected:
        assert (found.calls, found.row.contextual, found.row.intrinsic, found.row.outcome) == (2, None, None, "empty")
        return
    if case.expected.startswith("1 image"):
        assert found.row.judged in ("image", "both")
        assert "withheld" in answer["reason"] if "the other blocked" in case.expected else not answer["reason"]
        return
    check(case, found)
    if "MODEL_ARMOR" in case.expected:
        assert "MODEL_ARMOR" in answer["reason"]
    if "support code" in case.expected:
        assert "58061214" in answer["reason"]
    if "Imagen ended" in case.expected:
        assert "Imagen ended on 30 June 2026" in error
    if "billed" in case.expected:
        assert (answer["tokens_out"], answer["estimated"]) == (4, False)


@pytest.mark.parametrize("wire", TOLD)
async def test_every_answer_is_taken_for_what_it_is(wire: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = cases(wire)
    wrong = find_wrong(chosen, await played(chosen, tmp_path, monkeypatch, tell, play), check_more)
    assert not wrong, wrong
