"""The answers of Google's clouds and of Cohere: each is taken for what it is, in a run of the whole program.

Beside the cases of tests/providers/cases there are others of the same kinds here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vendor_cases import PICTURE, Asked, Case, Played, Reply, Told, cases, check, find_wrong, play_case, played
from vendors.google_cloud import TokenServer, write_credentials

GEMINI, CLAUDE = "vertex gemini generateContent", "vertex anthropic rawPredict"
IMAGEN, COHERE, INTERACTIONS = "vertex imagen predict", "cohere v2 chat", "gemini interactions"
FOUNDRY = "anthropic-foundry messages"
TOLD: dict[str, Told] = {
    GEMINI: {"provider": "vertex", "model": "gemini-2.5-flash", "project": "p", "location": "europe-west4"},
    CLAUDE: {"provider": "vertex", "model": "claude-opus-5", "project": "p"},
    IMAGEN: {"provider": "vertex", "model": "imagen-4.0-generate-001", "gives": ["image"]},
    COHERE: {"provider": "cohere", "model": "command-a-03-2025"},
    INTERACTIONS: {"provider": "gemini", "model": "gemini-3.8-flash", "api": "interactions"},
    FOUNDRY: {"provider": "anthropic-foundry", "model": "my-deployment"},
}
PATHS = {
    GEMINI: "/v1/projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-flash:generateContent",
    CLAUDE: "/v1/projects/p/locations/global/publishers/anthropic/models/claude-opus-5:rawPredict",
    IMAGEN: "/v1/publishers/google/models/imagen-4.0-generate-001:predict",
    COHERE: "/v1/chat",
    INTERACTIONS: "/v1/interactions",
    FOUNDRY: "/v1/messages",
}
DRAWN = base64.b64encode(PICTURE).decode()
Made = tuple[str, str, object, int]
"""A case of our own: its name, what is expected, the answer's body and its status."""


def finishes(word: object, **more: object) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model"}, "finishReason": word, **more}], "usageMetadata": {"promptTokenCount": 5}}


def google_error(code: int, status: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status}}


MADE: dict[str, list[Made]] = {
    GEMINI: [
        ("number of Model Armor", "blocked/response (MODEL_ARMOR)", finishes(10, finishMessage="Blocked."), 200),
        ("number of a picture", "blocked/response", finishes("12"), 200),
        ("number of a tool call", "Transient", finishes(15), 200),
        ("number of a prompt's block", "blocked/request", {"promptFeedback": {"blockReason": 4}}, 200),
        ("jailbreak", "blocked/request", {"promptFeedback": {"blockReason": "JAILBREAK"}}, 200),
        ("block of nothing", "Transient", {"promptFeedback": {"blockReason": 0}}, 200),
        ("picture prohibited", "blocked/response", finishes("IMAGE_PROHIBITED_CONTENT", finishMessage="x"), 200),
        ("quota", "RateLimited", google_error(429, "RESOURCE_EXHAUSTED", "Resource exhausted, please try again later."), 429),
        ("no right", "Misconfigured", google_error(403, "PERMISSION_DENIED", "Permission denied on resource project p."), 403),
        ("a list", "RateLimited", [google_error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.")], 429),
    ],
    CLAUDE: [
        (
            "refusal",
            "blocked/request",
            {"type": "message", "content": [], "stop_reason": "refusal", "stop_details": {"category": "cyber"}},
            200,
        ),
        ("cut off", "length", {"content": [{"type": "text", "text": "Hel"}], "stop_reason": "max_tokens"}, 200),
        ("overloaded", "Transient", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529),
        (
            "no such model",
            "Misconfigured: model",
            [google_error(404, "NOT_FOUND", "Publisher Model `projects/p/publishers/anthropic/models/m` was not found.")],
            404,
        ),
    ],
    IMAGEN: [
        ("an empty list", "an empty answer: once more, then failed", {"predictions": []}, 200),
        ("an entry of nothing", "Transient", {"predictions": [{"mimeType": "image/png"}]}, 200),
        (
            "prompt refused",
            "blocked/request",
            google_error(
                400,
                "INVALID_ARGUMENT",
                "Image generation failed with the following error: The prompt could not be submitted. Your current safety filter "
                "threshold blocked it, since it may violate our policies. Error Code: 58061214",
            ),
            400,
        ),
        ("gone", "Misconfigured: model (Imagen ended)", google_error(404, "NOT_FOUND", "Requested entity was not found."), 404),
    ],
    COHERE: [
        ("toxic", "blocked/response", {"message": {"content": []}, "finish_reason": "ERROR_TOXIC"}, 200),
        (
            "context spent",
            "length",
            {"message": {"content": [{"type": "text", "text": "Hel"}]}, "finish_reason": "ERROR_LIMIT"},
            200,
        ),
        ("limit", "length", {"message": {"content": [{"type": "text", "text": "Hel"}]}, "finish_reason": "MAX_TOKENS"}, 200),
        ("cancelled", "Transient", {"message": {"content": []}, "finish_reason": "USER_CANCEL"}, 200),
        ("a word never seen", "Transient", {"message": {"content": []}, "finish_reason": "WHATEVER"}, 200),
        ("nothing", "asked once more", {"message": {"content": []}, "finish_reason": "COMPLETE"}, 200),
        ("a tool", "unjudged: tool", {"message": {"tool_calls": [{"id": "1"}]}, "finish_reason": "TOOL_CALL"}, 200),
        ("thoughts alone", "unjudged: thoughts", {"message": {"content": [{"type": "thinking", "thinking": "Hm."}]}}, 200),
        ("498 without words", "blocked/request", {"id": "x"}, 498),
        ("498 of a token", "Misconfigured: key", {"id": "x", "message": "invalid api token"}, 498),
        ("no key", "Misconfigured: key", {"id": "x", "message": "no api key supplied"}, 401),
        (
            "the month is spent",
            "Misconfigured: spent",
            {"id": "x", "message": "You are using a Trial key, which is limited to 1000 API calls / month."},
            429,
        ),
        ("timeout", "Transient", {"id": "x", "message": "timeout"}, 504),
    ],
}


def interaction(status: str, *steps: dict[str, Any], **more: object) -> dict[str, Any]:
    usage = {"total_input_tokens": 7, "total_output_tokens": 23, "total_thought_tokens": 49, "total_tokens": 79}
    return {"id": "v1_1", "object": "interaction", "model": "m", "status": status, "steps": list(steps), "usage": usage, **more}


THOUGHT = {"type": "thought", "signature": "s", "summary": [{"type": "text", "text": "Hm."}]}
HELLO = {"type": "model_output", "content": [{"type": "text", "text": "Hello."}]}
PAINTED = {"type": "model_output", "content": [{"type": "image", "mime_type": "image/png", "data": DRAWN}]}
STOPPED = {"code": "content_blocked", "message": "The request was blocked by safety filters."}
MADE[INTERACTIONS] = [
    ("thought and text", "stop (text 'Hello.')", interaction("completed", THOUGHT, HELLO), 200),
    ("tokens", "72 tokens out", interaction("completed", THOUGHT, HELLO), 200),
    ("drawn", "1 image", interaction("completed", PAINTED), 200),
    ("cut off", "length", interaction("incomplete", HELLO), 200),
    ("failed by a filter", "blocked", interaction("failed", errors=[STOPPED]), 200),
    ("a step of a filter", "blocked", interaction("completed", {"type": "model_output", "error": STOPPED}), 200),
    ("stopped after some words", "blocked/response", interaction("failed", HELLO, errors=[STOPPED]), 200),
    ("refused at once", "blocked", {"error": STOPPED}, 400),
    ("failed", "Transient", interaction("failed"), 200),
    ("cancelled", "Transient", interaction("cancelled"), 200),
    ("failed inside", "Transient", interaction("failed", errors=[{"code": "api_error", "message": "Internal error."}]), 200),
    ("calls a tool", "unjudged: tool", interaction("requires_action", {"type": "function_call", "name": "f"}), 200),
    ("no steps", "Transient", {"id": "v1_1", "status": "completed"}, 200),
    ("no such model", "Misconfigured", {"error": {"code": "model_not_found", "message": "Model m was not found."}}, 404),
    ("wrong key", "Misconfigured: key", {"error": {"code": "authentication", "message": "The API key is invalid."}}, 401),
    ("no money", "Misconfigured: no credit", {"error": {"code": "payment_required", "message": "Billing is off."}}, 402),
    ("too fast", "RateLimited", {"error": {"code": "rate_limit_exceeded", "message": "Too many requests."}}, 429),
    (
        "the day is spent",
        "Misconfigured: day is spent",
        {"error": {"code": "quota_exceeded", "message": "You have exceeded your daily quota."}},
        429,
    ),
    ("done later", "pending", interaction("completed", HELLO), 200),
]
FILTERED = {
    "code": "content_filter",
    "message": "The response was filtered due to the prompt triggering Azure's content management policy.",
    "innererror": {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {"violence": {"filtered": True, "severity": "high"}},
    },
}
MADE[FOUNDRY] = [
    ("said", "stop (text 'Hello.')", {"content": [{"type": "text", "text": "Hello."}], "stop_reason": "end_turn"}, 200),
    ("refusal of Anthropic's", "blocked/request", {"content": [], "stop_reason": "refusal"}, 200),
    ("filter of Azure's", "blocked/request (violence)", {"error": FILTERED}, 400),
    (
        "no such deployment",
        "Misconfigured",
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}},
        404,
    ),
    (
        "wrong key",
        "Misconfigured: key",
        {"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint."}},
        401,
    ),
    ("too fast", "RateLimited", {"error": {"code": "429", "message": "Rate limit is exceeded. Try again in 6 seconds."}}, 429),
]
DRAWS = ("vertex image out", "drawn")


def tell(case: Case) -> Told:
    more: Told = {"gives": ["text", "image"]} if case.name in DRAWS else {"background": True} if case.expected == "pending" else {}
    return TOLD[case.wire] | more


def play(case: Case, asked: Asked, number: int) -> Reply:
    """The case's answer; one that is pending is taken first, and polled until it is done."""
    if case.expected == "pending" and number:
        assert (asked.method, asked.path) == ("GET", "/v1/interactions/v1_1")
        return (
            Reply(200, interaction("in_progress" if number == 1 else "pondering")) if number < 3 else play_case(case, asked, number)
        )
    assert (asked.method, asked.path) == ("POST", PATHS[case.wire])
    if case.expected == "pending":
        assert (asked.body["background"], asked.body["store"]) == (True, True)
        return Reply(200, interaction("queued"))
    return play_case(case, asked, number)


def check_more(case: Case, found: Played) -> None:
    """What `check` looks at, and the words in brackets."""
    answer, error, row = found.response, found.row.error or "", found.row
    if "once more, then failed" in case.expected:
        assert (found.calls, row.contextual, row.intrinsic, row.outcome) == (2, None, None, "failed")
    elif case.expected.startswith("1 image"):
        assert row.judged in ("image", "both")
        assert "withheld" in answer["reason"] if "the other blocked" in case.expected else not answer["reason"]
    elif case.expected.startswith("unjudged"):
        assert (row.contextual, row.intrinsic) == (None, None)
        assert case.expected.split()[1] in answer["missing"] or "thought" in answer["missing"]
    elif case.expected == "pending":
        assert (found.calls, row.outcome, answer["text"]) == (4, "answered", "Hello.")
    else:
        check(case, found)
    if "MODEL_ARMOR" in case.expected:
        assert "MODEL_ARMOR" in answer["reason"]
    if "support code" in case.expected:
        assert "58061214" in answer["reason"]
    if "Imagen ended" in case.expected:
        assert "Imagen ended on 30 June 2026" in error
    if "billed" in case.expected:
        assert (answer["tokens_out"], answer["estimated"]) == (4, False)


def list_cases(wire: str) -> list[Case]:
    made = [Case(name, wire, status, {}, body, expected) for name, expected, body, status in MADE[wire]]
    return [*cases(wire), *made]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unisafe_providers.hosted.jobs.FIRST_PAUSE", 0.0)


@pytest.mark.parametrize("wire", TOLD)
async def test_every_answer_is_taken_for_what_it_is(wire: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = list_cases(wire)
    wrong = find_wrong(chosen, await played(chosen, tmp_path, monkeypatch, tell, play), check_more)
    assert not wrong, wrong


async def test_a_run_signs_with_the_credentials_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that ends within the run is renewed, and no token stays behind."""
    old, new = "ya29.old-token-0123456789", "ya29.new-token-0123456789"
    (expired,) = [case for case in cases(GEMINI) if case.status == 401]

    def answer(case: Case, asked: Asked, number: int) -> Reply:
        assert asked.headers["authorization"] == f"Bearer {new if number else old}"
        return (
            play_case(case, asked, number)
            if not number
            else Reply(200, {"candidates": [{"content": {"parts": [{"text": "Hi."}]}}]})
        )

    signed: Callable[[Case], Told] = lambda case: TOLD[GEMINI] | {"key_env": None}  # noqa: E731
    async with TokenServer(old, new) as tokens:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_credentials(tmp_path, tokens.url)))
        found = (await played([expired], tmp_path, monkeypatch, signed, answer))[expired.name]
    assert (found.row.outcome, found.calls, len(tokens.asked)) == ("answered", 2, 2)
    kept = (tmp_path / "run.duckdb").read_bytes()
    assert old.encode() not in kept
    assert new.encode() not in kept
