"""Vendors whose pictures are made by jobs: what they say at submission, while they are polled and in the end, in whole runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import pytest
from vendor_cases import Asked, Case, Played, Playing, Reply, Told, cases, check, find_wrong, played

LINK = "https://cdn.example.com/done.png"
Json = dict[str, Any]


@dataclass(frozen=True)
class Wire:
    """One vendor's protocol: what it says when a job is taken and when it is done, so that a case can stand for each part.

    Args:
        provider: its name in bench.toml.
        taken, done: bodies of both moments.
        status: that of `taken`.
        polled: what is said by a path that ends so, before the answer itself is asked for.
        told: more keys of the section.
    """

    provider: str
    taken: Json
    done: Json
    status: int = 200
    polled: tuple[str, Json] | None = None
    told: Told = field(default_factory=dict)


BFL = Wire(
    "bfl",
    {"id": "t1", "polling_url": "https://api.us1.bfl.ai/v1/get_result?id=t1"},
    {"status": "Ready", "result": {"sample": LINK}},
)
FAL = Wire(
    "fal",
    {"request_id": "r1", "status": "IN_QUEUE", "response_url": "https://queue.fal.run/o/m/requests/r1"},
    {"images": [{"url": LINK}], "has_nsfw_concepts": [False]},
    polled=("/status", {"status": "COMPLETED"}),
)
REPLICATE = Wire(
    "replicate",
    {"id": "p1", "status": "starting", "urls": {"get": "https://api.replicate.com/v1/predictions/p1"}, "error": None},
    {"id": "p1", "status": "succeeded", "output": [LINK], "error": None},
    status=201,
)
UNI = Wire("luma", {"id": "g1", "state": "queued", "output": []}, {"state": "completed", "output": [{"url": LINK}]}, status=201)
PHOTON = Wire(
    "luma", {"id": "g1", "state": "queued"}, {"state": "completed", "assets": {"image": LINK}}, 201, told={"model": "photon-1"}
)
IDEOGRAM = Wire("ideogram", {"generation_id": "g"}, {"status": "completed", "data": [{"url": LINK, "is_image_safe": True}]})
TASK = {"output": {"task_id": "t", "task_status": "PENDING"}}
WAN = Wire(
    "dashscope", TASK, {"output": {"task_status": "SUCCEEDED", "results": [{"url": LINK}]}}, told={"model": "wan2.5-t2i-preview"}
)
QWEN = Wire("dashscope", TASK, WAN.done)
WIRES: dict[str, tuple[Wire, Literal["submit", "poll", "result", "download"]]] = {
    "bfl submit": (BFL, "submit"),
    "bfl get_result": (BFL, "poll"),
    "bfl download": (BFL, "download"),
    "fal queue submit": (FAL, "submit"),
    "fal queue status": (FAL, "poll"),
    "fal result": (FAL, "result"),
    "replicate create prediction": (REPLICATE, "submit"),
    "replicate get prediction": (REPLICATE, "poll"),
    "luma agents get generation": (UNI, "poll"),
    "luma dream machine create": (PHOTON, "submit"),
    "luma dream machine get generation": (PHOTON, "poll"),
    "ideogram generate": (IDEOGRAM, "submit"),
    "ideogram get generation": (IDEOGRAM, "poll"),
    "dashscope multimodal-generation": (QWEN, "submit"),
    "dashscope image-synthesis submit": (WAN, "submit"),
    "dashscope get task": (WAN, "poll"),
}
NEVER_AGAIN = ("wan unknown task", "bfl task not found", "bfl ready without a sample", "bfl delivery link gone")
"""Cases of jobs that were paid for and are never submitted again, although their tries fail."""


def play_wire(wire: Wire, part: str, chosen: list[Case]) -> Playing:
    """What the vendor says, with the case in the place of one part."""

    def play(case: Case, asked: Asked, number: int) -> Reply:
        here = Reply(case.status, case.body, case.headers)
        if asked.method == "POST":
            return here if part == "submit" else Reply(wire.status, wire.taken)
        if wire.polled is not None and asked.path.endswith(wire.polled[0]):
            return here if part == "poll" and number == 1 else Reply(200, wire.polled[1])
        if part == "download":
            if asked.path.endswith("/gone.png"):
                return here
            link = f"http://{asked.headers['host']}/{chosen.index(case)}/gone.png"
            return Reply(200, {"status": "Ready", "result": {"sample": link}})
        over = part == "submit" or (case.expected.startswith("pending") and number > 1)
        return Reply(200, wire.done) if over else here

    return play


def check_job(case: Case, found: Played) -> None:
    """What `check` says, where several calls belong to one answer; and that nothing is bought twice that is under way."""
    bought = sum(asked.method == "POST" for asked in found.asked)
    expected, answer, row = case.expected, found.response, found.row
    if expected.startswith("Transient"):
        assert row.outcome == "failed"
        assert found.stopped == ""
        assert bought == 1 if case.name in NEVER_AGAIN else 2 <= bought <= 3
        if case.name in NEVER_AGAIN:
            assert "paid for" in (row.error or "") or "is done" in (row.error or "")
        return
    if expected.startswith("pending"):
        assert (row.judged, bought) == ("image", 1)
        return
    if "empty answer" in expected:
        assert (row.contextual, row.intrinsic, bought) == (None, None, 2)
        assert answer["missing"]
        return
    assert bought == 1 or expected.startswith(("RateLimited", "stop"))
    once = Played(
        row,
        min(found.calls, 1) if row.outcome != "answered" else found.calls,
        found.asked,
        found.stopped,
        found.kinds_stopped,
        answer,
    )
    check(
        Case(
            case.name, case.wire, case.status, case.headers, case.body, re.sub(r"^(1 image|blocked|Rejected).*", _first, expected)
        ),
        once,
    )
    if "the other" in expected:
        assert "1 of 2 pictures withheld" in answer["reason"]
    for category in re.findall(r"\(([A-Z][\w ]+)\)", expected):
        assert category in answer["reason"]
    if cost := re.search(r"cost \$([\d.]+)", expected):
        assert answer["cost"] == pytest.approx(float(cost[1]))
    if named := re.match(r"Misconfigured: (\w+) \(every", expected):
        assert named[1] in (row.error or "")


def _first(found: re.Match[str]) -> str:
    """`1 image`, `Rejected` without what follows; a block keeps its words."""
    return found[0] if found[1] == "blocked" else found[1]


def tell_for(wire: Wire) -> Callable[[Case], Told]:
    def tell(case: Case) -> Told:
        named = re.match(r"Misconfigured: (\w+) \(every", case.expected)
        extra = {"extra": {named[1]: 6}} if named is not None and named[1] == "safety_tolerance" else {}
        gives = ["text"] if "text model" in case.expected else ["image"]
        return {"provider": wire.provider, "gives": gives, **extra, **wire.told}

    return tell


@pytest.mark.parametrize("name", WIRES)
async def test_every_answer_is_taken_for_what_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wire, part = WIRES[name]
    chosen = cases(name)
    assert chosen
    found = await played(chosen, tmp_path, monkeypatch, tell_for(wire), play_wire(wire, part, chosen))
    wrong = find_wrong(chosen, found, check_job)
    assert not wrong, wrong


# ---------------------------------------------------------------- inputs of our own, of the same kinds


def own(wire: str, expected: str, body: object, status: int = 200, **headers: str) -> Case:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Case(f"{wire}: {expected} {crc32(str(body).encode())}", wire, status, told, body, expected)


def failed_prediction(words: str) -> Json:
    return {"id": "p1", "status": "failed", "error": words, "logs": "", "output": None}


OWN = [
    own("bfl submit", "Misconfigured: key", {"detail": "Not authenticated - Invalid Authentication"}, 403),
    own("bfl submit", "Transient", {"detail": "Internal error"}, 500),
    own(
        "bfl submit",
        "Misconfigured: safety_tolerance (every",
        {"detail": [{"loc": ["body", "safety_tolerance"], "msg": "too large"}]},
        422,
    ),
    own("bfl get_result", "pending", {"id": "t1", "status": "Queued at the moon"}),
    own("bfl get_result", "pending", {"detail": "slow down"}, 429, retry_after="0"),
    own("bfl get_result", "pending", {"detail": "down"}, 503),
    own("bfl get_result", "pending", "<html><title>Bad gateway</title></html>", 502),
    own("bfl get_result", "Transient", {"id": "t1", "status": "Failed", "details": {"error": "worker died"}}),
    own(
        "bfl get_result",
        "blocked/request (Violence)",
        {"status": "Request Moderated", "details": {"Moderation Reasons": ["Violence"]}},
    ),
    own("fal queue submit", "Misconfigured: no credit", {"detail": "User is locked. Reason: Exhausted balance."}, 403),
    own("fal queue submit", "Misconfigured: key", {"detail": "Invalid API key"}, 401),
    own("fal queue status", "pending", {"status": "WARMING_UP"}),
    own("fal queue status", "pending", {"detail": "Internal error", "error_type": "internal_error"}, 500),
    own("bfl get_result", "pending", {"detail": "no worker said anything"}),
    own("replicate get prediction", "pending", {"detail": "odd"}),
    own("fal queue status", "Transient", {"status": "COMPLETED", "error": "runner died", "error_type": "runner_disconnected"}),
    own(
        "fal queue status", "blocked/request", {"status": "COMPLETED", "error": "flagged", "error_type": "content_policy_violation"}
    ),
    own("fal result", "blocked/response", {"images": [], "has_nsfw_concepts": [True]}),
    own("fal result", "Rejected", {"detail": [{"loc": ["body", "image_url"], "msg": "too small", "type": "image_too_small"}]}, 422),
    own(
        "fal result",
        "Transient",
        {"detail": [{"msg": "Downstream service error", "type": "downstream_service_error"}]},
        400,
        x_fal_retryable="true",
    ),
    own("fal result", "Transient", {"detail": "Runner is gone", "error_type": "runner_scheduling_failure"}, 503),
    own(
        "replicate create prediction",
        "Misconfigured: no credit",
        {"title": "Insufficient credit", "detail": "Insufficient credit", "status": 402},
        402,
    ),
    own(
        "replicate create prediction",
        "Misconfigured",
        {"title": "Invalid version or not permitted", "detail": "The specified version does not exist", "status": 422},
        422,
    ),
    own("replicate create prediction", "blocked/response", {**failed_prediction("NSFW content detected.")}, 201),
    own("replicate get prediction", "blocked, stage not told", failed_prediction("Content flagged for: violence")),
    own("replicate get prediction", "blocked/request", failed_prediction("The prompt was flagged as sensitive (E005)")),
    own("replicate get prediction", "Transient", failed_prediction("Prediction interrupted; please retry (code: PA)")),
    own("replicate get prediction", "Rejected", failed_prediction("Input validation error: could not load image from URL")),
    own(
        "replicate get prediction",
        "blocked/response",
        {"status": "succeeded", "output": [], "logs": "NSFW content detected in image 0"},
    ),
    own(
        "luma agents get generation",
        "blocked/response",
        {"state": "failed", "failure_code": "content_moderated", "failure_reason": "Output image not allowed"},
    ),
    own(
        "luma agents get generation",
        "blocked, stage not told",
        {"state": "failed", "failure_code": "content_moderated", "failure_reason": ""},
    ),
    own(
        "luma agents get generation", "Transient", {"state": "failed", "failure_code": "output_not_found", "failure_reason": "gone"}
    ),
    own(
        "luma dream machine create",
        "blocked/request",
        {"detail": "400: prompt not allowed because advanced moderation failed"},
        400,
    ),
    own("luma dream machine get generation", "Rejected", {"state": "failed", "failure_reason": "400: failed to moderate image"}),
    own("luma dream machine get generation", "Transient", {"state": "failed", "failure_reason": "moderation service unavailable"}),
    own("ideogram generate", "blocked/request", {"error": "Image failed the safety check."}, 422),
    own("ideogram generate", "RateLimited", {"reject_reason": "inflight_limit"}, 402),
    own("ideogram generate", "Misconfigured: day is spent", {"reject_reason": "daily_limit"}, 402),
    own("ideogram get generation", "blocked/response", {"status": "completed", "data": [{"url": "", "is_image_safe": False}]}),
    own("ideogram get generation", "Transient", {"status": "failed", "failure_reason": "internal"}),
    own(
        "dashscope multimodal-generation",
        "blocked/response",
        {"code": "DataInspectionFailed", "message": "Output data may contain inappropriate content."},
        400,
    ),
    own(
        "dashscope multimodal-generation",
        "Rejected",
        {
            "code": "InvalidParameter.DataInspection",
            "message": "Unable to download the media resource during the data inspection process.",
        },
        400,
    ),
    own(
        "dashscope get task",
        "Transient",
        {"output": {"task_id": "t", "task_status": "FAILED", "code": "InternalError.Timeout", "message": "timed out"}},
    ),
    own(
        "dashscope get task",
        "blocked/response",
        {
            "output": {
                "task_status": "SUCCEEDED",
                "results": [{"code": "DataInspectionFailed", "message": "Output data may contain inappropriate content."}],
            }
        },
    ),
    own("dashscope get task", "pending", {"output": {"task_id": "t", "task_status": "SUSPENDED"}}),
]


async def test_inputs_of_our_own_are_taken_for_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plays = {name: play_wire(wire, part, OWN) for name, (wire, part) in WIRES.items()}
    found = await played(
        OWN,
        tmp_path,
        monkeypatch,
        lambda case: tell_for(WIRES[case.wire][0])(case),
        lambda case, asked, number: plays[case.wire](case, asked, number),
    )
    wrong = find_wrong(OWN, found, check_job)
    assert not wrong, wrong
