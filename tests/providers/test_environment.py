"""Mistakes of the environment: the variable is named, its password is not, and nobody is sent to bench.toml for it."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import forked
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream
from unisafe_providers.base import BadEnvironment, Capabilities, Misconfigured, ProviderError, Request, Text, Transient
from unisafe_providers.environment import hide_credentials, load_certificates
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from vendors import KEY, openai

HELLO = Request(kind="chat", parts=(Text("hello"),))
PASSWORD = "pass-planted"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir", "requests_ca_bundle")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No such variable is set, and certificates are read anew."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    load_certificates.cache_clear()
    yield
    load_certificates.cache_clear()


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def asked(url: str, times: int = 1) -> list[str]:
    async with OpenAICompatible("m", url, KEY, Capabilities()) as provider:
        return [(await provider.call(HELLO)).text for _ in range(times)]


# ---------------------------------------------------------------- variables of a wrong form


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ALL_PROXY", f"socks://u:{PASSWORD}@127.0.0.1:1080/", "ALL_PROXY=socks://127.0.0.1:1080: SOCKS"),
        ("all_proxy", f"socks5://u:{PASSWORD}@127.0.0.1:1080", "all_proxy=socks5://127.0.0.1:1080: SOCKS"),
        ("HTTP_PROXY", "socks5h://127.0.0.1:1080", "HTTP_PROXY=socks5h://127.0.0.1:1080: SOCKS"),
        ("HTTPS_PROXY", f"http://u:{PASSWORD}@127.0.0.1:port", "HTTPS_PROXY=http://127.0.0.1:port: is no proxy's address"),
        ("http_proxy", f"u:{PASSWORD}@[::1", "http_proxy=[::1: is no proxy's address"),
        ("HTTP_PROXY", f"ftp://u:{PASSWORD}@127.0.0.1:1", "HTTP_PROXY=ftp://127.0.0.1:1: is no proxy's address"),
        ("SSL_CERT_FILE", "/no/such.pem", "SSL_CERT_FILE=/no/such.pem: there is no such file"),
        ("SSL_CERT_FILE", "/", "SSL_CERT_FILE=/: is a folder"),
        ("SSL_CERT_FILE", __file__, f"SSL_CERT_FILE={__file__}: holds no certificate in PEM"),
        ("SSL_CERT_DIR", "/no/such", "SSL_CERT_DIR=/no/such: there is no such folder"),
    ],
)
async def test_a_variable_that_cannot_be_used_is_named(name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadEnvironment) as told:
        await asked("http://127.0.0.1:1/v1")
    assert str(told.value).startswith(words)
    assert PASSWORD not in str(told.value)


@pytest.mark.parametrize(
    "variables",
    [
        {"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "127.0.0.1,[::1],fd00::/8"},
        {"ALL_PROXY": "socks://127.0.0.1:1", "NO_PROXY": "*"},
        {"HTTP_PROXY": "", "ALL_PROXY": ""},
        {"HTTPS_PROXY": "http://127.0.0.1:1"},
        {"REQUESTS_CA_BUNDLE": "/no/such.pem"},
        {"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""},
    ],
)
async def test_a_variable_that_is_not_used_keeps_nobody(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    async with openai.OpenAIServer(openai.completion("hi")) as server:
        assert await asked(server.url) == ["hi"]


@pytest.mark.parametrize(
    ("value", "told"),
    [("http://u:p/w@h:1/x?y", "http://h:1"), ("u:p@h", "h"), ("h:1", "h:1"), ("http://u:p://@h", "http://h"), ("", "")],
)
def test_an_address_is_shown_without_its_credentials(value: str, told: str) -> None:
    assert hide_credentials(value) == told


# ---------------------------------------------------------------- proxies that are there, and are not


@asynccontextmanager
async def proxy(answer: str, *, ends_after: int = 100) -> AsyncIterator[int]:
    """A port that gives every connection this answer; after so many it is closed."""
    left = ends_after

    async def serve(stream: SocketStream) -> None:
        nonlocal left
        left -= 1
        async with stream:
            await stream.receive()
            await stream.send(f"HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode())
        if left == 0:
            group.cancel_scope.cancel()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield int(listener.extra(SocketAttribute.local_port))
        group.cancel_scope.cancel()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_down_stops_the_model_at_its_first_call(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = closed_port()
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://u:{PASSWORD}@127.0.0.1:{port}")
    with pytest.raises(BadEnvironment) as told:
        await asked(f"{scheme}://127.0.0.1:1/v1")
    assert str(told.value).startswith(f"{scheme.upper()}_PROXY=http://127.0.0.1:{port}: the proxy cannot be reached")
    assert PASSWORD not in str(told.value)


async def test_a_proxy_that_goes_down_later_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with openai.OpenAIServer(openai.completion("hi")) as server:
        monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
        async with OpenAICompatible("m", "http://127.0.0.1:1/v1", KEY, Capabilities()) as provider:
            assert (await provider.call(HELLO)).text == "hi"
            await server.__aexit__(None, None, None)
            for _ in range(2):  # the first finds the connection that was kept open closed
                with pytest.raises(Transient) as told:
                    await provider.call(HELLO)
    assert not isinstance(told.value, BadEnvironment)
    assert told.value.unreachable
    assert "http_proxy=http://127.0.0.1" in str(told.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ("407 Proxy Authentication Required", BadEnvironment, "wants a name and a password (407)"),
        ("502 Bad Gateway", Transient, "502"),
    ],
)
async def test_what_a_proxy_answers_is_told_as_the_proxys(
    scheme: str, answer: str, kind: type[ProviderError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy(answer) as port:
        monkeypatch.setenv("ALL_PROXY", f"http://u:{PASSWORD}@127.0.0.1:{port}")
        with pytest.raises(kind) as told:
            await asked(f"{scheme}://127.0.0.1:1/v1")
    assert words in str(told.value)
    assert PASSWORD not in str(told.value)
    if kind is BadEnvironment:
        assert str(told.value).startswith(f"ALL_PROXY=http://127.0.0.1:{port}: ")
        assert "key_env" not in str(told.value)


async def test_a_proxy_that_does_not_allow_the_host_stops_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy("403 Forbidden by policy") as port:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
        with pytest.raises(BadEnvironment, match=rf"HTTPS_PROXY=127.0.0.1:{port}: .* \(403: Forbidden by policy\).*NO_PROXY"):
            await asked("https://127.0.0.1:1/v1")


# ---------------------------------------------------------------- certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a certificate of 127.0.0.1 that is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=x",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    (folder / "both.pem").write_bytes((folder / "key.pem").read_bytes() + (folder / "certificate.pem").read_bytes())
    return folder / "both.pem"


async def test_a_certificate_that_is_not_trusted_stops_the_model_and_names_the_variable(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    body = json.dumps(openai.completion("hi").body).encode()
    answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"

    async def serve(stream: SocketStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError, ssl.SSLError):  # who does not trust the certificate leaves
                async with await TLSStream.wrap(stream, server_side=True, ssl_context=context) as secured:
                    await secured.receive()
                    await secured.send(answer % (len(body), body))

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        url = f"https://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/v1"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        with pytest.raises(Misconfigured) as told:
            await asked(url)
        for words in ("is not trusted here", "in SSL_CERT_FILE", "REQUESTS_CA_BUNDLE is not looked at", "self"):
            assert words in str(told.value)
        load_certificates.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await asked(url) == ["hi"]
        monkeypatch.delenv("SSL_CERT_FILE")  # what was read of it stays trusted, and JSON goes straight to aiohttp
        assert await asked(url) == ["hi"]
        group.cancel_scope.cancel()


# ---------------------------------------------------------------- as a user sees it


BENCH = """
[dataset]
limit = 40
[judge]
provider = "{judge}"
model = "judge"
{url}
[[models]]
name = "balanced"
provider = "{model}"
model = "balanced"
"""
URL = 'base_url = "http://127.0.0.1:1/v1"'


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1080"),
        ("HTTP_PROXY", f"http://u:{PASSWORD}@127.0.0.1:1"),
        ("SSL_CERT_FILE", "/no/such.pem"),
    ],
)
def test_a_run_names_the_variable_and_not_its_file(tmp_path: Path, variable: str, value: str) -> None:
    environment = {name: text for name, text in os.environ.items() if name.lower() not in NAMES} | {variable: value}
    (tmp_path / "bench.toml").write_text(BENCH.format(judge="simulated", model="vllm", url="") + URL)
    done = forked.unisafe("run", cwd=tmp_path, env=environment, timeout=20)
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("balanced stopped:")]
    assert line.startswith(f"balanced stopped: {variable}=")
    assert "base_url" not in line
    (tmp_path / "bench.toml").write_text(BENCH.format(judge="vllm", model="simulated", url=URL))
    done = forked.unisafe("run", cwd=tmp_path, env=environment, timeout=20)
    assert variable in done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert "bench.toml" not in done.stderr
    assert done.returncode == (1 if variable == "HTTP_PROXY" else 2)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1080", "ALL_PROXY=socks://127.0.0.1:1080: SOCKS"),
        ("SSL_CERT_FILE", "/no/such.pem", "SSL_CERT_FILE=/no/such.pem: there is no such file"),
        ("HF_ENDPOINT", "nonsense", "HF_ENDPOINT=nonsense: should be an address"),
        ("http_proxy", f"http://u:{PASSWORD}@127.0.0.1:1", "the proxy (http_proxy=http://127.0.0.1:1)"),
        ("HF_HOME", "/dev/null/x", "name a folder that can be written in HF_HOME"),
    ],
)
def test_a_dataset_of_the_hub_names_the_variable(tmp_path: Path, variable: str, value: str, words: str) -> None:
    environment = {name: text for name, text in os.environ.items() if name.lower() not in NAMES}
    done = forked.unisafe(
        "data",
        "check",
        "hf:a/b",
        cwd=tmp_path,
        env=environment | {"HF_ENDPOINT": "http://127.0.0.1:1", variable: value},
        timeout=60,
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert PASSWORD not in done.stderr
    assert "Traceback" not in done.stderr
