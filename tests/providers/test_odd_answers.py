"""Endpoints that answer what no endpoint should: whatever comes back, `call` raises a ProviderError or nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import brotli
import pytest
from aiohttp import web
from backports import zstd
from unisafe_providers import (
    Capabilities,
    Image,
    Limits,
    Malformed,
    Misconfigured,
    ProviderError,
    Rejected,
    Request,
    Response,
    Text,
    Transient,
    Usage,
)
from unisafe_providers.anatomy import examine_response
from unisafe_providers.hosted.bodies import MAX_BYTES
from unisafe_providers.hosted.openai_compatible import OpenAICompatible

from unisafe_async.simulate import Faults, Simulator, open_server

KEY = "sk-test-0123456789abcdefghijklmnopqrstuv"
EVERYTHING = Capabilities(image_in=True, image_out=True, edit=True)
PNG = b"\x89PNG\r\n\x1a\n a picture"
HELLO = Request(kind="chat", parts=(Text("hello"),))
DRAW = Request(kind="image", parts=(Text("a lighthouse"),))


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
        pytest.param(HELLO, {"choices": [{"message": "Hi."}]}, id="a message of text"),
        pytest.param(HELLO, {"choices": [{"message": {}, "finish_reason": "stop"}]}, id="an empty message"),
        pytest.param(HELLO, b'{"a":' * 100_000, id="nested too deep"),
        pytest.param(DRAW, {"created": 1}, id="no data"),
        pytest.param(DRAW, {"data": [{"b64_json": "%%%"}]}, id="bad base64"),
        pytest.param(DRAW, picture_at("file:///etc/hostname"), id="a picture in a file"),
        pytest.param(DRAW, {"created": 1, "data": None}, id="null data"),
        pytest.param(DRAW, {"data": {}}, id="data that is an object"),
        pytest.param(DRAW, {"data": ["x"]}, id="data of text"),
        pytest.param(DRAW, {"data": 5}, id="data that is a number"),
        pytest.param(DRAW, {"data": [{"b64_json": "é"}]}, id="base64 with an accent"),
        pytest.param(DRAW, {"data": [{"b64_json": 5}]}, id="base64 that is a number"),
    ],
)
async def test_a_body_that_is_no_answer_is_malformed(request_: Request, body: object) -> None:
    caught = await failure(Reply(body), request_)
    assert type(caught) is Malformed


async def test_an_error_that_came_with_200_is_worth_another_try() -> None:
    assert type(await failure(Reply(error(None, "overloaded")))) is Transient


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(chat("Hi.", message={"images": 5}), id="images that are a number"),
        pytest.param(chat("Hi.", message={"images": [{"image_url": {"url": "file:///etc/hostname"}}]}), id="a picture in a file"),
        pytest.param(chat("Hi.", usage="none"), id="usage that is text"),
        pytest.param(chat("Hi.", usage={"prompt_tokens": "many"}), id="a count that is text"),
        pytest.param(chat("Hi.", usage={"prompt_tokens": -1, "completion_tokens": 2**40}), id="counts that make no sense"),
        pytest.param(chat(["Hi."]), id="a part that is text alone"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(chat("Hi.")).encode(), id="a byte order mark"),
        pytest.param(json.dumps(chat("Hi."))[:-1].encode() + b', "by": "caf\xe9"}', id="Latin-1"),
    ],
)
async def test_an_answer_is_not_thrown_away_for_what_stands_beside_it(body: object) -> None:
    async with endpoint(Reply(body)) as (provider, asked):
        response = await provider.call(HELLO)
    assert (response.text, response.images, response.usage.reported, len(asked)) == ("Hi.", (), False, 1)


async def test_text_is_text_whatever_base64_it_invents() -> None:
    words = "![icon](data:image/png;base64,QUJDR)"
    async with endpoint(Reply(chat(words))) as (provider, _):
        assert (await provider.call(HELLO)).text == words


async def test_what_is_read_of_a_broken_off_answer_is_kept_with_its_bill() -> None:
    body = chat("Half of", usage={"prompt_tokens": 5, "completion_tokens": 2}) | {
        "error": {"message": "upstream failed", "code": 502}
    }
    caught = await failure(Reply(body))
    assert type(caught) is Transient
    assert (caught.usage, caught.partial and caught.partial.text) == (Usage(tokens_in=5, tokens_out=2), "Half of")


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_bodies_are_unpacked_however_they_are_packed(encoding: str) -> None:
    pack = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstd.compress}[encoding]
    reply = Reply(pack(json.dumps(chat("Hi.")).encode()), 200, {"content-encoding": encoding})
    async with endpoint(reply) as (provider, _):
        assert (await provider.call(HELLO)).text == "Hi."


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_a_body_that_unpacks_to_too_much_is_given_up(encoding: str) -> None:
    pack = {"gzip": gzip.compress, "br": partial(brotli.compress, quality=1), "zstd": zstd.compress}[encoding]
    caught = await failure(Reply(pack(b" " * (MAX_BYTES + 2**20)), 200, {"content-encoding": encoding}))
    assert type(caught) is Malformed
    assert "64 MiB" in str(caught)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n', id="events"),
        pytest.param(b': PROCESSING\n\n: PROCESSING\n\nevent: message\ndata: {"choices":[]}\n\n', id="comments before them"),
        pytest.param(b'id: 1\nretry: 500\ndata: {"choices":[]}\n\n', id="an id before them"),
        pytest.param(
            b'{"message":{"content":"Hi"},"done":false}\n{"message":{"content":"."},"done":true}\n', id="an object a line"
        ),
    ],
)
async def test_a_server_that_only_streams_is_told_so_at_once(body: bytes) -> None:
    caught = await failure(Reply(body))
    assert type(caught) is Misconfigured
    assert "streams" in str(caught)


@pytest.mark.parametrize(
    ("body", "stage"),
    [
        ({"choices": None, "base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}, "request"),
        ({"choices": None, "base_resp": {"status_code": 1027, "status_msg": "output new_sensitive"}}, "response"),
        ({"error_code": 336104, "error_msg": "the user input violates our content policy", "id": "x"}, "request"),
    ],
)
async def test_a_block_within_a_200_is_one_wherever_its_words_stand(body: dict[str, Any], stage: str) -> None:
    async with endpoint(Reply(body)) as (provider, asked):
        answer = await provider.call(HELLO)
    assert answer.block is not None
    assert (answer.finish, answer.block.stage, len(asked)) == ("blocked", stage, 1)


async def test_a_200_without_an_answer_fails_in_its_own_words() -> None:
    caught = await failure(Reply({"detail": "Not here"}))
    assert type(caught) is Transient
    assert "Not here" in str(caught)


@pytest.mark.parametrize("body", [{"choices": []}, {"choices": [{"message": "Hi."}]}, {"choices": None, "detail": "No."}])
async def test_what_a_body_without_an_answer_used_is_billed(body: dict[str, Any]) -> None:
    caught = await failure(Reply(body | {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}))
    assert caught.usage == Usage(tokens_in=7, tokens_out=3)


async def test_an_empty_list_of_pictures_may_be_asked_for_again_whatever_tokens_were_counted() -> None:
    async with endpoint(Reply({"data": [], "usage": {"input_tokens": 5, "output_tokens": 50}})) as (provider, _):
        answer = await examine_response(await provider.call(DRAW), image_due=True)
    assert (answer.missing, answer.asks_again) == ("no picture in the answer (an empty list)", True)


async def test_a_refusal_among_the_parts_of_the_content_is_the_model_s() -> None:
    async with endpoint(Reply(chat([{"type": "refusal", "refusal": "I will not."}]))) as (provider, _):
        answer = await provider.call(HELLO)
    assert (answer.text, answer.finish, answer.missing) == ("I will not.", "refused", "")


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unisafe_providers.hosted.http.DOWNLOAD_PAUSE", 0.0)


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("url", ["http://[", "http://a\x01b/", "gone.png"])
async def test_a_picture_that_cannot_be_had_is_not_made_anew(url: str) -> None:
    body = {"usage": {"input_tokens": 3, "output_tokens": 4}}
    reply = Reply(lambda place: picture_at(url if ":" in url else f"{place}/{url}") | body)
    async with endpoint(reply) as (provider, asked):
        with pytest.raises(Rejected, match=r"made and paid for.* 3 times") as caught:
            await provider.call(DRAW)
    assert caught.value.usage == Usage(tokens_in=3, tokens_out=4, images=1)
    assert [one.method for one in asked].count("POST") == 1


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
        open_server(Simulator(faults=Faults(dropped=1.0))) as url,
        OpenAICompatible("balanced", url, KEY, EVERYTHING) as provider,
    ):
        with pytest.raises(Transient) as caught:
            await provider.call(HELLO)
    assert not caught.value.unreachable


@pytest.mark.usefixtures("_no_pauses")
async def test_a_picture_s_server_that_cannot_be_reached_is_not_taken_for_the_endpoint() -> None:
    async with open_server(Simulator()) as gone:
        pass
    caught = await failure(Reply(picture_at(f"{gone}/x.png")), DRAW)
    assert isinstance(caught, Rejected)
    assert "made and paid for" in str(caught)


async def test_a_picture_kept_at_a_url_is_fetched_without_the_key() -> None:
    async with endpoint(Reply(lambda url: picture_at(f"{url}/kept.png"))) as (provider, asked):
        response = await provider.call(DRAW)
    assert response.images == (Image.from_bytes(PNG),)
    assert [(one.path, one.headers.get("authorization")) for one in asked] == [
        ("/v1/images/generations", f"Bearer {KEY}"),
        ("/kept.png", None),
    ]


async def test_an_image_file_that_is_gone_fails_its_request_alone(tmp_path: Path) -> None:
    gone = Image("d", "image/png", tmp_path / "gone.png")
    assert isinstance(await failure(Reply(chat()), Request(kind="chat", parts=(gone, Text("What is this?")))), Rejected)


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


@pytest.mark.parametrize("words", ["response_format is not supported", "use max_completion_tokens, max_tokens is not supported"])
async def test_an_endpoint_that_never_has_enough_is_not_asked_for_ever(words: str) -> None:
    async with endpoint(Reply(error(None, words), 400)) as (provider, asked):
        with pytest.raises(ProviderError, match=words):
            await provider.call(Request(kind="chat", parts=(Text("hello"),), max_tokens=5, schema=("verdict", "{}")))
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
        assert provider.reported == Limits(
            remaining_requests=59, remaining_tokens=None, reset_requests=60.0, reset_tokens=2.0
        )  # a 200 blocks for no longer than its window, a minute


async def test_a_call_that_is_cancelled_leaves_the_provider_usable() -> None:
    simulator = Simulator(faults=Faults(stalled=1.0))
    async with open_server(simulator) as url, OpenAICompatible("balanced", url, KEY, EVERYTHING, max_connections=1) as provider:
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
