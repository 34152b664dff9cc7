"""The way to an endpoint: what the environment changes about it, and answers that are hardly HTTP, whichever way they came."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import httpx2
import pytest
from unisafe_providers import Capabilities, Image, Limits, ProviderError, Request, Response, Text
from unisafe_providers.base import Malformed, RateLimited, Rejected, Timeout, Transient
from unisafe_providers.hosted.http import HostedProvider
from unisafe_providers.hosted.openai_compatible import OpenAICompatible

KEY = "sk-planted-0123456789abcdef"
HELLO = Request(kind="chat", parts=(Text("hello"),))
BODY = json.dumps({"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}]}).encode()
LENGTH = b"content-length: %d\r\n" % len(BODY)
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR4nGOoWHACK2IYWhIAz3p4Aasum28AAAAASUVORK5CYII=")
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")
WAYS = pytest.mark.parametrize("way", ["straight", "through a proxy"])


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No such variable is set."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass
class Wire:
    """A server that answers with bytes as they are.

    Attributes:
        asked: the heads of the requests.
        open, most_open: connections now, and at most.
    """

    port: int = 0
    asked: list[bytes] = field(default_factory=list)
    open: int = 0
    most_open: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@asynccontextmanager
async def wire(*answers: bytes | Callable[[bytes], bytes], closes: bool = True, host: str = "127.0.0.1") -> AsyncIterator[Wire]:
    """A Wire that gives `answers` in turn, the last one over and over; a connection ends after an answer if it `closes`."""
    server, left = Wire(), list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.open += 1
        server.most_open = max(server.most_open, server.open)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                server.asked.append(head)
                sent = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(sent.partition(b":")[2]))
                answer = left.pop(0) if len(left) > 1 else left[0]
                writer.write(answer(head) if callable(answer) else answer)
                await writer.drain()
                await asyncio.sleep(0)
                if closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            server.open -= 1
            writer.close()

    async with await asyncio.start_server(serve, host, 0) as listener:
        server.port = listener.sockets[0].getsockname()[1]
        yield server


@asynccontextmanager
async def provider_of(
    way: str, monkeypatch: pytest.MonkeyPatch, *answers: bytes | Callable[[bytes], bytes], closes: bool = True
) -> AsyncIterator[tuple[OpenAICompatible, Wire]]:
    """A provider whose JSON goes this way to a server with `answers`."""
    async with wire(*answers, closes=closes) as server:
        url = server.url
        if way == "through a proxy":
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
            url = "http://endpoint.invalid/v1"
        async with OpenAICompatible("m", url, KEY, Capabilities(), timeout=20.0) as provider:
            yield provider, server


async def failure_of(provider: OpenAICompatible) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await provider.call(HELLO)
    assert KEY not in str(caught.value)
    return caught.value


def ok(body: bytes = BODY, head: bytes = LENGTH, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\n" + head + b"\r\n" + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return ok(b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end, b"transfer-encoding: chunked\r\n")


# ---------------------------------------------------------------- which way


@pytest.mark.parametrize(
    ("url", "variables", "said"),
    [
        ("http://127.0.0.1:9/v1", {}, ""),
        ("https://127.0.0.1:9/v1", {}, ""),
        ("http://127.0.0.1:9/v1", {"HTTP_PROXY": "http://u:word@127.0.0.1:8"}, "HTTP_PROXY=http://127.0.0.1:8"),
        ("https://127.0.0.1:9/v1", {"https_proxy": "127.0.0.1:8"}, "https_proxy=127.0.0.1:8"),
        ("https://127.0.0.1:9/v1", {"ALL_PROXY": "http://127.0.0.1:8"}, "ALL_PROXY=http://127.0.0.1:8"),
        ("https://127.0.0.1:9/v1", {"HTTP_PROXY": "http://127.0.0.1:8"}, ""),
        ("http://127.0.0.1:9/v1", {"ALL_PROXY": "http://127.0.0.1:8", "NO_PROXY": "127.0.0.1"}, ""),
        ("http://127.0.0.1:9/v1", {"ALL_PROXY": "http://127.0.0.1:8", "NO_PROXY": "*"}, ""),
        ("http://127.0.0.1:9/v1", {"ALL_PROXY": "http://127.0.0.1:8", "NO_PROXY": "elsewhere"}, "ALL_PROXY=http://127.0.0.1:8"),
        ("https://127.0.0.1:9/v1", {"SSL_CERT_DIR": "/tmp"}, "SSL_CERT_DIR=/tmp"),
        ("http://127.0.0.1:9/v1", {"SSL_CERT_DIR": "/tmp"}, ""),
    ],
)
async def test_the_environment_s_proxy_or_certificates_lead_through_httpx2_and_the_run_says_so(
    url: str, variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    async with OpenAICompatible("m", url, KEY, Capabilities()) as provider:
        notes = provider.notes
    assert len(notes) == bool(said)
    assert all(note.endswith(f"because of {said}") and "httpx2" in note and "word" not in note for note in notes)


async def test_a_note_is_given_once_however_often_the_model_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:8")
    provider = OpenAICompatible("m", "http://127.0.0.1:9/v1", KEY, Capabilities())
    for _ in range(2):
        async with provider:
            pass
    assert len(provider.notes) == 1


@WAYS
async def test_the_same_request_arrives_whichever_way_it_goes(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(way, monkeypatch, ok()) as (provider, server):
        assert (await provider.call(HELLO)).text == "hi"
    (head,) = server.asked
    place, *headers = head.lower().strip().split(b"\r\n")
    assert place.split()[1].endswith(b"/v1/chat/completions")
    sent = dict(line.split(b": ", 1) for line in headers)
    assert sent[b"authorization"] == f"Bearer {KEY}".lower().encode()
    assert sent[b"content-type"] == b"application/json"
    assert b"gzip" in sent[b"accept-encoding"]


@pytest.mark.parametrize("name", ["[::1]", "localhost"])
async def test_an_endpoint_may_have_a_name_or_an_address_of_ipv6(name: str) -> None:
    async with wire(ok(), host=name.strip("[]")) as server, OpenAICompatible(
        "m", f"http://{name}:{server.port}/v1", KEY, Capabilities()
    ) as provider:  # fmt: skip
        assert (await provider.call(HELLO)).text == "hi"


# ---------------------------------------------------------------- answers that are hardly HTTP


@WAYS
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ok(status=b"200"), id="no words after the status"),
        pytest.param(ok(status=b"200 \xc3\x84h, well"), id="words of its own after the status"),
        pytest.param(ok(head=b""), id="a body that ends with the connection"),
        pytest.param(chunked(BODY[:7], BODY[7:]), id="a body in chunks"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + ok(), id="hints before the answer"),
        pytest.param(ok(head=LENGTH + b"x-name: caf\xe9\r\nx-name: caf\xc3\xa9\r\n"), id="headers in Latin-1"),
        pytest.param(ok(head=LENGTH + b"content-encoding: identity\r\n"), id="packed as it is"),
    ],
)
async def test_an_answer_is_read_however_its_server_writes_it(way: str, answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(way, monkeypatch, answer) as (provider, _):
        assert (await provider.call(HELLO)).text == "hi"


@WAYS
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", id="half a head"),
        pytest.param(ok(BODY[:20]), id="less than its length"),
        pytest.param(chunked(BODY[:20], end=b""), id="chunks without an end"),
        pytest.param(chunked(end=b"zz\r\n"), id="a chunk of no length"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="another protocol"),
        pytest.param(ok(b"\x1f\x8b\x08", b"content-encoding: gzip\r\ncontent-length: 3\r\n"), id="half a gzip"),
        pytest.param(ok(b"none", b"content-encoding: gzip\r\ncontent-length: 4\r\n"), id="no gzip"),
        pytest.param(lambda head: b"oops " + head.replace(b"\r\n", b" ") + b"\r\n\r\n", id="the request, key and all"),
    ],
)
async def test_an_answer_that_is_cut_short_or_broken_is_worth_another_try(
    way: str, answer: bytes | Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with provider_of(way, monkeypatch, answer) as (provider, _):
        error = await failure_of(provider)
    assert isinstance(error, Transient | Malformed)
    assert not isinstance(error, Timeout)
    assert not getattr(error, "unreachable", False)
    assert "\n" not in str(error)


@WAYS
async def test_a_connection_that_its_server_closed_meanwhile_costs_one_try_at_most(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with provider_of(way, monkeypatch, ok()) as (provider, server):
        answers: list[str] = []
        dropped: list[Transient] = []
        for _ in range(4):
            try:
                answers.append((await provider.call(HELLO)).text)
            except Transient as error:
                dropped.append(error)
            await asyncio.sleep(0)
    assert not [error for error in dropped if error.unreachable]
    assert answers.count("hi") >= 2
    assert len(server.asked) <= 4, "no request was sent twice by itself"


@WAYS
async def test_limits_and_waits_in_repeated_headers_are_read_alike(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = b"X-RateLimit-Limit-Requests: 60\r\nX-RateLimit-Remaining-Requests: 59\r\nx-ratelimit-limit-tokens: 5;w=60\r\nX-RateLimit-Limit-Tokens: 9\r\n"
    busy = ok(b"{}", b"content-length: 2\r\nRetry-After: 7\r\nx-note: a " + KEY.encode() + b"\r\n", b"429 Too Many Requests")
    async with provider_of(way, monkeypatch, ok(head=LENGTH + told), busy, closes=False) as (provider, _):
        await provider.call(HELLO)
        assert provider.reported == Limits(limit_requests=60, remaining_requests=59, limit_tokens=5)
        error = await failure_of(provider)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 7.0


# ---------------------------------------------------------------- connections and time


async def test_chats_and_forms_share_the_connections_that_a_model_may_have() -> None:
    drawn = json.dumps({"data": [{"b64_json": base64.b64encode(PNG).decode()}]}).encode()

    def answer(head: bytes) -> bytes:
        body = drawn if b"/images/" in head else BODY
        return ok(body, b"content-length: %d\r\n" % len(body))

    edit = Request(kind="edit", parts=(Image.from_bytes(PNG), Text("more light")))
    async with wire(answer, closes=False) as server:
        everything = Capabilities(image_in=True, image_out=True, edit=True)
        async with (
            OpenAICompatible("m", server.url, KEY, everything, max_connections=2) as provider,
            anyio.create_task_group() as calls,
        ):
            for request in [HELLO, edit] * 6:
                calls.start_soon(provider.call, request)
    assert (len(server.asked), server.most_open) == (12, 2)


async def test_all_that_a_plugin_s_answer_waits_for_is_within_the_timeout() -> None:
    class Sleepy(HostedProvider):
        async def _answer(self, request: Request) -> Response:
            await self._post("chat/completions", {"text": request.text})
            await anyio.sleep_forever()
            raise AssertionError

    async with wire(ok()) as server, Sleepy("sleepy", "m", server.url, KEY, {}, Capabilities(), timeout=0.2) as provider:
        with pytest.raises(Timeout, match=r"within 0\.2 s"):
            await provider.call(HELLO)


async def test_an_address_that_is_none_of_http_fails_its_item() -> None:
    async with OpenAICompatible("m", "ftp://127.0.0.1:9/v1", KEY, Capabilities()) as provider:
        error = await failure_of(provider)
    assert isinstance(error, Transient | Rejected)


# ---------------------------------------------------------------- headers of one call


class Signs(OpenAICompatible):
    """A provider each of whose calls has a header of its own, which depends on what is sent."""

    async def _authorize(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        return {"authorization": f"Signed {method} {url.partition('/v1/')[2]} {len(body)}"}

    async def _answer(self, request: Request) -> Response:
        answer = await self._post("model/arn%3Aaws%3Ax%2Fy%3A0/converse", {"text": request.text})
        url = f"{self.base_url}/jobs/arn%3Aaws%3Ax%2Fy"
        await self._send(httpx2.Request("PUT", url, content=b"{}", extensions=self._extensions))
        return self._read_chat_response(json.loads(answer.content), image_due=False)


@WAYS
async def test_what_a_call_is_signed_for_is_what_is_sent(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with wire(ok(), closes=False) as server:
        url = server.url
        if way == "through a proxy":
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
            url = "http://endpoint.invalid/v1"
        async with Signs("m", url, KEY, Capabilities()) as provider:
            assert (await provider.call(HELLO)).text == "hi"
    assert len(server.asked) == 2
    for head in server.asked:
        method, place, _ = head.decode().splitlines()[0].split()
        length = dict(line.lower().split(": ", 1) for line in head.decode().strip().splitlines()[1:])["content-length"]
        assert f"authorization: signed {method} {place.partition('/v1/')[2]} {length}".lower() in head.decode().lower()
        assert b"%2F" in head.split()[1], "a / within a name is none of the path"
