"""Answers of Amazon Bedrock: each is taken for what it is, in a run of the whole program."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from vendor_cases import PICTURE, Case, Played, Told, cases, check, find_wrong, played

CHATS = ("bedrock converse", "bedrock invoke titan")
PICTURES = {"bedrock invoke nova canvas": "amazon.nova-canvas-v1:0", "bedrock invoke stability": "us.stability.sd3-5-large-v1:0"}


def tell(case: Case) -> Told:
    if case.wire in PICTURES:
        return {"provider": "bedrock", "model": PICTURES[case.wire], "gives": ["image"]}
    if case.wire == "openai":
        return {"provider": "bedrock-openai"}
    return {"provider": "bedrock", "model": "us.anthropic.claude-sonnet-5-v1:0"}


def check_closely(case: Case, found: Played) -> None:
    """As `check`, with what the cases of this vendor say beside the outcome."""
    row, answer, expected = found.row, found.response, case.expected
    if expected.startswith("unjudged"):
        assert (row.contextual, row.intrinsic) == (None, None)
        assert "tool call" in answer["missing"]
        return
    check(case if not expected.startswith("1 image") else replace(case, expected="1 image"), found)
    if expected.startswith("blocked"):
        for category in re.findall(r"\(([A-Z]\w+|cyber|input image)\)", expected):
            assert category in answer["reason"]
        assert "stand-in" not in expected or row.judged not in ("image", "both")
    if "the other" in expected:
        assert "content filters" in answer["reason"]
    if counts := re.search(r"([\d,]+) tokens in, (\d+) out", expected):
        assert answer["tokens_out"] == int(counts[2])


async def test_every_answer_is_taken_for_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [case for wire in (*CHATS, *PICTURES) for case in cases(wire)]
    assert len(chosen) >= 35
    found = await played(chosen, tmp_path, monkeypatch, tell)
    assert not find_wrong(chosen, found, check_closely)


# ---------------------------------------------------------------- the same kinds, with inputs of our own


def said(text: str | None, stop: str, **more: Any) -> dict[str, Any]:
    content = [] if text is None else [{"text": text}]
    usage = {"inputTokens": 9, "outputTokens": 4 if text else 0, "totalTokens": 13 if text else 9}
    return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop, "usage": usage, **more}


def traced(asked: dict[str, Any] | None = None, answered: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A guardrail's trace with policies that hit the request and the answer."""
    trace = {"inputAssessment": {"g9": asked or {}}, "outputAssessments": {"g9": [answered or {}]}, **more}
    return {"trace": {"guardrail": trace}}


def entry(**fields: Any) -> dict[str, Any]:
    return {"detected": True, **fields}


PII = {
    "sensitiveInformationPolicy": {"piiEntities": [entry(type="EMAIL", match="a@b.example", action="ANONYMIZED")], "regexes": []}
}
WORD = {"wordPolicy": {"customWords": [entry(match="a planted word", action="BLOCKED")], "managedWordLists": []}}
GROUNDING = {"contextualGroundingPolicy": {"filters": [entry(type="RELEVANCE", score=0.1, threshold=0.5, action="BLOCKED")]}}
REGEX = {"sensitiveInformationPolicy": {"piiEntities": [], "regexes": [entry(name="ticket", action="BLOCKED")]}}
ONLY_SEEN = {"contentPolicy": {"filters": [entry(type="HATE", confidence="LOW", action="NONE")]}}
PNG = base64.b64encode(PICTURE).decode()
ZERO = {"usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}}

OWN = (
    ("a masked answer", 200, said("Write to {EMAIL}.", "guardrail_intervened", **traced(None, PII)), "stop, 'Write to {EMAIL}.'"),
    ("a masked request", 200, said("Hello.", "guardrail_intervened", **traced(PII)), "stop, Hello."),
    ("masked, told by its reason", 200, said("Hello.", "guardrail_intervened", **traced(actionReason="Guardrail masked.")), "stop, Hello."),
    ("seen and masked", 200, said("Hello.", "guardrail_intervened", **traced(ONLY_SEEN, PII)), "stop, Hello."),
    ("a masked request and a blocked answer", 200, said("Not here.", "guardrail_intervened", **traced(PII, WORD)), "blocked/response"),
    ("a word blocked", 200, said("Not here.", "guardrail_intervened", **traced(WORD)), "blocked/request"),
    ("a pattern blocked", 200, said("Not here.", "guardrail_intervened", **traced(None, REGEX)), "blocked/response"),
    ("not grounded", 200, said("Not here.", "guardrail_intervened", **traced(None, GROUNDING)), "blocked/response"),
    ("blocked, told by its reason", 200, said("Not here.", "guardrail_intervened", **traced(actionReason="Guardrail blocked.")), "blocked, stage not told"),
    ("intervened before a word, no trace", 200, said("Not here.", "guardrail_intervened", **ZERO), "blocked, stage not told"),
    ("intervened after words, no trace", 200, said("Something.", "guardrail_intervened"), "blocked, stage not told"),
    ("twin keys in converse", 200, said("Not here.", "end_turn") | {"amazon-bedrock-guardrailAction": "INTERVENED", "amazon-bedrock-trace": {"guardrail": {"input": {}, "outputs": [{"g": WORD}]}}}, "blocked/response"),
    ("twin keys that masked", 200, {"results": [{"outputText": "Hello.", "completionReason": "FINISH"}], "amazon-bedrock-guardrailAction": "INTERVENED", "amazon-bedrock-trace": {"guardrail": {"input": {"g": PII}}}}, "stop, Hello."),
    ("titan filtered", 200, {"inputTextTokenCount": 5, "results": [{"tokenCount": 0, "outputText": "", "completionReason": "CONTENT_FILTERED"}]}, "blocked, stage not told"),
    ("titan cut", 200, {"inputTextTokenCount": 5, "results": [{"tokenCount": 9, "outputText": "Hello", "completionReason": "LENGTH"}]}, "length"),
    ("a message that is missing, filtered", 200, {"output": {}, "stopReason": "content_filtered", "usage": {"inputTokens": 9, "outputTokens": 0, "totalTokens": 9}}, "blocked, stage not told"),
    ("no message and no reason", 200, {"output": {}, "stopReason": "end_turn"}, "asked once more"),
    ("no output", 200, {"stopReason": "end_turn", "metrics": {}}, "Transient"),
    ("a broken tool call", 200, said("Half", "malformed_tool_use"), "Transient"),
    ("words with citations", 200, {"output": {"message": {"content": [{"citationsContent": {"content": [{"text": "Hello."}], "citations": []}}]}}, "stopReason": "end_turn"}, "stop, Hello."),
    ("a word nobody knows", 200, said("Hello.", "pondering"), "stop, Hello."),
    ("an error within a 200", 200, {"message": "The security token included in the request is invalid."}, "Misconfigured: key"),
    ("a quota", 400, {"message": "Your request exceeds the service quota for your account.", "__type": "x"}, "Rejected"),
    ("a quota by its header", 400, {"message": "Your request exceeds the quota.", "h": "ServiceQuotaExceededException"}, "RateLimited"),
    ("a model's own failure", 424, {"message": "The model failed.", "originalStatusCode": 500, "h": "ModelErrorException"}, "Transient"),
    ("capital letter", 403, {"Message": "User is not authorized to perform: bedrock:InvokeModel", "h": "AccessDeniedException"}, "Misconfigured"),
    ("an unknown guardrail", 400, {"message": "The guardrail identifier or version provided in the request does not exist."}, "Misconfigured"),
    ("a clock that is wrong", 403, {"message": "Signature expired: 20261127T000000Z is now earlier than 20261127T010000Z", "h": "InvalidSignatureException"}, "Misconfigured: key"),
)  # fmt: skip
DRAWN = (
    ("two drawn, one withheld", {"images": [PNG], "error": "Some of the generated images have been blocked by our content filters."}, "1 image (the other blocked/response)"),
    ("a filter's word at the second", {"images": [PNG, None], "finish_reasons": [None, "Filter reason: output image"]}, "1 image"),
    ("an empty picture, filtered", {"images": [""], "finish_reasons": ["Filter reason: output image"]}, "blocked/response"),
    ("all filtered", {"finish_reasons": ["Filter reason: output image", "Filter reason: output image"]}, "blocked/response"),
    ("titan's guardrail", {"images": [PNG], "amazon-bedrock-guardrailAction": "INTERVENED", "amazon-bedrock-trace": {"guardrail": {"input": {"g": WORD}}}}, "blocked/request"),
    ("moderated", {"status": "Content Moderated", "result": None, "details": {"Moderation Reasons": ["VIOLENCE"]}}, "blocked/response (VIOLENCE)"),
    ("nothing at all", {"images": [], "error": None}, "asked once more"),
    ("no picture in it", {"images": ["%%"]}, "Transient"),
    ("an artifact with an error", {"artifacts": [{"seed": 1, "base64": "", "finishReason": "ERROR"}]}, "Transient"),
    ("one of two artifacts", {"artifacts": [{"base64": PNG, "finishReason": "CONTENT_FILTERED"}, {"base64": PNG, "finishReason": "SUCCESS"}]}, "1 image"),
    ("another failure", {"images": None, "error": "The image could not be generated. Try again."}, "Transient"),
)  # fmt: skip


def build_own() -> list[Case]:
    chats = [
        Case(name, "bedrock converse", status, {"x-amzn-errortype": body["h"]} if "h" in body else {}, body, expected)
        for name, status, body, expected in OWN
    ]
    drawn = [Case(name, "bedrock invoke nova canvas", 200, {}, body, expected) for name, body, expected in DRAWN]
    return [*chats, *drawn, *(Case(name, "openai", 200, {}, body, expected) for name, body, expected in COMPLETED)]


def completed(words: str, **more: Any) -> dict[str, Any]:
    """A chat completion of its OpenAI-compatible address."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": words}}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    return {"choices": [choice], "usage": usage, "amazon-bedrock-guardrailAction": "INTERVENED", **more}


COMPLETED = (
    ("a choice that was blocked", completed("Not here.", **{"amazon-bedrock-trace": {"guardrail": {"outputs": [{"g": WORD}]}}}), "blocked/response"),
    ("a prompt that was blocked", completed("Not here.", **{"amazon-bedrock-trace": {"guardrails": {"input": {"g": WORD}}}}), "blocked/request"),
    ("a choice that was masked", completed("Hello.", **{"amazon-bedrock-trace": {"guardrail": {"outputs": [{"g": PII}]}}}), "stop, Hello."),
    ("a choice without a trace", completed("Something."), "blocked, stage not told"),
    ("a choice that nobody touched", completed("Hello.") | {"amazon-bedrock-guardrailAction": "NONE"}, "stop, Hello."),
)  # fmt: skip


def check_own(case: Case, found: Played) -> None:
    if case.expected == "asked once more":
        assert (found.calls, found.row.contextual, found.row.intrinsic) == (2, None, None)
        return
    check_closely(case, found)
    assert "a planted word" not in found.response.get("reason", ""), "a matched word is the user's own"
    if case.name == "intervened after words, no trace":
        assert found.response["text"] == "Something.", "what a user sees is judged"


async def test_so_is_what_else_they_may_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = build_own()
    found = await played(chosen, tmp_path, monkeypatch, tell)
    assert not find_wrong(chosen, found, check_own)
