"""Gemini's Interactions API: what is sent, and what becomes of an interaction that Google works on in the background."""

from __future__ import annotations

from typing import Any

import pytest
from unisafe_providers.base import Capabilities, Image, Request, Text, Transient
from unisafe_providers.hosted.gemini import Gemini
from unisafe_providers.hosted.interactions import GeminiInteractions
from unisafe_providers.jobs import Job, JobLost
from vendors import KEY, Asked, Reply, VendorServer
from vendors.gemini import error

EVERYTHING = Capabilities(image_in=True, image_out=True, edit=True)
GREETING = Request(kind="chat", parts=(Text("Please greet me."),))


class InteractionsServer(VendorServer):
    """Takes POST /v1beta/interactions, and GET of one by its id."""

    ROOT = "/v1beta"

    def refusal(self, asked: Asked) -> Reply | None:
        if asked.headers.get("x-goog-api-key") != self.key:
            return Reply({"error": {"code": "authentication", "message": "The API key is invalid."}}, 401)
        known = ("/v1beta/interactions", "/v1beta/interactions/v1_1")
        return None if asked.path in known else Reply({"error": {"code": "not_found", "message": "Not found."}}, 404)


def interaction(status: str, *content: dict[str, Any]) -> Reply:
    steps = [{"type": "model_output", "content": list(content)}] if content else []
    return Reply({"id": "v1_1", "object": "interaction", "status": status, "steps": steps})


HELLO = interaction("completed", {"type": "text", "text": "Hello."})


class Book:
    """A book of one job."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self.ended = 0

    async def find(self, request: Request) -> Job | None:
        return self.job

    async def note(self, request: Request, job: Job) -> None:
        self.job = job

    async def end(self, request: Request) -> None:
        self.job = None
        self.ended += 1


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unisafe_providers.hosted.jobs.FIRST_PAUSE", 0.0)


async def test_a_request_stands_in_the_words_of_this_api() -> None:
    safety = {"HARM_CATEGORY_HATE_SPEECH": "BLOCK_ONLY_HIGH"}
    schema = ("verdict", '{"type":"object"}')
    picture = Image.from_bytes(b"\x89PNG\r\n\x1a\n")
    async with (
        InteractionsServer(HELLO) as server,
        GeminiInteractions("models/gemini-3.8-flash", server.url, KEY, EVERYTHING, safety=safety) as provider,
    ):
        asked = Request(
            kind="chat",
            parts=(Text("Hi."), picture),
            system="Be kind.",
            max_tokens=9,
            temperature=0.5,
            top_p=0.9,
            seed=7,
            schema=schema,
        )
        await provider.call(asked)
        await provider.call(Request(kind="image", parts=(Text("A garden."),), size="1024x1024"))
    said, drawn = (call.body for call in server.asked)
    assert said == {
        "model": "gemini-3.8-flash",
        "input": [{"type": "text", "text": "Hi."}, {"type": "image", "mime_type": "image/png", "data": "iVBORw0KGgo="}],
        "system_instruction": "Be kind.",
        "generation_config": {"max_output_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 7},
        "response_format": {"type": "text", "mime_type": "application/json", "schema": {"type": "object"}},
        "safety_settings": [{"type": "hate_speech", "threshold": "block_only_high"}],
        "store": False,
    }
    assert drawn["response_format"] == [{"type": "text"}, {"type": "image", "delivery": "inline", "aspect_ratio": "1:1"}]


async def test_an_interaction_under_way_is_not_asked_for_again_after_a_failed_poll() -> None:
    broken, under_way, book = error("UNAVAILABLE", "Try again.", 503), interaction("in_progress"), Book()
    async with InteractionsServer(under_way, broken, broken, broken, broken, broken, broken, HELLO) as server:
        async with GeminiInteractions("m", server.url, KEY, EVERYTHING, background=True) as provider:
            provider.book = book
            with pytest.raises(Transient):
                await provider.call(GREETING)
        assert book.job == Job(name="v1_1")
        server.replies = [interaction("a word never seen"), HELLO]
        async with GeminiInteractions("m", server.url, KEY, EVERYTHING, background=True) as provider:
            provider.book = book
            assert (await provider.call(GREETING)).text == "Hello."
    assert [call.path for call in server.asked].count("/v1beta/interactions") == 1


async def test_one_that_google_gave_up_may_be_asked_for_again_and_one_that_is_lost_may_not() -> None:
    failed, under_way = interaction("failed"), interaction("queued")
    async with (
        InteractionsServer(under_way, failed) as server,
        GeminiInteractions("m", server.url, KEY, EVERYTHING, background=True) as provider,
    ):
        provider.book = book = Book()
        with pytest.raises(Transient, match="ended as failed"):
            await provider.call(GREETING)
        assert (book.job, book.ended) == (None, 1)
        provider.book = lost = Book()
        lost.job = Job(name="v1_gone")
        with pytest.raises(JobLost):
            await provider.call(GREETING)
        assert lost.job is not None


def test_the_two_ways_to_ask_a_model_are_told_apart() -> None:
    place = "gemini-3.8-flash", "https://generativelanguage.googleapis.com/v1beta", KEY, EVERYTHING
    safety = {"HARM_CATEGORY_HARASSMENT": "OFF"}
    plain = "gemini|https://generativelanguage.googleapis.com/v1beta|gemini-3.8-flash"
    assert Gemini(*place).identity == plain
    assert Gemini(*place, safety=safety).identity == plain + '|safety={"HARM_CATEGORY_HARASSMENT":"OFF"}'
    assert GeminiInteractions(*place).identity == plain + "|api=interactions"
    assert GeminiInteractions(*place, background=True).identity == GeminiInteractions(*place).identity
