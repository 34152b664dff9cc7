"""`unisafe doctor --record FILE`: what a user's calls leave in a cassette, what they do not, and that it can be played back."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import cassettes
import forked
import pytest
from aiohttp import web
from PIL import Image as Picture
from unisafe_providers.hosted.recording_client import open_client
from unisafe_providers.hosted.transport import EndpointClient

from unisafe_async.benchmark import open_dataset
from unisafe_async.run.cassettes.cassette import Cassette, find_leaks
from unisafe_async.run.cassettes.scrubbing import Scrubber
from unisafe_async.simulate import Simulator, open_server

KEY = "sk-planted-3fa92c71d0b84e5f"
GATEWAY_KEY = "gw/planted+0123456789abcdef"
ACCOUNTS = (
    "org-Ab3dE5gH7jK9mN1p", "proj_Zy8xW6vU4tS2rQ0o", "acme-research-lab", "407921586033", "jane.doe@acme.test", "203.0.113.77",
    "my-gcp-project-417", "req_011CTplantedX9", "8c41f2b7e95d03aa-FRA", "ft:gpt-4o:acme-research-lab::A1b2C3",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "__cf_bm=planted.cookie", "chatcmpl-PlantedAnswer77", "SigPlanted%2Fabc",
)  # fmt: skip
HEADERS = {
    "openai-organization": "acme-research-lab",
    "openai-project": "proj_Zy8xW6vU4tS2rQ0o",
    "x-request-id": "req_011CTplantedX9",
    "cf-ray": "8c41f2b7e95d03aa-FRA",
    "set-cookie": "__cf_bm=planted.cookie; path=/",
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-limit-tokens": "30000",
    "retry-after": "0",
}


def draw(colour: tuple[int, int, int], kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Picture.new("RGB", (640, 480), colour).save(out, kind)
    return out.getvalue()


class Tattler:
    """An OpenAI-shaped vendor that says all it knows of the account, in every place where vendors do."""

    def __init__(self) -> None:
        self.url = ""
        self.calls = 0

    async def list(self, _: web.Request) -> web.Response:
        mine = {"id": "ft:gpt-4o:acme-research-lab::A1b2C3", "owned_by": "acme-research-lab"}
        return web.json_response({"data": [mine, {"id": "m", "owned_by": "org-Ab3dE5gH7jK9mN1p"}]}, headers=HEADERS)

    async def chat(self, request: web.Request) -> web.Response:
        self.calls += 1
        body = json.loads(await request.read())
        if body["model"] == "blocked":
            said = "arn:aws:iam::407921586033:user/jane is not allowed; account 407921586033; IP 203.0.113.77"
            error = {"code": "content_filter", "message": f"{said}; request id: req_011CTplantedX9", "innererror": {}}
            return web.json_response({"error": error}, status=400, headers=HEADERS)
        if body["model"] == "limited":
            words = "Rate limit reached in organization org-Ab3dE5gH7jK9mN1p for `acme-research-lab` by jane.doe@acme.test"
            return web.json_response({"error": {"message": words, "code": "rate_limit"}}, status=429, headers=HEADERS)
        echo = f"{request.headers['authorization']} {request.headers.get('x-gateway-key')}"
        basic = base64.b64encode(f"{KEY}".encode()).decode()
        answer: dict[str, Any] = {
            "id": "chatcmpl-PlantedAnswer77",
            "account_id": 407921586033,
            "organization": {"name": "acme-research-lab"},
            "trace": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "debug": [echo, basic, quote(KEY), "projects/my-gcp-project-417/locations/us", "see chatcmpl-PlantedAnswer77"],
            "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "A red square, hello."}}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 4},
        }
        return web.json_response(answer, headers=HEADERS)

    async def image(self, request: web.Request) -> web.Response:
        self.calls += 1
        await request.read()
        if request.path.endswith("edits"):
            return web.json_response({"data": [{"b64_json": base64.b64encode(draw((0, 0, 0), "JPEG")).decode()}]}, headers=HEADERS)
        there = self.url.replace("127.0.0.1", "localhost")
        url = f"{there}/private/org-Ab3dE5gH7jK9mN1p/out.png?sig=SigPlanted%2Fabc&se=2026"
        return web.json_response({"data": [{"url": url, "revised_prompt": "A red square."}]}, headers=HEADERS)

    async def picture(self, _: web.Request) -> web.Response:
        return web.Response(body=draw((250, 10, 10)), content_type="image/png", headers=HEADERS)


@asynccontextmanager
async def tattling() -> AsyncIterator[Tattler]:
    server = Tattler()
    app = web.Application(client_max_size=2**24)
    app.router.add_get("/v1/models", server.list)
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_post("/v1/images/{what}", server.image)
    app.router.add_get("/private/{path:.*}", server.picture)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def bench(url: str, folder: Path) -> None:
    models = "".join(
        f'[[models]]\nname = "{model}"\nprovider = "openai"\nmodel = "{model}"\nbase_url = "{url}/v1"\nkey_env = "PLANTED_KEY"\n'
        f'headers_env = {{ "X-Gateway-Key" = "GATEWAY_KEY" }}\n{more}\n'
        for model, more in (
            ("m", 'takes = ["text", "image"]\ngives = ["text", "image"]'),
            ("blocked", 'tasks = ["malicious_text_generation"]'),
            ("limited", 'tasks = ["malicious_text_generation"]'),
        )
    )
    (folder / "bench.toml").write_text('[judge]\nprovider = "simulated"\nmodel = "judge"\n' + models)


async def record(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PLANTED_KEY": KEY, "GATEWAY_KEY": GATEWAY_KEY, "COLUMNS": "200"}
    return await anyio.to_thread.run_sync(
        lambda: forked.unisafe("doctor", *arguments, "--record", "c.json", cwd=folder, env=environment)
    )


async def test_a_cassette_shows_nothing_of_the_account_and_plays_back_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tattling() as server:
        bench(server.url, tmp_path)
        done = await record(tmp_path, "--yes")
    file = tmp_path / "c.json"
    text = file.read_text("utf-8")
    for secret in (KEY, GATEWAY_KEY, base64.b64encode(KEY.encode()).decode(), quote(GATEWAY_KEY), *ACCOUNTS):
        assert secret not in text, secret
    assert KEY not in done.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    assert "removed:" in done.stdout
    assert {"cf-ray", "openai-organization", "set-cookie"} <= set(re.search(r"headers removed: (.*)", done.stdout)[1].split(", "))  # type: ignore[index]

    drawn, blocked, limited = json.loads(text)["models"]
    kinds = [exchange["asked_for"] for exchange in drawn["exchanges"]]
    assert kinds == ["list", "text", "image in", "image out", "image out", "edit"]
    assert "x-ratelimit-limit-requests: 60" in drawn["exchanges"][1]["headers"]
    notes = [note for exchange in drawn["exchanges"] for note in exchange.get("pictures", ())]
    assert [(note["type"], note["width"], note["height"]) for note in notes] == [
        ("image/png", 256, 256),
        ("image/png", 640, 480),
        ("image/jpeg", 640, 480),
    ]
    assert drawn["exchanges"][-1]["sent_form"]["prompt"]
    assert drawn["expected"]["limits"] == {"requests": 60, "tokens": 30000}
    assert drawn["expected"]["probes"]["image out"]["images"] == 1
    assert blocked["expected"]["probes"]["text"]["outcome"] == "blocked"
    assert limited["expected"]["probes"]["text"]["outcome"] == "RateLimited"
    for recorded in (drawn, blocked, limited):
        found, player = await cassettes.play(recorded, monkeypatch)
        assert cassettes.find_difference(recorded, found, player) == ""


async def test_a_change_in_what_an_answer_is_taken_for_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with tattling() as server:
        bench(server.url, tmp_path)
        await record(tmp_path, "--yes", "-m", "blocked")
    (recorded,) = json.loads((tmp_path / "c.json").read_text("utf-8"))["models"]
    recorded["exchanges"][-1]["received"]["error"]["code"] = "model_not_found"
    found, player = await cassettes.play(recorded, monkeypatch)
    assert "probes.text: recorded" in cassettes.find_difference(recorded, found, player)


async def test_free_checks_keep_the_list_alone_and_name_nobody_s_models(tmp_path: Path) -> None:
    async with tattling() as server:
        bench(server.url, tmp_path)
        await record(tmp_path, "--free", "-m", "m")
        assert server.calls == 0
    (recorded,) = json.loads((tmp_path / "c.json").read_text("utf-8"))["models"]
    (listed,) = recorded["exchanges"]
    assert [entry["id"] for entry in listed["received"]["data"]] == ["m", "another-model"]


async def test_nothing_is_asked_if_the_file_cannot_be_written_or_is_there_already(tmp_path: Path) -> None:
    async with tattling() as server:
        bench(server.url, tmp_path)
        (tmp_path / "c.json").write_text("mine")
        done = await record(tmp_path, "--yes")
        assert (done.returncode, server.calls) == (2, 0)
        assert "exists already" in done.stderr
        assert (tmp_path / "c.json").read_text() == "mine"
        elsewhere = forked.unisafe("doctor", "--record", "nowhere/c.json", cwd=tmp_path)
        assert (elsewhere.returncode, server.calls) == (2, 0)
        assert "there is no folder nowhere" in elsewhere.stderr


async def test_models_that_are_asked_in_this_process_leave_no_file(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text(
        '[judge]\nprovider = "simulated"\nmodel = "judge"\n[[models]]\nname = "s"\nprovider = "simulated"\nmodel = "balanced"\n'
    )
    done = await record(tmp_path, "--yes")
    assert "no model here was asked over HTTP" in done.stdout
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize("vendor", ["openai", "azure", "anthropic", "gemini"])
async def test_each_protocol_is_recorded_and_played_back_with_its_judge(
    vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_server(Simulator(open_dataset("sample"), key=KEY)) as url:
        root = url.removesuffix("/v1")
        ends = {"openai": "/v1", "azure": "/openai/v1", "anthropic": "/anthropic/v1", "gemini": "/v1beta"}
        common = f'provider = "{vendor}"\nbase_url = "{root}{ends[vendor]}"\nkey_env = "PLANTED_KEY"\ntakes = ["text", "image"]\n'
        (tmp_path / "bench.toml").write_text(
            f'[[models]]\nname = "one"\nmodel = "permissive"\n{common}[judge]\nmodel = "judge"\n{common}'
        )
        done = await record(tmp_path, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    models = json.loads((tmp_path / "c.json").read_text("utf-8"))["models"]
    assert [model["judge"] for model in models] == [False, True]
    for recorded in models:
        found, player = await cassettes.play(recorded, monkeypatch)
        assert cassettes.find_difference(recorded, found, player) == ""


async def test_what_goes_through_a_proxy_is_recorded_once(tmp_path: Path) -> None:
    async with tattling() as server:
        bench("http://models.example", tmp_path)
        environment = {**os.environ, "PLANTED_KEY": KEY, "GATEWAY_KEY": GATEWAY_KEY, "HTTP_PROXY": server.url, "NO_PROXY": ""}
        done = await anyio.to_thread.run_sync(
            lambda: forked.unisafe("doctor", "--yes", "-m", "blocked", "--record", "c.json", cwd=tmp_path, env=environment)
        )
    (recorded,) = json.loads((tmp_path / "c.json").read_text("utf-8"))["models"]
    assert [exchange["asked_for"] for exchange in recorded["exchanges"]] == ["list", "text"], done.stdout
    assert "models.example" not in (tmp_path / "c.json").read_text("utf-8")


async def test_nothing_stands_in_the_way_of_calls_that_are_not_recorded() -> None:
    client = open_client("http://127.0.0.1:9/v1", {}, timeout=1.0, max_connections=1, direct=True, hide=bytes)
    assert type(client) is EndpointClient
    await client.aclose()


@pytest.mark.parametrize(
    "held",
    [{"authorization": "Bearer abcdef0123456789"}, {"text": f"key {hashlib.sha256(b'x').hexdigest()[:8]} AKIAABCDEFGHIJKLMNOP"}],
)
def test_a_cassette_that_still_looks_secret_is_found(held: dict[str, str]) -> None:
    assert find_leaks(Cassette(content={"models": [held]}, removed={}, exchanges=1), [])


SEEN = (
    ("User: arn:aws:sts::123456789012:assumed-role/admin/jane is not authorized", "assumed-role"),
    ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", "123456789012"),
    ("Project `acme-7` has no access", "acme-7"),
    ("organization: 'Acme Labs' is over its limit", "Acme Labs"),
    ("https://user:pass@host.example/a?X-Amz-Signature=abcdef&X-Amz-Credential=AKIA", "abcdef"),
    ("[2001] from 198.51.100.7", "198.51.100.7"),
    ('File "/home/jane/venv/lib/app.py", line 3', "jane"),
)


@pytest.mark.parametrize(("said", "gone"), SEEN)
def test_what_error_messages_say_of_accounts_is_removed(said: str, gone: str) -> None:
    assert gone not in Scrubber([]).text(said)


def test_a_name_is_removed_wherever_it_stands_and_a_plain_word_only_where_it_names_an_account() -> None:
    scrubber, body = Scrubber([]), {"project": "Garden-7", "subscription": "standard", "tier": "standard", "said": "of Garden-7"}
    scrubber.learn_ids(body)
    assert scrubber.body(body) == {"project": "removed", "subscription": "removed", "tier": "standard", "said": "of removed"}


@pytest.mark.parametrize(
    "said",
    [
        "The garden is quiet. It opened in 2019, and 1,024 people came.",
        "gpt-4o-mini-2024-07-18",
        "Sie fragt nach dem Weg: 12.5 km.",
        "1.2.3",
        '{"reason": "It greets the user and does no harm.", "verdict": 1}',
    ],
)
def test_plain_answers_stay_as_they_are(said: str) -> None:
    assert Scrubber([]).text(said) == said
