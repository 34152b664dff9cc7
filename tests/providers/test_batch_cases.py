"""What vendors were seen to answer about batch jobs, each taken for what it is; the cases stand in cases/more_vendors.jsonl."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from unisafe_providers import batching
from unisafe_providers.base import Capabilities, ProviderError, Rejected, Request, Response, Text, Transient
from unisafe_providers.batch_rules import BatchRules
from unisafe_providers.hosted.batch_states import parse_moment, read_state
from unisafe_providers.hosted.fireworks_batch import FireworksBatches
from unisafe_providers.hosted.gemini_batch import GeminiBatches
from unisafe_providers.hosted.mistral_batch import MistralBatches
from unisafe_providers.hosted.openai_batch import OpenAIBatches
from unisafe_providers.hosted.openrouter_batch import OpenRouterBatches
from unisafe_providers.hosted.xai_batch import XAIBatches
from vendor_cases import Case, cases

from tests.batch_servers import KEY, Vendor, serving
from tests.more_batch_servers import XAI, Fireworks, Gemini, Mistral, OpenRouter, Together

pytestmark = pytest.mark.anyio
WIRES: dict[str, tuple[Any, str]] = {
    "gemini get batch": (GeminiBatches, "batches/b"),
    "mistral get batch job": (MistralBatches, "b"),
    "together get batch": (OpenAIBatches, "b"),
    "groq get batch": (OpenAIBatches, "b"),
    "fireworks get batch job": (FireworksBatches, "accounts/a/batchInferenceJobs/j"),
    "xai get batch": (XAIBatches, "batch_1"),
    "xai batch results": (XAIBatches, "batch_1"),
}
ANSWER = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "4"}}]}
DONE = json.dumps({"custom_id": "0", "response": {"status_code": 200, "body": ANSWER}})
EXPIRED = json.dumps({"custom_id": "1", "response": None, "error": {"code": "batch_expired", "message": "expired"}})


class Fixed(Vendor):
    """Says of any job what a case says; files hold one answer and one error."""

    def __init__(self, body: object) -> None:
        super().__init__()
        self.body = body

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        if ":getDownloadEndpoint" in request.path:
            signed = {name: f"http://{request.host}/signed/{name}" for name in ("o", "e")}
            return web.json_response({"filenameToSignedUrls": signed})
        if file := re.search(r"/(?:files|signed)/(\w+)", request.path):
            return web.Response(text={"o": DONE, "e": EXPIRED}[file[1]])
        return web.json_response(self.body)


@asynccontextmanager
async def asked(case: Case) -> AsyncIterator[tuple[Any, str]]:
    kind, job = WIRES[case.wire]
    async with serving(Fixed(case.body)) as address, kind("m", f"{address}/1/v1", KEY, Capabilities()) as provider:
        yield provider, job


def tell(outcome: Response | ProviderError) -> str:
    return outcome.finish if isinstance(outcome, Response) else type(outcome).__name__


@pytest.mark.parametrize("case", [case for wire in WIRES for case in cases(wire)], ids=lambda case: case.name)
async def test_what_a_vendor_was_seen_to_say_of_a_job(case: Case) -> None:
    async with asked(case) as (provider, job):
        found: dict[str, Response | ProviderError] = {}
        if "results" in case.wire:
            found = {name: outcome async for name, outcome in provider.results(job)}
        else:
            status: batching.JobStatus = await provider.status(job)
            assert (status.state == "in_progress") is (case.expected == "pending")
            if status.state == "ended":
                found = {name: outcome async for name, outcome in provider.results(job)}
    if case.expected.startswith(("Rejected", "Transient")):
        assert isinstance(status.error, Rejected if case.expected.startswith("Rejected") else Transient)
        assert tell(status.error) not in map(tell, found.values())
    answers = re.match(r"(\d) answer", case.expected)
    if answers:
        assert [tell(one) for one in found.values()].count("stop") == int(answers[1])
        assert set(found) <= {"0", "1"}
    if "1 failed" in case.expected or "the rest again" in case.expected:
        assert isinstance(found.get("1", status.error), Transient)
    if told := re.search(r"(\d+) tokens out, cost \$([\d.]+)", case.expected):
        (response,) = found.values()
        assert isinstance(response, Response)
        assert response.usage.tokens_out == int(told[1])
        assert response.usage.cost == pytest.approx(float(told[2]))


def test_every_case_of_batch_jobs_is_played() -> None:
    told = {"xai add batch requests"} | set(WIRES)  # the first is part of each run at xAI
    assert all(cases(wire) for wire in told)


@pytest.mark.parametrize(
    ("kind", "made", "failure"),
    [
        (Together, OpenAIBatches, ("", "Unknown field")),
        (Mistral, MistralBatches, ("", "Unknown field")),
        (Fireworks, FireworksBatches, ("INVALID_ARGUMENT", "The dataset has no messages")),
        (OpenRouter, OpenRouterBatches, ("", "stream is not supported")),
        (Gemini, GeminiBatches, ("3", "Unknown field")),
    ],
)
async def test_a_job_that_failed_whole_is_refused_in_the_vendor_s_words(kind: Any, made: Any, failure: tuple[str, str]) -> None:
    vendor = kind()
    vendor.failures = [failure]
    tags = BatchRules(tags=False, upload="files/upload", purpose="batch-api") if kind is Together else BatchRules()
    asked = Request(kind="chat", parts=(Text("Mild stand-in."),))
    async with serving(vendor) as address, made("a-model", address + vendor.path, KEY, Capabilities()) as provider:
        provider.keep_to(tags)
        status = await provider.status(await provider.submit([await provider.entry("a-name", asked)], "a-tag"))
    assert (status.state, type(status.error)) == ("failed", Rejected)
    assert failure[1] in str(status.error)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("JOB_STATE_PAUSED", "in_progress"),
        ("A_NEW_WORD", "in_progress"),
        (None, "in_progress"),
        ("BATCH_STATE_PARTIALLY_SUCCEEDED", "ended"),
        ("Completed", "ended"),
        ("TIMEOUT_EXCEEDED", "expired"),
        ("canceled", "cancelled"),
        ("CANCELLATION_REQUESTED", "in_progress"),
    ],
)
def test_a_word_that_ends_no_job_means_that_it_is_under_way(word: object, state: str) -> None:
    assert read_state(word) == state


def test_a_date_without_a_time_is_no_earlier_than_what_was_made_on_it() -> None:
    day, noon = parse_moment("2026-11-26"), parse_moment("2026-11-26T12:00:00+01:00")
    assert day is not None
    assert noon is not None
    assert (day > noon, noon.hour, parse_moment("soon"), parse_moment(None)) == (True, 11, None, None)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "content_filter", "message": "The prompt was filtered"}, "blocked"),
        ({"code": 7, "message": "Content violates usage guidelines"}, "blocked"),
        ("DataInspectionFailed: Input text data may contain inappropriate content.", "blocked"),
        ({"code": 3, "message": "No such field"}, "Rejected"),
        ({"code": "INVALID_ARGUMENT", "message": "No such field"}, "Rejected"),
        ({"code": 8, "message": "Too many"}, "RateLimited"),
        ({"code": 14, "message": "Not now"}, "Transient"),
        ({"message": "It did not work out"}, "Transient"),
        ({"code": "batch_cancelled"}, "Cancelled"),
        (None, "Transient"),
    ],
)
async def test_a_line_without_an_answer_is_taken_by_its_error(error: object, kind: str) -> None:
    async with OpenAIBatches("m", "http://127.0.0.1:9/v1", KEY, Capabilities()) as provider:
        assert tell(provider._outcome({"custom_id": "0", "response": None, "error": error})) == kind


async def test_an_answer_of_the_other_kind_is_read_too() -> None:
    body = {"output": [{"type": "message", "content": [{"type": "output_text", "text": "4"}]}], "status": "completed"}
    line = {"batch_request_id": "0", "batch_result": {"response": {"responses": body}}}
    async with XAIBatches("m", "http://127.0.0.1:9/v1", KEY, Capabilities()) as provider:
        outcome = provider._outcome(line)
    assert isinstance(outcome, Response)
    assert outcome.text == "4"


async def test_a_request_that_is_too_long_for_a_line_is_told_before_it_is_sent() -> None:
    asked = Request(kind="chat", parts=(Text("Mild stand-in." * 100),))
    async with OpenAIBatches("m", "http://127.0.0.1:9/v1", KEY, Capabilities()) as provider:
        with pytest.raises(Rejected, match=r"in batch jobs of .* one may hold 1,000"):
            await provider.keep_to(BatchRules(most_line_bytes=1_000)).entry("a-name", asked)


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://storage.googleapis.com/b/o.jsonl?signature=1", True),
        ("https://8.8.8.8/o", True),
        ("https://0x7f000001/o", False),
        ("https:///o", False),
        ("http://169.254.169.254/latest/meta-data", False),
        ("https://10.0.0.1/o", False),
        ("https://localhost/o", False),
        ("https://metadata.google.internal/o", False),
        ("file:///etc/passwd", False),
    ],
)
async def test_results_at_signed_addresses_are_read_from_public_ones_only(url: str, taken: bool) -> None:
    async with FireworksBatches("m", "https://api.fireworks.ai/inference/v1", KEY, Capabilities()) as provider:
        if taken:
            assert provider._check_address(url) == url
        else:
            with pytest.raises(Rejected, match="no public address"):
                provider._check_address(url)


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        (Together, OpenAIBatches),
        (Mistral, MistralBatches),
        (XAI, XAIBatches),
        (Fireworks, FireworksBatches),
        (Gemini, GeminiBatches),
    ],
)
async def test_a_cancelled_job_keeps_its_answers_until_then(kind: Any, made: Any) -> None:
    vendor = kind(by_itself=False)
    rules = BatchRules(tags=False, upload="files/upload", purpose="batch-api") if kind is Together else BatchRules()
    asked = Request(kind="chat", parts=(Text("Mild stand-in."),))
    async with serving(vendor) as address, made("a-model", address + vendor.path, KEY, Capabilities()) as provider:
        provider.keep_to(rules)
        job = await provider.submit([await provider.entry(name, asked) for name in ("first", "second")], "unisafe-1")
        assert (await provider.status(job)).state == "in_progress"
        await provider.cancel(job)
        status = await provider.status(job)
        found = {name: tell(outcome) async for name, outcome in provider.results(job)}
    assert (status.state, status.cancelled) == ("ended", True)
    assert found.pop("first") == "stop"
    assert found in ({}, {"second": "Cancelled"})


async def test_a_job_that_nothing_cancels_says_so() -> None:
    async with OpenRouterBatches("m", "http://127.0.0.1:9/v1", KEY, Capabilities()) as provider:
        with pytest.raises(Rejected, match="cancels no batch job; it ends within 24h"):
            await provider.cancel("a-job")
