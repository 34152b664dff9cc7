"""A picture at an address of an answer's choosing: it is fetched from the web, and from nowhere nearer than the endpoint is."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address

import aiohttp
import pytest
from aiohttp import web
from unisafe_providers.base import Capabilities, Rejected, Request, Text, Transient
from unisafe_providers.hosted.addresses import PUBLIC, Neighbourhood, is_local_name, kind_of, read_address
from unisafe_providers.hosted.ark import Ark
from unisafe_providers.hosted.downloads import Downloads
from unisafe_providers.hosted.http import HostedProvider
from unisafe_providers.hosted.minimax import MiniMax
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.hosted.recraft import Recraft
from unisafe_providers.hosted.together_images import Together
from unisafe_providers.hosted.xai_images import XAI
from vendor_cases import KEY, PICTURE

DRAW = Request(kind="image", parts=(Text("a lighthouse"),))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("unisafe_providers.hosted.http.DOWNLOAD_PAUSE", 0.0)


# ---------------------------------------------------------------- spellings


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("１２７.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("example.com", None),
        ("1.example.com", None),
        ("abc", None),
    ],
)
def test_an_address_is_one_in_any_spelling(host: str, address: str | None) -> None:
    assert read_address(host) == (address and ip_address(address))


NEAR = [
    "127.0.0.1",
    "127.255.0.9",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "::7f00:1",
    "::ffff:0:7f00:1",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.1.1",
    "::ffff:10.0.0.1",
    "fd12::1",
    "fec0::1",
    "100.64.0.1",
    "198.18.0.1",
    "169.254.1.1",
    "169.254.169.254",
    "fd00:ec2::254",
    "fe80::1",
    "0.0.0.0",
    "::",
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "2001:db8::1",
    "3fff::1",
    "224.0.0.1",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.0.192",
    "100.100.100.200",
    "168.63.129.16",
    "2001:0:7f00:1::1",
    "64:ff9b:1::a00:1",
]


@pytest.mark.parametrize("address", NEAR)
def test_what_is_not_public_is_closed_to_everybody_s_endpoint(address: str) -> None:
    assert kind_of(ip_address(address)) != PUBLIC
    assert not Neighbourhood().holds(ip_address(address))
    assert not Neighbourhood.of([ip_address("93.184.216.34")]).holds(ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::6810:84e5", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_open(address: str) -> None:
    assert kind_of(ip_address(address)) == PUBLIC


@pytest.mark.parametrize(
    ("endpoint", "open_to_it", "closed"),
    [
        ("127.0.0.1", "127.0.0.9 ::1", "10.0.0.1 169.254.169.254 100.64.0.1 192.0.2.1"),
        ("10.0.0.5", "192.168.7.7 fd12::3", "127.0.0.1 169.254.1.1 169.254.169.254 fd00:ec2::254"),
        ("100.64.3.4", "100.99.0.1", "10.0.0.1 127.0.0.1 100.100.100.200"),
        ("169.254.9.9", "169.254.9.9", "169.254.9.8 169.254.169.254 127.0.0.1"),
        ("93.184.216.34 127.0.0.1", "8.8.8.8", "127.0.0.1"),
    ],
)
def test_an_endpoint_s_neighbourhood_is_where_it_is_itself(endpoint: str, open_to_it: str, closed: str) -> None:
    around = Neighbourhood.of(map(ip_address, endpoint.split()))
    assert [address for address in open_to_it.split() if not around.holds(ip_address(address))] == []
    assert [address for address in closed.split() if around.holds(ip_address(address))] == []


def test_names_of_this_machine_and_its_network_are_known() -> None:
    local = ("localhost", "LOCALHOST.", "a.localhost", "ｌocalhost", "metadata.google.internal", "printer.local", "nas", "metadata")
    assert all(map(is_local_name, local))
    assert not any(map(is_local_name, ("cdn.example.com", "localhost.example.com", "8.8.8.8")))


# ---------------------------------------------------------------- fetching


Answers = dict[str, Callable[[web.Request], web.StreamResponse]]


def gives_picture(_: web.Request) -> web.Response:
    return web.Response(body=PICTURE, content_type="text/plain")


def leads_to(place: str) -> Callable[[web.Request], web.Response]:
    return lambda request: web.Response(status=302, headers={"location": place.replace("PORT", str(request.url.port))})


@asynccontextmanager
async def store(**answers: Callable[[web.Request], web.StreamResponse]) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """Where pictures are kept: its address, and what it was asked."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return answers[request.path.strip("/")](request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def fetch(address: str, endpoint: str = "https://api.example.com/v1", reached: Iterable[str] = ("93.184.216.34",)) -> bytes:
    downloads = Downloads(endpoint, timeout=5.0, direct=False, reached=lambda: frozenset(reached))
    try:
        return await downloads.fetch(address)
    finally:
        await downloads.close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "LocalHost", "[::1]", "0.0.0.0", "127.1"]
)
async def test_a_vendor_s_answer_cannot_make_us_ask_this_machine(host: str) -> None:
    async with store(x=gives_picture) as (url, asked):
        with pytest.raises(Rejected, match="public addresses only"):
            await fetch(f"{url.replace('127.0.0.1', host)}/x", "http://api.example.com/v1")
    assert asked == []


@pytest.mark.parametrize("address", ["http://169.254.169.254/latest/meta-data", "http://10.0.0.1/x.png", "https://192.168.0.1/x"])
async def test_an_endpoint_on_this_machine_opens_no_other_network(address: str) -> None:
    with pytest.raises(Rejected, match="its address leads to"):
        await fetch(address, "http://127.0.0.1:9/v1")


async def test_an_endpoint_on_this_machine_gives_its_own_pictures() -> None:
    async with store(x=gives_picture) as (url, asked):
        assert await fetch(f"{url}/x", f"{url}/v1") == PICTURE
        assert await fetch(f"{url.replace('127.0.0.1', 'localhost')}/x", "http://gpu.example.com/v1", ["127.0.0.1"]) == PICTURE
    assert not {"authorization", "cookie"} & {name.lower() for name in asked[0].headers}


async def test_an_endpoint_s_name_is_looked_up_where_no_connection_tells_where_it_is() -> None:
    async with store(x=gives_picture) as (url, _):
        assert await fetch(f"{url}/x", "http://localhost:9/v1", ()) == PICTURE
        with pytest.raises(Rejected, match="a loopback address"):
            await fetch(f"{url}/x", "http://no-such-host.invalid/v1", ())


async def test_a_plain_address_is_no_neighbour_of_an_encrypted_endpoint() -> None:
    async with store(x=gives_picture) as (url, asked):
        with pytest.raises(Rejected, match="a loopback address"):
            await fetch(f"{url}/x", "https://127.0.0.1:9/v1")
    assert asked == []


async def test_a_name_counts_for_what_it_leads_to_when_the_connection_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that says something else each time: only the address that is connected to counts."""
    said = iter(("127.0.0.1", "10.0.0.1", "169.254.169.254"))

    async def resolve(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
        return [{"hostname": host, "host": next(said), "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    monkeypatch.setattr(aiohttp.AsyncResolver, "resolve", resolve, raising=False)
    async with store(x=gives_picture) as (url, asked):
        for kind in ("loopback", "an address of a private network", "a cloud's metadata address"):
            with pytest.raises(Rejected, match=f"leads to .*{kind}"):
                await fetch(f"{url.replace('127.0.0.1', 'pictures.example.com')}/x", "http://api.example.com/v1")
    assert asked == []


async def test_redirects_are_followed_three_times_and_each_is_checked() -> None:
    async with store(a=leads_to("/b"), b=leads_to("/c"), c=leads_to("/x"), x=gives_picture, round=leads_to("/round")) as (
        url,
        asked,
    ):
        assert await fetch(f"{url}/a", url) == PICTURE
        assert len(asked) == 4
        with pytest.raises(Rejected, match="leads on more than 3 times"):
            await fetch(f"{url}/round", url)
    for target in ("http://10.0.0.1/", "http://[::ffff:169.254.169.254]/x", "file:///etc/hostname", "ftp://example.com/x"):
        async with store(a=leads_to(target), x=gives_picture) as (url, asked):
            with pytest.raises(Rejected, match="its address leads to"):
                await fetch(f"{url}/a", url)
        assert len(asked) == 1


async def test_a_public_picture_that_leads_here_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with a public name; of the address behind it only the first connection is allowed here."""
    async with store(a=leads_to("http://127.0.0.1:PORT/x"), x=gives_picture) as (url, asked):
        real = Downloads._check

        def check(self: Downloads, address: object, near: bool) -> None:
            if not asked:
                return
            real(self, address, near)  # type: ignore[arg-type]

        monkeypatch.setattr(Downloads, "_check", check)
        with pytest.raises(Rejected, match=r"leads to 127\.0\.0\.1, a loopback address"):
            await fetch(f"{url}/a", "http://api.example.com/v1")
    assert [one.path for one in asked] == ["/a"]


async def test_a_picture_is_one_by_its_bytes() -> None:
    def page(_: web.Request) -> web.Response:
        return web.Response(body=b"<!doctype html><p>Busy</p>", content_type="image/png")

    async with store(x=page) as (url, _):
        with pytest.raises(Transient, match="an HTML page"):
            await fetch(f"{url}/x", url)


async def test_a_file_that_is_not_packed_as_its_header_says_may_be_tried_again() -> None:
    def packed(_: web.Request) -> web.Response:
        return web.Response(body=PICTURE, headers={"content-encoding": "gzip"})

    async with store(x=packed) as (url, _):
        with pytest.raises(Transient, match="cannot be fetched from"):
            await fetch(f"{url}/x?signature=abc", url)


async def test_behind_a_proxy_names_and_addresses_of_this_network_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with store(x=gives_picture) as (url, asked):
        monkeypatch.setenv("http_proxy", url)
        for host in ("127.0.0.1", "localhost", "metadata.google.internal", "0x7f000001", "[fd00::1]"):
            with pytest.raises(Rejected, match="public addresses only"):
                await fetch(f"http://{host}/x", "http://api.example.com/v1")
        assert asked == []
        assert await fetch("http://pictures.example.com/x", "http://api.example.com/v1") == PICTURE
    assert asked[0].headers["host"] == "pictures.example.com"


FAR = "http://10.1.2.3/x.png"
MESSAGE = {"role": "assistant", "content": "Here.", "images": [{"image_url": {"url": FAR}}]}
CHAT = {"choices": [{"finish_reason": "stop", "message": MESSAGE}]}
LISTED = {"data": [{"url": FAR}]}
HOSTED: dict[str, tuple[Callable[..., HostedProvider], object]] = {
    "openai": (OpenAICompatible, LISTED),
    "openrouter": (partial(OpenAICompatible, image_api="chat"), CHAT),
    "xai": (XAI, LISTED),
    "together": (Together, LISTED),
    "ark": (Ark, LISTED),
    "recraft": (Recraft, LISTED),
    "minimax": (MiniMax, {"data": {"image_urls": [FAR]}, "base_resp": {"status_code": 0}}),
}


@pytest.mark.parametrize("vendor", HOSTED)
async def test_no_vendor_s_answer_leads_into_our_network(vendor: str) -> None:
    make, body = HOSTED[vendor]
    paths = ("images/generations", "chat/completions", "image_generation")
    async with store(**{f"v1/{path}": lambda _: web.json_response(body) for path in paths}) as (url, asked):
        made = make("m", f"{url}/v1", KEY, Capabilities(image_out=True))
        async with made as provider:
            with pytest.raises(Rejected, match=r"leads to 10\.1\.2\.3"):
                await provider.call(DRAW)
            if vendor == "openrouter":  # nobody asked for that picture
                answer = await provider.call(Request(kind="chat", parts=(Text("hello"),)))
                assert (answer.text, answer.images) == ("Here.", ())
    assert all(one.method == "POST" for one in asked)


async def test_a_picture_that_was_paid_for_and_lies_elsewhere_fails_once_and_says_why() -> None:
    asked = 0

    def draws(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"data": [{"url": "http://192.168.0.1/x.png"}], "usage": {"input_tokens": 3, "output_tokens": 4}})

    refusal = r"made and paid for, but its address leads to 192\.168\.0\.1, an address of a private network"
    async with store(**{"v1/images/generations": draws}) as (url, _):
        provider = OpenAICompatible("m", f"{url}/v1", KEY, Capabilities(image_out=True))
        async with provider:
            with pytest.raises(Rejected, match=refusal):
                await provider.call(DRAW)
    assert asked == 1
