"""A server that does not take a schema as OpenAI does is asked in a way that it takes, whatever status it refuses with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from unisafe_providers.base import Capabilities, Request, Text, Transient
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.hosted.parameters import Refusal, find_refused_parameter

SCHEMA = ("verdict", json.dumps({"type": "object", "properties": {"verdict": {"type": "integer"}}}))
ASKED = Request(kind="chat", parts=(Text("Is this safe?"),), schema=SCHEMA)
LLAMA_CPP = {
    "error": {
        "message": "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': "
        "\"Input should be 'text' or 'json_object'\", 'input': 'json_schema', 'ctx': {'expected': \"'text' or 'json_object'\"}}\n\n"
        '  File "/venv/llama_cpp/server/app.py", line 376, in create_chat_completion\n    POST /v1/chat/completions',
        "type": "internal_server_error",
        "param": None,
        "code": None,
    }
}
"""What llama-cpp-python 0.3.36 answers with status 500."""
Answer = Callable[[dict[str, Any]], tuple[int, object]]


@asynccontextmanager
async def serve(answer: Answer) -> AsyncIterator[tuple[OpenAICompatible, list[str]]]:
    """A provider of a server that answers so, and the types of `response_format` that were sent, in order."""
    types: list[str] = []

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        types.append(body.get("response_format", {}).get("type", "none"))
        status, content = answer(body)
        return web.json_response(content, status=status)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        async with OpenAICompatible("m", url, "none", Capabilities()) as provider:
            yield provider, types
    finally:
        await runner.cleanup()


def said(text: str) -> tuple[int, object]:
    return 200, {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}


def as_llama_cpp(body: dict[str, Any]) -> tuple[int, object]:
    if body.get("response_format", {}).get("type") == "json_schema":
        return 500, LLAMA_CPP
    follows = body.get("response_format", {}).get("schema", {}).get("properties")
    return said('{"verdict": 1}' if follows else "It is safe, I think.")


@pytest.mark.anyio
async def test_a_server_of_llama_cpp_s_gets_the_schema_in_its_own_dialect() -> None:
    async with serve(as_llama_cpp) as (provider, types):
        assert [(await provider.call(ASKED)).text for _ in range(3)] == ['{"verdict": 1}'] * 3
    assert types == ["json_schema", "json_object", "json_object", "json_object"]


REFUSALS: list[tuple[int, str, list[str]]] = [
    (500, "json_schema is not supported by this engine", ["json_schema", "json_object", "none"]),
    (500, "unsupported response_format", ["json_schema", "none"]),
    (400, "response_format.type must be one of text, json_object", ["json_schema", "json_object", "none"]),
    (422, "response_format: Extra inputs are not permitted", ["json_schema", "none"]),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("status", "message", "sent"), REFUSALS)
async def test_one_that_takes_no_schema_at_all_is_asked_without(status: int, message: str, sent: list[str]) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, object]:
        return (status, {"error": {"message": message}}) if "response_format" in body else said("Result: 1")

    async with serve(answer) as (provider, types):
        assert (await provider.call(ASKED)).text == "Result: 1"
        assert (await provider.call(ASKED)).text == "Result: 1"
    assert types == [*sent, "none"]


@pytest.mark.anyio
async def test_an_ordinary_500_is_a_failure_that_passes() -> None:
    async with serve(lambda _: (500, {"error": {"message": "CUDA error: unspecified launch failure"}})) as (provider, types):
        with pytest.raises(Transient):
            await provider.call(ASKED)
    assert types == ["json_schema"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("1 validation error: ('body', 'seed'): Extra inputs are not permitted", Refusal("seed")),
        ("generate() got an unexpected keyword argument 'top_p'", Refusal("top_p")),
        ("1 validation error: ('body', 'seed'): Input should be a valid integer", None),
        ("unknown error after seed 5", None),
        ("the process ended", None),
    ],
)
def test_a_500_names_a_parameter_where_the_server_s_own_check_failed(message: str, expected: Refusal | None) -> None:
    assert find_refused_parameter(500, {"error": {"message": message}}) == expected


@pytest.mark.anyio
async def test_a_server_that_ignores_schemas_silently_is_noted() -> None:
    replies = iter(["It is safe."] * 4 + ['{"verdict": 1}'] + ["Safe."] * 5)
    async with serve(lambda _: said(next(replies))) as (provider, _):
        for _ in range(9):
            await provider.call(ASKED)
        assert provider.notes == []
        await provider.call(ASKED)
        assert [note.partition(":")[0] for note in provider.notes] == ["m ignores response_format without an error"]


@pytest.mark.anyio
async def test_replies_without_a_schema_are_not_counted() -> None:
    async with serve(lambda _: said("Plain words.")) as (provider, _):
        for _ in range(6):
            await provider.call(Request(kind="chat", parts=(Text("Hi"),)))
        assert provider.notes == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "message"),
    [
        (500, 'can only concatenate str (not "list") to str'),
        (422, "body.messages.0.content: value should be a valid string"),
    ],
)
async def test_a_server_whose_template_takes_no_parts_gets_several_texts_as_one(status: int, message: str) -> None:
    contents: list[object] = []

    def answer(body: dict[str, Any]) -> tuple[int, object]:
        contents.append(body["messages"][-1]["content"])
        return said("Yes.") if isinstance(contents[-1], str) else (status, {"error": {"message": message}})

    async with serve(answer) as (provider, _):
        asked = Request(kind="chat", parts=(Text("Is this safe?"), Text("Answer in JSON.")))
        assert [(await provider.call(asked)).text for _ in range(2)] == ["Yes.", "Yes."]
    assert contents[1:] == ["Is this safe?\n\nAnswer in JSON."] * 2
