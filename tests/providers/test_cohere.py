"""Cohere's chats: what is sent, what is read, and what a model is known by."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from unisafe_providers.base import Capabilities, Image, Rejected, Request, Text
from unisafe_providers.hosted.cohere import Cohere
from vendors import KEY, Reply
from vendors.cohere import CohereServer, chat, error

SEES = Capabilities(image_in=True, image_out=True)
SCHEMA = ("verdict", '{"type":"object","properties":{"safe":{"type":"boolean"}}}')
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR4nGOoWHACK2IYWhIAz3p4Aasum28AAAAASUVORK5CYII=")
HELLO = chat({"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hello."})


def request(*parts: Any, **more: Any) -> Request:
    return Request(kind="chat", parts=parts or (Text("Please greet me."),), **more)


async def test_a_request_stands_in_cohere_s_words() -> None:
    async with CohereServer(HELLO) as server, Cohere("command-a", server.url, KEY, SEES, safety_mode="STRICT") as provider:
        asked = request(system="Be kind.", max_tokens=10, temperature=0.5, top_p=0.9, seed=7, schema=SCHEMA)
        answer = await provider.call(asked)
        await provider.call(request(Text("What is this?"), Image.from_bytes(PNG)))
    first, second = (call.body for call in server.asked)
    assert first == {
        "model": "command-a",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Please greet me."}],
        "max_tokens": 10,
        "temperature": 0.5,
        "p": 0.9,
        "seed": 7,
        "safety_mode": "STRICT",
        "response_format": {
            "type": "json_object",
            "json_schema": {"type": "object", "properties": {"safe": {"type": "boolean"}}},
        },
    }
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert second["messages"][0]["content"][1] == {"type": "image_url", "image_url": {"url": url}}
    assert (answer.text, answer.thoughts) == ("Hello.", "Hm.")
    assert (answer.usage.tokens_in, answer.usage.tokens_out) == (9, 3), "what Cohere charges for"


async def test_a_schema_that_a_model_does_not_take_is_left_out_from_then_on() -> None:
    refused = error("invalid request: response_format is not supported with this model", 400)
    async with CohereServer(refused, HELLO) as server, Cohere("command-r", server.url, KEY, SEES) as provider:
        for _ in range(2):
            assert (await provider.call(request(schema=SCHEMA))).text == "Hello."
    assert ["response_format" in call.body for call in server.asked] == [True, False, False]


async def test_models_are_listed_by_the_other_version_of_the_api() -> None:
    pages = Reply({"models": [{"name": "command-a"}], "next_page_token": "n"}), Reply({"models": [{"name": "command-r"}]})
    async with CohereServer(*pages) as server, Cohere("command-a", server.url, KEY, SEES) as provider:
        assert await provider.models() == ["command-a", "command-r"]
    assert [call.query.get("page_token") for call in server.asked] == [None, "n"]


async def test_it_draws_nothing() -> None:
    async with CohereServer(HELLO) as server, Cohere("command-a", server.url, KEY, SEES) as provider:
        with pytest.raises(Rejected, match="draw no images"):
            await provider.call(Request(kind="image", parts=(Text("A garden."),)))
    assert not server.asked


def test_the_safety_mode_is_part_of_what_a_model_is() -> None:
    plain = Cohere("command-a", "https://api.cohere.com/v2", KEY, SEES)
    strict = Cohere("command-a", "https://api.cohere.com/v2", KEY, SEES, safety_mode="STRICT")
    assert (plain.identity, strict.identity) == (
        "cohere|https://api.cohere.com/v2|command-a",
        "cohere|https://api.cohere.com/v2|command-a|safety_mode=STRICT",
    )
