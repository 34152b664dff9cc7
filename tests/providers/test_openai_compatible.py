"""The wire: what is sent, and which of answered, refused, blocked and failed each reply becomes. A real server on loopback."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from unisafe_providers.base import (
    Block,
    Capabilities,
    Image,
    Misconfigured,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Text,
    Timeout,
    Transient,
)
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.hosted.rate_headers import limits_of, parse_duration, retry_after

from unisafe_async.gateway.calling import call_safely

KEY = "sk-planted-0123456789"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR4nGOoWHACK2IYWhIAz3p4Aasum28AAAAASUVORK5CYII=")
"""A sound picture of 8 x 8 pixels."""
HELLO = Request(kind="chat", parts=(Text("hello"),), system="be kind", max_tokens=9, temperature=0.0)
Reply = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def endpoint(reply: Reply, **options: object) -> AsyncIterator[tuple[OpenAICompatible, list[dict]]]:
    """A provider whose server gives `reply`, and the bodies that it was sent."""
    bodies: list[dict] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        if request.content_type == "application/json":
            bodies.append({"path": request.path, "key": request.headers["authorization"], **json.loads(raw)})
        return await reply(request, raw)

    app = web.Application()
    app.router.add_post("/v1/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        async with OpenAICompatible("m", url, KEY, Capabilities(image_in=True, image_out=True, edit=True), **options) as provider:
            yield provider, bodies
    finally:
        await runner.cleanup()


def says(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    async def reply(_request: web.Request, _raw: bytes) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return reply


def choice(finish: str = "stop", content: object = "hi", **more: object) -> dict:
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    return {
        "choices": [{"finish_reason": finish, "message": message, **more}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2},
    }


def error(code: str | None, message: str = "no", **more: object) -> dict:
    return {"error": {"message": message, "code": code, "type": "invalid_request_error", **more}}


async def test_a_chat_is_sent_and_read() -> None:
    async with endpoint(says(choice()), extra={"top_k": 1}) as (provider, bodies):
        response = await provider.call(HELLO)
    assert (response.text, response.finish, response.usage.tokens_in, response.usage.tokens_out) == ("hi", "stop", 7, 2)
    assert bodies[0]["key"] == f"Bearer {KEY}"
    assert bodies[0]["messages"] == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]
    assert (bodies[0]["max_tokens"], bodies[0]["temperature"], bodies[0]["top_k"]) == (9, 0.0, 1)
    assert "seed" not in bodies[0]


async def test_an_image_goes_in_as_a_data_url() -> None:
    async with endpoint(says(choice())) as (provider, bodies):
        await provider.call(Request(kind="chat", parts=(Image.from_bytes(PNG), Text("what is this?"))))
    image, text = bodies[0]["messages"][0]["content"]
    assert base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,")) == PNG
    assert text == {"type": "text", "text": "what is this?"}


async def test_images_are_made_and_edited() -> None:
    made = {"data": [{"b64_json": base64.b64encode(PNG).decode()}], "usage": {"input_tokens": 3, "output_tokens": 5}}
    uploads: list[bytes] = []

    async def reply(_request: web.Request, raw: bytes) -> web.StreamResponse:
        uploads.append(raw)
        return web.json_response(made)

    async with endpoint(reply) as (provider, bodies):
        drawn = await provider.call(Request(kind="image", parts=(Text("a park"),), size="64x64"))
        edited = await provider.call(Request(kind="edit", parts=(Image.from_bytes(PNG), Text("bluer"))))
    assert await drawn.images[0].read() == PNG
    assert (drawn.usage.images, drawn.usage.tokens_out) == (1, 5)
    assert (bodies[0]["path"], bodies[0]["prompt"], bodies[0]["size"]) == ("/v1/images/generations", "a park", "64x64")
    assert edited.images == drawn.images
    assert PNG in uploads[1]
    assert b"bluer" in uploads[1]
    assert b'filename="image.png"' in uploads[1]


@pytest.mark.parametrize("where", ["images", "content", "markdown"])
async def test_an_image_may_come_in_a_chat_message(where: str) -> None:
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    part = {"type": "image_url", "image_url": {"url": url}}
    message = {
        "images": choice(content="here", message={"images": [part]}),
        "content": choice(content=[{"type": "text", "text": "here"}, part]),
        "markdown": choice(content=f"here![]({url})"),
    }[where]
    async with endpoint(says(message), image_api="chat") as (provider, bodies):
        response = await call_safely(provider, Request(kind="image", parts=(Text("a park"),)))
    assert bodies[0]["modalities"] == ["image", "text"]
    assert response.text == "here"
    assert await response.images[0].read() == PNG


AZURE = {"violence": {"filtered": True, "severity": "high"}, "hate": {"filtered": False, "severity": "safe"}}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, choice("content_filter", ""), "content_filter"),
        (200, choice("content_filter", "", content_filter_results=AZURE), "violence: high"),
        (400, error("content_filter"), "content_filter"),
        (400, error("content_policy_violation"), "content_policy_violation"),
        (400, error("moderation_blocked"), "moderation_blocked"),
        (400, error(None, innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": AZURE}), "violence: high"),
        (400, error(None, "Your request was rejected by our safety system."), "safety system"),
    ],
)
async def test_every_shape_of_a_block_is_an_answer(status: int, body: dict, reason: str) -> None:
    async with endpoint(says(body, status)) as (provider, _):
        response = await provider.call(HELLO)
    assert response.finish == "blocked"
    assert reason in response.reason


async def test_text_before_a_filter_s_cut_is_kept() -> None:
    async with endpoint(says(choice("content_filter", "the first half"))) as (provider, _):
        response = await provider.call(HELLO)
    assert (response.finish, response.text) == ("blocked", "the first half")


async def test_the_model_s_own_refusal_keeps_its_words() -> None:
    async with endpoint(says(choice(content=None, message={"refusal": "I won't."}))) as (provider, _):
        response = await provider.call(HELLO)
    assert (response.finish, response.text) == ("refused", "I won't.")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, error("invalid_api_key"), Misconfigured, "key_env"),
        (403, error(None), Misconfigured, "region"),
        (404, error("model_not_found"), Misconfigured, "check `model` (m)"),
        (402, error(None), Misconfigured, "no credit"),
        (429, error("insufficient_quota"), Misconfigured, "no credit"),
        (429, error("rate_limit_exceeded"), RateLimited, "429"),
        (400, error("context_length_exceeded", "too long"), Rejected, "too long"),
        (413, "too large", Rejected, "too large"),
        (500, error(None), Transient, "500"),
        (503, "<html>busy</html>", Transient, "503"),
        (200, {"choices": []}, Transient, "without any choice"),
        (200, error(None, "upstream broke"), Transient, "upstream broke"),
    ],
)
async def test_each_error_says_what_to_do(status: int, body: object, kind: type[ProviderError], words: str) -> None:
    async with endpoint(says(body, status)) as (provider, _):
        with pytest.raises(kind) as caught:
            await provider.call(HELLO)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2s"}, 62.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({}, None),
    ],
)
async def test_a_rate_limit_says_how_long(headers: dict[str, str], seconds: float | None) -> None:
    async with endpoint(says(error("rate_limit_exceeded"), 429, headers)) as (provider, _):
        with pytest.raises(RateLimited) as caught:
            await provider.call(HELLO)
    assert caught.value.retry_after == seconds


def test_times_in_headers() -> None:
    assert (parse_duration("6m0s"), parse_duration("1.5"), parse_duration("soon"), parse_duration(None)) == (360.0, 1.5, None, None)
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert limits_of({"x-ratelimit-remaining-tokens": "5"}).remaining_tokens == 5


@pytest.mark.parametrize("fault", ["malformed", "truncated", "dropped"])
async def test_a_broken_answer_is_worth_another_try(fault: str) -> None:
    async def reply(request: web.Request, _raw: bytes) -> web.StreamResponse:
        if fault == "malformed":
            return web.Response(text='{"choices": [', content_type="application/json")
        if fault == "truncated":
            answer = web.StreamResponse(headers={"content-length": "500"})
            await answer.prepare(request)
            await answer.write(b'{"choices"')
        assert request.transport is not None
        request.transport.close()
        return web.Response() if fault == "dropped" else answer

    async with endpoint(reply) as (provider, _):
        with pytest.raises(Transient):
            await provider.call(HELLO)


async def test_a_stalled_answer_is_a_timeout() -> None:
    import anyio

    async def reply(_request: web.Request, _raw: bytes) -> web.StreamResponse:
        await anyio.sleep(60)
        return web.Response()

    async with endpoint(reply, timeout=0.2) as (provider, _):
        with pytest.raises(Timeout, match="no answer within"):
            await provider.call(HELLO)


async def test_nobody_listening_is_said_so() -> None:
    async with OpenAICompatible("m", "http://127.0.0.1:9/v1", KEY, Capabilities()) as provider:
        with pytest.raises(Transient, match=r"cannot connect to http.*: Connection refused") as caught:
            await provider.call(HELLO)
    assert caught.value.unreachable


async def test_an_endpoint_that_knows_no_schema_and_no_max_tokens_is_asked_without() -> None:
    async def reply(_request: web.Request, raw: bytes) -> web.StreamResponse:
        body = json.loads(raw)
        if "response_format" in body:
            return web.json_response({"detail": "Unexpected keys in the request: {'response_format'}"}, status=422)
        if "max_tokens" in body:
            return web.json_response(
                error("unsupported_parameter", "Use 'max_completion_tokens' instead of 'max_tokens'."), status=400
            )
        return web.json_response(choice())

    asked = Request(kind="chat", parts=(Text("judge this"),), max_tokens=9, schema=("v", '{"type": "object"}'))
    async with endpoint(reply) as (provider, bodies):
        assert (await provider.call(asked)).text == "hi"
        assert (await provider.call(asked)).text == "hi"
    assert len(bodies) == 4
    assert bodies[-1]["max_completion_tokens"] == 9
    assert provider.notes == ["m takes max_tokens as max_completion_tokens: it was renamed"]


async def test_the_key_is_in_no_error_even_when_the_server_repeats_it() -> None:
    async with endpoint(says(error("invalid_api_key", f"Incorrect API key provided: {KEY}"), 401)) as (provider, _):
        with pytest.raises(Misconfigured) as caught:
            await provider.call(HELLO)
        assert KEY not in provider.identity
    assert KEY not in str(caught.value)
    assert "[key]" in str(caught.value)


async def test_lone_surrogates_in_a_reply_do_no_harm() -> None:
    async def reply(_request: web.Request, _raw: bytes) -> web.StreamResponse:
        return web.Response(body=json.dumps(choice(content="a \ud83d b")).encode(), content_type="application/json")

    async with endpoint(reply) as (provider, _):
        assert (await provider.call(HELLO)).text == "a ? b"


async def test_the_usage_of_a_body_of_a_wrong_shape_is_known() -> None:
    async with endpoint(says({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 900}})) as (provider, _):
        with pytest.raises(Transient) as caught:
            await provider.call(HELLO)
    assert caught.value.usage is not None
    assert caught.value.usage.tokens_out == 900


async def test_a_key_that_a_redirect_repeats_is_cut_out() -> None:
    async def redirects(request: web.Request, _: bytes) -> web.StreamResponse:
        return web.Response(status=302, headers={"location": f"https://login.example/?token={KEY}"})

    async with endpoint(redirects) as (provider, _):
        with pytest.raises(Misconfigured) as caught:
            await provider.call(HELLO)
    assert "https://login.example/" in str(caught.value)
    assert KEY not in str(caught.value)


async def test_an_endpoint_that_takes_neither_of_two_names_is_not_asked_for_ever() -> None:
    async def refuses(_: web.Request, raw: bytes) -> web.StreamResponse:
        if "max_completion_tokens" in json.loads(raw):
            return web.json_response({"error": {"message": "Unknown parameter: 'max_completion_tokens'."}}, status=400)
        words = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        return web.json_response({"error": {"message": words}}, status=400)

    async with endpoint(refuses, timeout=5.0) as (provider, bodies):
        with pytest.raises(ProviderError, match="max_tokens"):
            await provider.call(HELLO)
    assert len(bodies) < 10


async def test_a_refusal_in_a_part_of_the_content_is_text() -> None:
    message = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I won't."}]}
    async with endpoint(says({"choices": [{"finish_reason": "stop", "message": message}]})) as (provider, _):
        assert (await provider.call(HELLO)).text == "I won't."


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "no credit"),
        ({"code": 402, "message": "Payment required"}, "no credit"),
        ({"object": "error", "message": "The model `m` does not exist.", "code": 404}, "check `model`"),
    ],
)
async def test_an_error_in_the_place_of_an_answer_says_what_to_do(body: object, words: str) -> None:
    async with endpoint(says(body)) as (provider, _):
        with pytest.raises(Misconfigured, match=words):
            await provider.call(HELLO)


@pytest.mark.parametrize(
    "body",
    [
        {"choices": None, "input_sensitive": True, "base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}},
        {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."},
    ],
)
async def test_a_block_in_the_place_of_an_answer_is_one(body: object) -> None:
    async with endpoint(says(body)) as (provider, _):
        assert (await provider.call(HELLO)).block == Block("request")


async def test_a_limit_told_within_a_200_used_nothing() -> None:
    async with endpoint(says({"error": {"code": 429, "message": "Rate limit exceeded"}})) as (provider, _):
        with pytest.raises(RateLimited) as caught:
            await provider.call(HELLO)
    assert caught.value.usage is None
