"""Every collected answer of a real vendor has its meaning, by the functions that say it; the same cases go through whole programs
elsewhere.

Each line of cases/vendor_answers.jsonl: `wire`, `status`, `headers`, `body`, `expected`, whose first words are the outcome.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from unisafe_providers.anatomy import examine_response
from unisafe_providers.base import Misconfigured, ProviderError, RateLimited, Response
from unisafe_providers.hosted.endings import (
    Ending,
    ending_of_candidate,
    ending_of_choice,
    ending_of_message,
    ending_of_prompt,
    ending_of_response,
)
from unisafe_providers.hosted.failures import read_error
from unisafe_providers.hosted.gemini import read_content_response
from unisafe_providers.hosted.parameters import find_refused_parameter

NOW = 1_700_000_000.0
FILLED = {
    "<epoch milliseconds 25 s from now>": str(int(NOW + 25) * 1000),
    "<epoch seconds 20 s from now>": str(int(NOW) + 20),
    "<HTTP date 20 s from now>": "Tue, 14 Nov 2023 22:13:40 GMT",
}
CASES = [json.loads(line) for line in (Path(__file__).parent / "cases/vendor_answers.jsonl").read_text("utf-8").splitlines()]


def filled(value: Any) -> Any:
    text = json.dumps(value)
    for name, moment in FILLED.items():
        text = text.replace(name, moment)
    return json.loads(text)


def is_error(case: dict[str, Any]) -> bool:
    body = case["body"]
    return case["status"] != 200 or (isinstance(body, dict) and bool(body.get("error")))


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES if is_error(case)])
def test_an_error_has_its_meaning(case: dict[str, Any]) -> None:
    refused = find_refused_parameter(case["status"], case["body"])
    expected = case["expected"]
    if "again with" in expected or "sent again" in expected or expected.startswith("again"):
        assert refused is not None
        assert (refused.instead or refused.parameter) in expected
        return
    assert refused is None
    answered = read_error("Acme", case["status"], case["body"], filled(case["headers"]), "m", clock=lambda: NOW)
    assert matches(answered, expected), (answered, expected)


def matches(answered: Response | ProviderError, expected: str) -> bool:
    if isinstance(answered, Response):
        return outcome(answered.finish, answered.block and answered.block.stage, expected) and all(
            name in answered.reason for name in re.findall(r"\((violence|hate)", expected)
        )
    kind = type(answered).__name__
    if expected.startswith("an error"):
        return expected.split(": ")[-1].removeprefix("this model ") in str(answered)
    if not expected.startswith(kind):
        return False
    seconds = re.search(r"RateLimited,? ~?(\d+)", expected)
    if seconds and isinstance(answered, RateLimited):
        return answered.retry_after == pytest.approx(float(seconds[1]))
    hints = ("no credit", "privacy", "enable_thinking", "ollama pull", "takes", "proxy or firewall")
    if any(hint in expected and hint not in str(answered) for hint in hints):
        return False
    if "for requests" in expected:
        return isinstance(answered, Misconfigured) and answered.needs is not None
    return not isinstance(answered, Misconfigured) or answered.needs is None


def outcome(finish: str, stage: str | None, expected: str) -> bool:
    if expected.startswith("blocked, stage not told"):
        return finish == "blocked" and stage is None
    if expected.startswith("blocked/"):
        return finish == "blocked" and stage == re.findall(r"blocked/(\w+)", expected)[0]
    return expected.startswith(finish)


ENDED = ("stop", "length", "blocked", "refused", "Transient", "asked once more", "an empty answer")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case["name"])
        for case in CASES
        if not is_error(case)
        and isinstance(case["body"], dict)
        and "images" not in case["wire"]
        and case["expected"].startswith(ENDED)
    ],
)
async def test_an_answer_ends_as_it_says(case: dict[str, Any]) -> None:
    body, expected = case["body"], case["expected"]
    if expected.startswith("Transient"):
        with pytest.raises(ProviderError) as caught:
            ending_of(body)
        assert type(caught.value).__name__ == "Transient"
        return
    if "asked once more" in expected:
        found = await examine_response(read_content_response(body), image_due=False)
        assert found.missing
        assert found.asks_again
    else:
        ending = ending_of(body)
        assert outcome(ending.finish, ending.block and ending.block.stage, expected)


def ending_of(body: dict[str, Any]) -> Ending:
    if "choices" in body:
        choice = body["choices"][0]
        message = choice.get("message") or {}
        return ending_of_choice(choice, message, nothing=not message.get("content"))
    if "output" in body:
        return ending_of_response(body, not any(item["type"] == "message" for item in body["output"]))
    if "content" in body:
        return ending_of_message(body, "".join(part.get("text", "") for part in body["content"]))
    blocked = ending_of_prompt(body.get("promptFeedback") or {})
    return blocked or ending_of_candidate(body["candidates"][0], nothing=True)
