"""Vendors that give pictures at once: what each answers is taken for what it is, in a run of the whole program."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from vendor_cases import PICTURE, Asked, Case, Played, Reply, Told, cases, check, find_wrong, play_case, played

WIRES = {
    "stability generate": "stability",
    "stability results": "stability",
    "recraft generations": "recraft",
    "ark images/generations": "ark",
    "minimax image_generation": "minimax",
    "minimax chat": "minimax",
    "xai images/generations": "xai",
    "xai images/edits": "xai",
    "together images/generations": "together",
}
DRAWN = {"image": base64.b64encode(PICTURE).decode(), "finish_reason": "SUCCESS", "seed": 7}


def tell(case: Case) -> Told:
    if case.wire == "minimax chat":
        return {"provider": "minimax"}
    return {"provider": WIRES[case.wire], "gives": ["image"]}


def play(case: Case, asked: Asked, number: int) -> Reply:
    """A case of a job's state is played as submit, poll, and done."""
    if case.wire == "stability results":
        return (Reply(200, {"id": "job-1"}), Reply(case.status, case.body), Reply(200, DRAWN))[min(number, 2)]
    return play_case(case, asked, number)


def look(case: Case, found: Played) -> None:
    """What these cases expect beyond `check`."""
    expected, answer = case.expected, found.response
    if expected == "pending":
        assert (found.row.outcome, found.calls, [one.method for one in found.asked]) == ("answered", 3, ["POST", "GET", "GET"])
        return
    if expected.startswith("an empty answer"):
        assert (found.row.outcome, found.calls, found.row.contextual, found.row.intrinsic) == ("failed", 2, None, None)
        return
    if expected.startswith("sent again without size"):
        assert found.calls == 2
        assert {"size", "aspect_ratio", "resolution"}.isdisjoint(found.asked[1].body)
        return
    if expected.startswith("1 image"):
        assert found.row.judged in ("image", "both")
        assert found.calls == 1
        if cost := re.search(r"cost \$([\d.]+)", expected):
            assert answer["cost"] == pytest.approx(float(cost[1]))
        if "the other" in expected:
            assert "1 of 2 pictures withheld" in answer["reason"]
        return
    check(case, found)
    if expected.startswith("RateLimited ") and expected.split()[1].isdigit():
        assert found.row.error is not None
    if named := re.match(r"Misconfigured: (\w+)", expected):
        words = {"no": "no credit", "the": "window", "address": "another address"}.get(named[1], named[1])
        assert re.search(words, found.row.error or "", re.I), found.row.error
    if category := re.search(r"\((Violence|PrivacyInformation)\)", expected):
        assert category[1] in answer["reason"]


async def test_every_answer_is_taken_for_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [case for wire in WIRES for case in cases(wire)]
    wrong = find_wrong(chosen, await played(chosen, tmp_path, monkeypatch, tell, play), look)
    assert not wrong, wrong
