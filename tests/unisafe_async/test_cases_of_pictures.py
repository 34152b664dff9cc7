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


B64 = DRAWN["image"]
PAGE = base64.b64encode(b"<!doctype html><p>Busy</p>").decode()
ARK_BLOCK = {"code": "OutputImageSensitiveContentDetected.Violence", "message": "x"}


def case(name: str, wire: str, body: object, expected: str, status: int = 200, **headers: str) -> Case:
    return Case(name, wire, status, {key.replace("_", "-"): value for key, value in headers.items()}, body, expected)


def minimax(code: int, words: str = "x", **more: object) -> dict[str, object]:
    return {"data": None, "base_resp": {"status_code": code, "status_msg": words}, **more}


STABILITY, RECRAFT, ARK, MINIMAX, XAI, TOGETHER = (
    "stability generate",
    "recraft generations",
    "ark images/generations",
    "minimax image_generation",
    "xai images/generations",
    "together images/generations",
)
WITHHELD = {"url": "", "respect_moderation": False}
STAND_IN = {"b64_json": B64, "respect_moderation": False}
OWN = [
    case("stability, blurred", STABILITY, {"image": B64, "finish_reason": "CONTENT_FILTERED"}, "blocked/response"),
    case("stability, an empty picture", STABILITY, {"image": "", "finish_reason": "CONTENT_FILTERED"}, "blocked/response"),
    case("stability, blurred bytes", STABILITY, {"$bytes": B64}, "blocked/response", finish_reason="content_filtered"),
    case("stability, broken off", STABILITY, {"image": B64, "finish_reason": "ERROR"}, "Transient"),
    case("stability, nothing", STABILITY, {"finish_reason": "SUCCESS"}, "Transient"),
    case("stability, a page", STABILITY, {"image": PAGE, "finish_reason": "SUCCESS"}, "Transient"),
    case("stability 400", STABILITY, {"name": "bad_request", "errors": ["prompt: cannot be blank"]}, "Rejected", 400),
    case(
        "stability 400 ratio",
        STABILITY,
        {"name": "bad_request", "errors": ["aspect_ratio: must be one of 1:1, 16:9"]},
        "Misconfigured: image_size",
        400,
    ),
    case("stability 422", STABILITY, {"name": "invalid_language", "errors": ["English is the only language"]}, "Rejected", 422),
    case("stability 500", STABILITY, {"name": "internal_error", "errors": ["An unexpected error"]}, "Transient", 500),
    case(
        "stability, moderation down",
        STABILITY,
        {"name": "internal_error", "errors": ["The moderation service is currently unavailable."]},
        "Transient",
        503,
    ),
    case("recraft, one", RECRAFT, {"credits": 10, "image": {"b64_json": B64}}, "1 image (cost $0.01)"),
    case("recraft, none", RECRAFT, {"credits": 0, "data": []}, "an empty answer with nothing said of why"),
    case("recraft 401", RECRAFT, {"code": "unauthorized", "message": "Unauthorized"}, "Misconfigured: key", 401),
    case("recraft, units", RECRAFT, {"code": "x", "message": "You don't have enough API units"}, "Misconfigured: no credit", 403),
    case("recraft 429", RECRAFT, {"code": "rate_limit_exceeded", "message": "Too many requests"}, "RateLimited", 429),
    case("recraft, a size", RECRAFT, {"code": "x", "message": "size: must be one of 1024x1024"}, "Misconfigured: image_size", 400),
    case("ark, one of two", ARK, {"data": [{"error": ARK_BLOCK}, {"b64_json": B64}]}, "1 image (the other withheld)"),
    case("ark, all withheld", ARK, {"data": [{"error": ARK_BLOCK}, {"error": ARK_BLOCK}]}, "blocked/response (Violence)"),
    case("ark, one failed", ARK, {"data": [{"error": {"code": "InternalServiceError", "message": "x"}}]}, "Transient"),
    case("ark, none", ARK, {"data": []}, "an empty answer with nothing said of why"),
    case("ark 400 text", ARK, {"error": {"code": "InputTextRiskDetection", "message": "x"}}, "blocked/request", 400),
    case("ark 401", ARK, {"error": {"code": "AuthenticationError", "message": "x"}}, "Misconfigured: key", 401),
    case("ark 429", ARK, {"error": {"code": "ServerOverloaded", "message": "x"}}, "RateLimited", 429),
    case(
        "ark 400 watermark",
        ARK,
        {"error": {"code": "InvalidParameter", "message": "not valid", "param": "watermark"}},
        "Misconfigured: watermark",
        400,
    ),
    case("ark 400 image", ARK, {"error": {"code": "InvalidParameter", "message": "not valid", "param": "image"}}, "Rejected", 400),
    case("minimax 1026", MINIMAX, minimax(1026), "blocked/request"),
    case("minimax 1001", MINIMAX, minimax(1001, "timeout"), "Transient"),
    case("minimax 1039", MINIMAX, minimax(1039, "token limit"), "RateLimited"),
    case("minimax 2049", MINIMAX, minimax(2049, "invalid api key"), "Misconfigured: key"),
    case("minimax, an empty list beside a code", MINIMAX, minimax(1027) | {"data": {"image_urls": []}}, "blocked/response"),
    case(
        "minimax, counted alone",
        MINIMAX,
        minimax(0) | {"data": {"image_urls": []}, "metadata": {"failed_count": 1}},
        "blocked/response",
    ),
    case("minimax, nothing", MINIMAX, minimax(0) | {"data": {"image_base64": []}}, "an empty answer with nothing said of why"),
    case("minimax chat 500 (1008)", "minimax chat", {"error": {"message": "no (1008)"}}, "Misconfigured: no credit", 500),
    case("minimax chat 500 (1004)", "minimax chat", {"error": {"message": "login fail (1004)"}}, "Misconfigured: key", 500),
    case("minimax chat 500 (1002)", "minimax chat", {"error": {"message": "slow down (1002)"}}, "RateLimited", 500),
    case("minimax chat 500 (2056)", "minimax chat", {"error": {"message": "limit exceeded (2056)"}}, "Misconfigured: the", 500),
    case("minimax chat 500 (1000)", "minimax chat", {"error": {"message": "unknown error (1000)"}}, "Transient", 500),
    case("minimax chat 200 1027", "minimax chat", {"choices": None, "base_resp": {"status_code": 1027}}, "blocked/response"),
    case("xai, all withheld", XAI, {"data": [WITHHELD, STAND_IN]}, "blocked/response"),
    case("xai, a stand-in", XAI, {"data": [STAND_IN, {"b64_json": B64}]}, "1 image (the other withheld)"),
    case("xai, its flag as a word", XAI, {"data": [STAND_IN | {"respect_moderation": "false"}]}, "blocked/response"),
    case("xai, the request", XAI, {"block_reason": "input moderation", "data": []}, "blocked/request"),
    case("xai 400 key", XAI, {"code": "invalid-argument", "error": "Incorrect API key provided: x"}, "Misconfigured: key", 400),
    case("xai 400 rejected", XAI, {"error": "Generated image rejected by content moderation."}, "blocked/response", 400),
    case("xai 400 style", XAI, {"code": "400", "error": "Argument not supported: style"}, "Misconfigured: style", 400),
    case("xai, null", XAI, {"data": None}, "Transient"),
    case("xai, edited and withheld", "xai images/edits", {"data": [WITHHELD]}, "blocked/response"),
    case("together, nothing", TOGETHER, {"data": [{"index": 0, "b64_json": None, "url": None}]}, "Transient"),
    case(
        "together 422 nsfw",
        TOGETHER,
        {"error": {"message": "The prompt contains NSFW content", "type": "invalid_request_error", "param": "prompt"}},
        "blocked/request",
        422,
    ),
    case(
        "together 400 width",
        TOGETHER,
        {"error": {"message": "must be <= 1792", "param": "width"}},
        "Misconfigured: image_size",
        400,
    ),
    case("together, elsewhere", TOGETHER, {"data": [{"url": "http://169.254.169.254/x.png"}]}, "Rejected"),
]


def tell(case: Case) -> Told:
    if case.wire == "minimax chat":
        return {"provider": "minimax"}
    told: Told = {"provider": WIRES[case.wire], "gives": ["image"]}
    return told | {"tasks": ["malicious_image_editing"]} if case.wire.endswith("edits") else told


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
    if seconds := re.match(r"RateLimited (\d+)", expected):
        assert found.calls == pytest.approx(900 / int(seconds[1]), abs=2)  # so long a limit is waited for
    if named := re.match(r"Misconfigured: (\w+)", expected):
        words = {"no": "no credit", "the": "window", "address": "another address"}.get(named[1], named[1])
        assert re.search(words, found.row.error or "", re.I), found.row.error
    if category := re.search(r"\((Violence|PrivacyInformation)\)", expected):
        assert category[1] in answer["reason"]


async def test_every_answer_is_taken_for_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [case for wire in WIRES for case in cases(wire)] + OWN
    found = await played(chosen, tmp_path, monkeypatch, tell, play)
    wrong = find_wrong(chosen, found, look)
    assert not wrong, wrong
    assert found["xai edit"].asked[0].path == "/v1/images/edits"
    assert found["xai edit"].asked[0].body["image"]["url"].startswith("data:image/png;base64,")
