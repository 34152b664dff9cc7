"""Further answers of vendors, from public repositories, documents and our own imagination: each is taken for what it is.

Cases: tests/providers/cases/further_vendors.jsonl, in whole runs. The first words of `expected` are the outcome; `; cost`,
`; withheld`, `; out` and `[Category]` say more. Every case is one purchase, unless it failed and may be tried again.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from vendor_cases import CASES, PICTURE, Asked, Case, Played, Reply, Told, find_wrong, played

Json = dict[str, Any]
LINK = "https://cdn.example.com/done.png"
DRAWN = base64.b64encode(PICTURE).decode()


@dataclass(frozen=True)
class Wire:
    """One way to ask a vendor: the keys of bench.toml, and for jobs what is said when one is taken and when it is done."""

    told: Told
    taken: Json = field(default_factory=dict)
    done: Json = field(default_factory=dict)
    part: Literal["answer", "submit", "poll", "result"] = "answer"


def job(provider: str, taken: Json, done: Json, *parts: Literal["submit", "poll", "result"]) -> dict[str, Wire]:
    waits = {} if provider in ("dashscope", "stability") else {"job_wait_s": 20}
    told = {"provider": provider, "gives": ["image"], **waits}
    return {f"{provider}/{part}": Wire(told, taken, done, part) for part in parts}


def draws(provider: str, **told: object) -> Wire:
    return Wire({"provider": provider, "gives": ["image"], **told})


VERTEX = {"provider": "vertex", "project": "p"}
WIRES: dict[str, Wire] = {
    **job(
        "bfl",
        {"id": "t1", "polling_url": "https://api.us1.bfl.ai/v1/get_result?id=t1"},
        {"status": "Ready", "result": {"sample": LINK}},
        "submit",
        "poll",
    ),
    **job(
        "fal",
        {"request_id": "r1", "status": "IN_QUEUE", "response_url": "https://queue.fal.run/o/m/requests/r1"},
        {"images": [{"url": LINK}], "has_nsfw_concepts": [False]},
        "submit",
        "poll",
        "result",
    ),
    **job("replicate", {"id": "p1", "status": "starting", "urls": {}}, {"status": "succeeded", "output": [LINK]}, "submit", "poll"),
    **job("luma", {"id": "g1", "state": "queued"}, {"state": "completed", "output": [{"url": LINK}]}, "submit", "poll"),
    **job("ideogram", {"generation_id": "g"}, {"status": "completed", "data": [{"url": LINK}]}, "submit", "poll"),
    **job(
        "dashscope",
        {"output": {"task_id": "t", "task_status": "PENDING"}},
        {"output": {"task_status": "SUCCEEDED", "results": [{"url": LINK}]}},
        "submit",
        "poll",
    ),
    **job("stability", {"id": "j"}, {"image": DRAWN, "finish_reason": "SUCCESS"}, "poll"),
    "stability/answer": draws("stability"),
    "recraft/answer": draws("recraft"),
    "ark/answer": draws("ark"),
    "minimax/answer": draws("minimax"),
    "minimax/chat": Wire({"provider": "minimax"}),
    "xai/answer": draws("xai"),
    "together/answer": draws("together"),
    "cohere/chat": Wire({"provider": "cohere"}),
    "bedrock/converse": Wire({"provider": "bedrock", "model": "us.anthropic.claude-sonnet-5-v1:0"}),
    "bedrock/picture": draws("bedrock", model="amazon.nova-canvas-v1:0"),
    "vertex/chat": Wire({**VERTEX, "model": "gemini-2.5-flash"}),
    "vertex/picture": draws(**VERTEX, model="gemini-3.1-flash-image"),
    "vertex/imagen": draws("vertex", model="imagen-4.0-generate-001"),
    "vertex/claude": Wire({**VERTEX, "model": "claude-opus-5"}),
}
LINES = [json.loads(line) for line in (CASES / "further_vendors.jsonl").read_text("utf-8").splitlines()]
TOLD: dict[str, Told] = {line["name"]: line["told"] for line in LINES}
ALL = [Case(**{name: line[name] for name in Case.__annotations__}) for line in LINES]


def play(case: Case, asked: Asked, number: int) -> Reply:
    """The case at its place; the vendor's usual words elsewhere. A state that is pending is said twice, and then it is done."""
    wire, here = WIRES[case.wire], Reply(case.status, case.body, case.headers)
    if wire.part == "answer":
        return here
    if asked.method == "POST":
        return here if wire.part == "submit" else Reply(200, wire.taken)
    if asked.path.endswith("/status") and wire.part != "submit":
        done = wire.part == "result" or (case.expected == "pending" and number > 2)
        return Reply(200, {"status": "COMPLETED"}) if done else here
    over = wire.part == "submit" or (wire.told["provider"] == "fal" and wire.part == "poll")
    return Reply(200, wire.done) if over or (case.expected == "pending" and number > 2) else here


def check(case: Case, found: Played) -> None:
    """Whether a case came out as one of its `expected` outcomes says."""
    first, *more = case.expected.split("; ")
    wrong = []
    for outcome in first.split("|"):
        try:
            check_outcome(outcome, found)
            break
        except AssertionError as error:
            wrong.append(f"{outcome}: {error}")
    else:
        raise AssertionError("; ".join(wrong))
    answer = found.response
    for word in more:
        if word.startswith("cost"):
            assert answer["cost"] == pytest.approx(float(word.split()[1])), answer["cost"]
        elif word.startswith("out"):
            assert answer["tokens_out"] == int(word.split()[1]), answer["tokens_out"]
        else:
            assert "withheld" in answer["reason"] or "content filters" in answer["reason"], answer["reason"]


def check_outcome(outcome: str, found: Played) -> None:
    row, error, answer = found.row, found.row.error or "", found.response
    bought = sum(asked.method == "POST" for asked in found.asked)
    word, _, rest = outcome.partition(" ")
    if word.startswith("blocked"):
        stage = {"blocked": "blocked", "blocked/request": "blocked_request", "blocked/response": "blocked_response"}[word]
        assert (row.outcome, bought) == (stage, 1), (row.outcome, bought, error)
        assert row.judged not in ("image", "both"), "a stand-in was judged"
        for category in re.findall(r"\[([^]]+)\]", rest):
            assert category in answer["reason"], answer["reason"]
    elif outcome in ("1 image", "pending"):
        assert row.judged in ("image", "both"), (row.outcome, error)
        assert bought == 1, bought
    elif word in ("stop", "length"):
        assert (row.outcome, answer.get("finish"), bought) == ("answered", word, 1), (row.outcome, answer, error)
        assert not rest or answer["text"] == rest.strip("'"), answer["text"]
    elif word in ("empty", "unjudged"):
        assert (row.contextual, row.intrinsic) == (None, None)
        assert answer.get("missing"), (row.outcome, error)
        assert bought <= 2, bought
    elif word.startswith("Transient"):
        assert (row.outcome, found.stopped) == ("failed", ""), (row.outcome, found.stopped)
        assert bought == 1 if "once" in rest else 2 <= bought <= 3, bought
        assert found.calls >= 2, found.calls
    elif word == "RateLimited":
        assert (row.outcome, found.kinds_stopped) == ("failed", ""), (row.outcome, found.kinds_stopped)
        assert found.calls >= 2, (found.calls, error)
        assert "has answered nothing for" in error, error
        if rest:
            assert found.calls == pytest.approx(120 / float(rest), rel=0.1, abs=2), found.calls
    elif word == "Rejected":
        assert (row.outcome, bought, found.stopped, found.kinds_stopped) == ("failed", 1, "", ""), (
            row.outcome,
            bought,
            found.stopped,
        )
    elif word.startswith("Misconfigured"):
        assert (row.outcome, bought) == ("failed", 1), (row.outcome, bought)
        assert re.search(rest or "", error, re.I), error
    else:
        assert outcome == "sent again without size", f"an expectation that nobody reads: {outcome}"
        assert bought == 2, bought
        assert "aspect_ratio" not in found.asked[1].body


JOBS = ("bfl", "fal", "replicate", "luma", "ideogram", "dashscope")
GROUPS = {
    "jobs": [case for case in ALL if case.wire.startswith(JOBS)],
    "others": [case for case in ALL if not case.wire.startswith(JOBS)],
}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unisafe_providers.hosted.jobs.FIRST_PAUSE", 0.0)
    monkeypatch.setattr("unisafe_providers.hosted.http.DOWNLOAD_PAUSE", 0.0)


@pytest.mark.parametrize("group", GROUPS)
async def test_further_answers_are_taken_for_what_they_are(group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = GROUPS[group]
    found = await played(chosen, tmp_path, monkeypatch, lambda case: WIRES[case.wire].told | TOLD[case.name], play)
    wrong = find_wrong(chosen, found, check)
    assert not wrong, wrong
