"""Responses that are made in the background, at OpenAI and Azure: what each state of theirs means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from unisafe_providers import Capabilities, Malformed, Misconfigured, Request, Response, Text, Transient
from unisafe_providers.base import ProviderError, RateLimited
from unisafe_providers.hosted.openai_responses import OpenAIResponses
from unisafe_providers.jobs import Job, JobLost
from vendors import KEY, Reply, openai
from vendors.background import BackgroundServer, finished, unfinished
from vendors.openai import AzureServer, OpenAIServer, responses, said, text

ASKED = Request(kind="chat", parts=(Text("A friendly question."),), max_tokens=64)
NAME = "resp_0001"


@dataclass
class Book:
    """A book in memory."""

    job: Job | None = None
    noted: list[str] = field(default_factory=list)

    async def find(self, request: Request) -> Job | None:
        return self.job

    async def note(self, request: Request, job: Job) -> None:
        self.job = job
        self.noted.append(job.name)

    async def end(self, request: Request) -> None:
        self.job = None
        self.noted.append("ended")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unisafe_providers.hosted.jobs.FIRST_PAUSE", 0.0)
    monkeypatch.setattr("unisafe_providers.hosted.jobs.LONGEST_PAUSE", 0.0)


async def ask(server: OpenAIServer | AzureServer, book: Book | None = None, **options: Any) -> Response:
    async with server, OpenAIResponses("m", server.url, KEY, Capabilities(), **options) as provider:
        provider.book = book
        return await provider.call(ASKED)


def shown(*replies: Reply) -> BackgroundServer:
    """A vendor whose polls show these, the last one over and over."""
    return BackgroundServer(poll=lambda _, number: replies[min(number, len(replies) - 1)])


async def test_it_is_polled_until_it_is_made() -> None:
    server = shown(unfinished(NAME), unfinished(NAME, "in_progress"), unfinished(NAME, "a state never seen"), finished(NAME, "Hi."))
    response = await ask(server, book := Book(), extra={"background": True})
    assert (response.text, response.model, response.usage.tokens_out) == ("Hi.", "m", 3)
    assert [asked.path for asked in server.asked] == ["/v1/responses", *[f"/v1/responses/{NAME}"] * 4]
    assert book.noted == [NAME]
    assert server.bodies[0]["store"] is True


async def test_an_answer_that_comes_queued_without_being_asked_to_is_polled_too() -> None:
    server = shown(finished(NAME, "Hi."))
    assert (await ask(server)).text == "Hi."
    assert server.bodies[0]["store"] is False


async def test_the_user_decides_whether_openai_keeps_it() -> None:
    server = shown(finished(NAME))
    await ask(server, extra={"background": True, "store": False})
    assert server.bodies[0]["store"] is False


@pytest.mark.parametrize(
    ("end", "finish"),
    [
        (responses(said(text("Half")), status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (responses(said(text("Half")), status="incomplete", incomplete_details={"reason": "content_filter"}), "blocked"),
        (responses(said({"type": "refusal", "refusal": "I won't."})), "refused"),
        (responses(status="failed", error={"code": "bio_policy", "message": "This request may enable harm."}), "blocked"),
    ],
)
async def test_its_end_is_read_as_that_of_any_response(end: Reply, finish: str) -> None:
    assert (await ask(shown(unfinished(NAME), end), book := Book())).finish == finish
    assert book.noted == [NAME]


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (responses(status="failed", error={"code": "server_error", "message": "Something broke."}), Transient),
        (responses(status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down."}), RateLimited),
        (responses(status="cancelled"), Transient),
        (responses(status="failed", output=None), Transient),
    ],
)
async def test_a_job_that_failed_at_the_vendor_may_be_submitted_again(end: Reply, error: type[ProviderError]) -> None:
    with pytest.raises(error):
        await ask(shown(end), book := Book())
    assert book.noted == [NAME, "ended"]


@pytest.mark.parametrize(
    ("poll", "error"),
    [
        (openai.error(None, "busy", 500), Transient),
        (openai.error("rate_limit_exceeded", "slow down", 429), RateLimited),
        (openai.error("invalid_api_key", "Incorrect API key provided.", 401), Misconfigured),
        (openai.error(None, f"Response with id '{NAME}' not found.", 404), JobLost),
        (responses(output="no list"), Malformed),
        (Reply(b"<html>a proxy's page</html>"), Transient),
    ],
)
async def test_a_poll_that_fails_leaves_the_job_as_it_is(poll: Reply, error: type[ProviderError]) -> None:
    with pytest.raises(error):
        await ask(shown(poll), book := Book())
    assert book.noted == [NAME]


async def test_a_job_that_the_book_has_is_not_submitted() -> None:
    server = shown(finished("resp/odd?name", "Hi."))
    assert (await ask(server, Book(Job(name="resp/odd?name")))).text == "Hi."
    assert not server.submitted
    assert server.asked[0].path == "/v1/responses/resp/odd?name"  # as the server reads resp%2Fodd%3Fname


async def test_azure_is_polled_with_its_version_and_header() -> None:
    class Azure(AzureServer):
        def refusal(self, asked: Any) -> Reply | None:
            return None if asked.headers.get("api-key") == self.key else super().refusal(asked)

    server = Azure(unfinished(NAME), finished(NAME, "Hi."))
    assert (await ask(server, key_header="api-key", api_version="2025-04-01-preview")).text == "Hi."
    assert [(asked.path, asked.query) for asked in server.asked] == [
        ("/openai/v1/responses", {"api-version": "2025-04-01-preview"}),
        (f"/openai/v1/responses/{NAME}", {"api-version": "2025-04-01-preview"}),
    ]
