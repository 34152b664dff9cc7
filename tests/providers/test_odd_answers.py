"""Endpoints that answer what no endpoint should: whatever comes back, `call` raises a ProviderError or nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from providers import (
    Capabilities,
    Image,
    Limits,
    Misconfigured,
    ProviderError,
    Rejected,
    Request,
    Response,
    Text,
    Transient,
)
from providers.openai_compatible import OpenAICompatible
from unisafe_async.simulate import Faults, Simulator, serving

KEY = "sk-test-0123456789abcdefghijklmnopqrstuv"
EVERYTHING = Capabilities(image_in=True, image_out=True, edit=True)
PNG = b"\x89PNG\r\n\x1a\n a picture"
HELLO = Request("chat", (Text("hello"),))
DRAW = Request("image", (Text("a lighthouse"),))


@dataclass
class Reply:
    """One answer of the endpoint: JSON, or bytes as they are; a function is given the server's address first."""

    body: object
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def endpoint(*replies: Reply, key: str = KEY) -> AsyncIterator[tuple[OpenAICompatible, list[web.Request]]]:
    """A provider for a loopback server that gives `replies` in turn, the last one over and over; and what it was asked."""
    asked: list[web.Request] = []
    left = list(replies)

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        asked.append(request)
        if request.method == "GET":
            return web.Response(body=PNG) if request.path == "/kept.png" else web.Response(status=410)
        reply = left.pop(0) if len(left) > 1 else left[0]
        content = reply.body(f"http://{request.host}") if callable(reply.body) else reply.body
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        return web.Response(status=reply.status, body=raw, headers={"content-type": "application/json", **reply.headers})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/"
        async with OpenAICompatible("llama", url, key, EVERYTHING, timeout=20.0) as provider:
            yield provider, asked
    finally:
        await runner.cleanup()


async def failure(reply: Reply, request: Request = HELLO, key: str = KEY) -> ProviderError:
    async with endpoint(reply, key=key) as (provider, _):
        with pytest.raises(ProviderError) as caught:
            await provider.call(request)
    return caught.value


def chat(content: object = "Hi.", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content} | more.pop("message", {})
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], **more}


def error(code: str | None = None, message: str = "No.", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, **more}}


def picture_at(url: str) -> dict[str, Any]:
    return {"data": [{"url": url}]}


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        pytest.param(HELLO, b"<html>Welcome</html>", id="a web page"),
        pytest.param(HELLO, [chat()], id="a list"),
        pytest.param(HELLO, {"choices": []}, id="no choice"),
        pytest.param(HELLO, {"choices": None}, id="null choices"),
        pytest.param(HELLO, {"choices": ["Hi."]}, id="a choice of text"),
        pytest.param(HELLO, error(None, "overloaded"), id="an error with 200"),
        pytest.param(HELLO, chat("data:image/png;base64,QUJDR"), id="a picture in bad base64"),
        pytest.param(HELLO, {"choices": [{"message": "Hi."}]}, id="a message of text"),
        pytest.param(HELLO, chat(message={"images": 5}), id="images that are a number"),
        pytest.param(HELLO, chat(usage="none"), id="usage that is text"),
        pytest.param(HELLO, chat(usage={"prompt_tokens": "many"}), id="a count that is text"),
        pytest.param(HELLO, b'{"a":' * 100_000, id="nested too deep"),
        pytest.param(DRAW, {"created": 1}, id="no data"),
        pytest.param(DRAW, {"data": [{"b64_json": "%%%"}]}, id="bad base64"),
        pytest.param(DRAW, picture_at("file:///etc/hostname"), id="a picture in a file"),
        pytest.param(DRAW, lambda url: picture_at(f"{url}/gone.png"), id="a picture that is gone"),
        pytest.param(DRAW, {"data": ["x"]}, id="data of text"),
        pytest.param(DRAW, {"data": 5}, id="data that is a number"),
        pytest.param(DRAW, {"data": [{"b64_json": "é"}]}, id="base64 with an accent"),
        pytest.param(DRAW, {"data": [{"b64_json": 5}]}, id="base64 that is a number"),
        pytest.param(DRAW, picture_at("http://["), id="no address"),
        pytest.param(DRAW, picture_at("http://a\x01b/"), id="an address with a control character"),
    ],
)
async def test_a_body_that_is_no_answer_is_worth_another_try(request_: Request, body: object) -> None:
    caught = await failure(Reply(body), request_)
    assert type(caught) is Transient


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(chat(), 200, {"content-encoding": "gzip"}), id="not the gzip it says"),
        pytest.param(Reply(error(innererror="none"), 400), id="an inner error of text"),
        pytest.param(Reply(error(), 429, {"x-ratelimit-remaining-requests": "²"}), id="a limit of ²"),
        pytest.param(Reply(b"", 307, {"location": "https://elsewhere.invalid/v1"}), id="a redirect"),
        pytest.param(Reply(b"\xff\xfe", 500), id="a page that is no UTF-8"),
        pytest.param(Reply(["not", "an", "object"], 400), id="an error that is a list"),
    ],
)
async def test_a_strange_answer_is_a_provider_error_too(reply: Reply) -> None:
    assert str(await failure(reply))


async def test_a_connection_dropped_on_the_way_is_not_a_server_that_cannot_be_reached() -> None:
    async with (
        serving(Simulator(faults=Faults(dropped=1.0))) as url,
        OpenAICompatible("balanced", url, KEY, EVERYTHING) as provider,
    ):
        with pytest.raises(Transient) as caught:
            await provider.call(HELLO)
    assert not caught.value.unreachable


async def test_a_picture_s_server_that_cannot_be_reached_is_not_taken_for_the_endpoint() -> None:
    async with serving(Simulator()) as gone:
        pass
    caught = await failure(Reply(picture_at(f"{gone}/x.png")), DRAW)
    assert isinstance(caught, Transient)
    assert not caught.unreachable


async def test_a_picture_kept_at_a_url_is_fetched_without_the_key() -> None:
    async with endpoint(Reply(lambda url: picture_at(f"{url}/kept.png"))) as (provider, asked):
        response = await provider.call(DRAW)
    assert response.images == (Image.from_bytes(PNG),)
    assert [(one.path, one.headers.get("authorization")) for one in asked] == [
        ("/v1/images/generations", f"Bearer {KEY}"),
        ("/kept.png", None),
    ]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [(PNG, "image/png"), (b"\xff\xd8\xff x", "image/jpeg"), (b"RIFF\0\0\0\0WEBP x", "image/webp"), (b"GIF89a x", "image/gif")],
)
async def test_a_picture_is_what_its_bytes_say(data: bytes, media_type: str) -> None:
    async with endpoint(Reply({"data": [{"b64_json": base64.b64encode(data).decode()}]})) as (provider, _):
        response = await provider.call(DRAW)
    assert response.images == (Image.from_bytes(data, media_type),)
    assert response.images[0].media_type == media_type


async def test_an_image_file_that_is_gone_fails_its_request_alone(tmp_path: Path) -> None:
    gone = Image("d", "image/png", tmp_path / "gone.png")
    assert isinstance(await failure(Reply(chat()), Request("chat", (gone, Text("What is this?")))), Rejected)


@pytest.mark.parametrize("key", ["sk-ключ", "sk-two\nlines"])
def test_a_key_that_no_header_can_hold_is_a_misconfiguration(key: str) -> None:
    with pytest.raises(Misconfigured, match="key_env") as caught:
        OpenAICompatible("llama", "http://127.0.0.1:9/v1", key, EVERYTHING)
    assert key not in str(caught.value)


@pytest.mark.parametrize("page", [False, True])
async def test_a_long_message_does_not_repeat_half_the_key(page: bool) -> None:
    message = "." * 475 + KEY
    caught = await failure(Reply(message.encode() if page else error(None, message), 400))
    assert KEY[:20] not in str(caught)


async def test_no_block_repeats_the_key() -> None:
    async with endpoint(Reply(error("content_filter", f"Filtered for {KEY}"), 400)) as (provider, _):
        response = await provider.call(HELLO)
    assert (response.finish, KEY in response.reason) == ("blocked", False)


@pytest.mark.parametrize("words", ["response_format", "use max_completion_tokens, not max_tokens"])
async def test_an_endpoint_that_never_has_enough_is_not_asked_for_ever(words: str) -> None:
    async with endpoint(Reply(error(None, words), 400)) as (provider, asked):
        with pytest.raises(Rejected, match=words):
            await provider.call(Request("chat", (Text("hello"),), max_tokens=5, schema=("verdict", "{}")))
    assert len(asked) == 2


async def test_the_limits_an_endpoint_reported_last_are_there_to_be_read() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "lots",
        "x-ratelimit-reset-requests": "1m30s",
        "x-ratelimit-reset-tokens": "2",
    }
    async with endpoint(Reply(chat(), 200, headers), Reply(chat())) as (provider, _):
        assert provider.reported == Limits()
        await provider.call(HELLO)
        await provider.call(HELLO)
        assert provider.reported == Limits(59, None, 60.0, 2.0)


async def test_a_call_that_is_cancelled_leaves_the_provider_usable() -> None:
    simulator = Simulator(faults=Faults(stalled=1.0))
    async with serving(simulator) as url, OpenAICompatible("balanced", url, KEY, EVERYTHING, max_connections=1) as provider:
        async with anyio.create_task_group() as group:
            group.start_soon(provider.call, HELLO)
            with anyio.fail_after(20):
                while not simulator.seen.faults["stalled"]:
                    await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        simulator.faults = Faults()
        assert isinstance(await provider.call(HELLO), Response)


def test_a_model_is_told_apart_by_all_that_changes_its_answers_and_not_by_its_key() -> None:
    def identity(model: str = "m", url: str = "http://a/v1", key: str = KEY, **options: Any) -> str:
        return OpenAICompatible(model, url, key, EVERYTHING, **options).identity

    assert identity() == identity(key="another", timeout=3) == identity(url="http://a/v1/")
    assert KEY not in identity()
    others = [
        identity("n"),
        identity(url="http://b/v1"),
        identity(image_api="chat"),
        identity(extra={"a": 1}),
        identity(extra={"a": 2}),
    ]
    assert len({identity(), *others}) == 6
    assert identity(extra={"a": 1, "b": 2}) == identity(extra={"b": 2, "a": 1})
