"""`unisafe doctor` on a bench.toml full of mistakes: each is found and said with what to change, before anything is paid for in
vain.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import forked
import pytest
from aiohttp import web

from unisafe_async.benchmark import open_dataset
from unisafe_async.simulate import Simulator, open_server

KEY = "sk-planted-7c2f9e1b"
ENTRY = """
[[models]]
name = "{name}"
provider = "openai"
model = "{model}"
base_url = "{url}/{name}/v1"
key_env = "{key}"
price_in = 1.0
price_out = 1.0
{more}
"""
GATEWAY_KEY = "gw-planted-0123456789"
LISTS = {
    "bare": (200, [{"id": "m", "type": "chat"}]),
    "folder": (200, {"models": [{"name": "accounts/fireworks/models/M"}]}),
    "tagged": (200, {"data": [{"id": "m:latest"}]}),
    "owned": (200, {"data": [{"id": "openai/m"}]}),
    "unlisted": (200, {"data": [{"id": "quite-another"}]}),
    "no-list": (404, {"error": "no such page"}),
    "restricted": (403, {"error": {"message": "You have insufficient permissions. Missing scopes: api.model.read."}}),
    "broken-list": (500, {"error": "oops"}),
    "empty-list": (200, {"data": []}),
}
SEES = 'takes = ["text", "image"]'
DRAWS = 'gives = ["text", "image"]'


class Planted:
    """An OpenAI-shaped server with a mistake at each address; `calls` counts what would have been paid for."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    async def list(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name == "wrong-key":
            return _error(401, "invalid_api_key", f"Incorrect API key provided: {request.headers.get('authorization')}")
        if name in LISTS:
            status, body = LISTS[name]
            return web.json_response(body, status=status)
        if name == "no-v1":
            return web.Response(status=404, text="page not found")
        if name == "paged":
            more = {"data": [{"id": "a"}], "has_more": True, "links": {"next": "/paged/v1/models?page=2"}}
            return web.json_response(more if "page" not in request.query else [{"id": "m"}])
        return web.json_response({"data": [{"id": "m"}, {"id": "mistral-large"}]})

    async def answer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.calls[name] += 1
        body = json.loads(await request.read()) if request.content_type == "application/json" else {}
        sees = "image_url" in json.dumps(body)
        if name == "no-v1":
            return web.Response(status=404, text="page not found")
        if name == "misspelled":
            return _error(404, "model_not_found", f"The model `{body['model']}` does not exist")
        if name == "retired":
            return _error(404, "model_not_found", "The model `m` has been deprecated; use m-2 instead")
        if name == "broke":
            return _error(429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details")
        if name == "elsewhere":
            return _error(403, "unsupported_country_region_territory", "Country, region, or territory not supported")
        if name == "blind" and sees:
            return _error(400, "invalid_request_error", "This model does not support image inputs")
        if name == "cannot-draw" and not request.path.endswith("/chat/completions"):
            return _error(404, "not_found", "Unknown path")
        if name == "passing" and self.calls[name] == 1:
            return web.json_response({"error": {"message": "loading"}}, status=503, headers={"retry-after": "0"})
        if name == "thinks":
            return _says("", finish="length", reasoning_content="First, the user")
        if name == "hidden":
            return _says("", reasoning_content="The user greets me. I say: red.")
        if name == "gateway" and request.headers.get("x-gateway-key") != GATEWAY_KEY:
            return _error(401, "invalid_api_key", "unknown gateway key")
        if name == "groq":
            return _says("red", {"x-ratelimit-limit-requests": "90"})
        if name == "azure-limits":
            windows = {"x-ratelimit-limit-requests": "10", "x-ratelimit-renewalperiod-requests": "10"}
            return _says("red", windows)
        if name == "judge-again":
            return _says('{"reason": "a garden", "verdict": 1}' if self.calls[name] % 2 else "I would rather not say.")
        if name == "judge":
            return _says("I would rather not say a number.")
        headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-limit-tokens": "30000"} if name == "too-fast" else {}
        return _says("red", headers)


def _says(text: str, headers: dict[str, str] | None = None, finish: str = "stop", **more: str) -> web.Response:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **more}}
    return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}, headers=headers)


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": code, "type": code}}, status=status)


@asynccontextmanager
async def planted() -> AsyncIterator[tuple[str, Planted]]:
    server = Planted()
    app = web.Application()
    app.router.add_get("/{name}/v1/models", server.list)
    app.router.add_post("/{name}/v1/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", server
    finally:
        await runner.cleanup()


async def doctor(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PLANTED_KEY": KEY, "GATEWAY_KEY": GATEWAY_KEY, "COLUMNS": "200"}
    environment.pop("NO_SUCH_KEY", None)
    return await anyio.to_thread.run_sync(lambda: forked.unisafe("doctor", *arguments, cwd=folder, env=environment))


def of(output: str, name: str) -> str:
    """The lines about one model, as one."""
    lines, taken = [], False
    for line in output.splitlines():
        if line[1:2].strip():
            taken = line.strip().startswith(name)
        if taken:
            lines.append(line)
    return " ".join(" ".join(lines).split())


MISTAKES = {
    "no-key": ("PLANTED", "NO_SUCH_KEY", "", "key WRONG key_env: the variable NO_SUCH_KEY is not set"),
    "wrong-key": ("m", "PLANTED_KEY", "", "refused the key (401)"),
    "nobody": ("m", "PLANTED_KEY", "", "check base_url, and that the server runs"),
    "no-v1": ("m", "PLANTED_KEY", "", "text WRONG not found (404)"),
    "misspelled": ("mistral-larg", "PLANTED_KEY", "", "did you mean mistral-large?"),
    "retired": ("m", "PLANTED_KEY", "", "use m-2 instead"),
    "broke": ("m", "PLANTED_KEY", "", "no credit left"),
    "elsewhere": ("m", "PLANTED_KEY", "", "region"),
    "blind": ("m", "PLANTED_KEY", SEES, 'take "image" out of takes'),
    "cannot-draw": ("m", "PLANTED_KEY", DRAWS, 'take "image" out of gives, or set image_api'),
    "too-fast": ("m", "PLANTED_KEY", "rpm = 500", "bench.toml allows more than the endpoint (rpm 60, tpm 30,000); put rpm = 60"),
}


async def test_ten_mistakes_and_one_more_are_found(tmp_path: Path) -> None:
    async with planted() as (url, server):
        entries = [
            ENTRY.format(name=name, model=model, url="http://127.0.0.1:9" if name == "nobody" else url, key=key, more=more)
            for name, (model, key, more, _) in MISTAKES.items()
        ]
        judge = ENTRY.format(name="judge", model="m", url=url, key="PLANTED_KEY", more="").replace("[[models]]", "[judge]")
        judge = "\n".join(line for line in judge.splitlines() if not line.startswith("name"))
        (tmp_path / "bench.toml").write_text(judge + "".join(entries))
        done = await doctor(tmp_path, "--yes")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    for name, (_, _, _, words) in MISTAKES.items():
        assert words in of(done.stdout, name), f"{name}: {of(done.stdout, name)}"
    assert "contextual WRONG the judge's reply names no verdict" in of(done.stdout, "judge m")
    assert server.calls["wrong-key"] == server.calls["no-key"] == 0
    assert "tiny calls, $0." in done.stdout


RIGHT = {
    "bare": ("", "model ok m is listed"),
    "folder": ("", "model ok m is listed as accounts/fireworks/models/M"),
    "tagged": ("", "model ok m is listed as m:latest"),
    "owned": ("", "model ok m is not listed, but it answers"),
    "paged": ("", "model ok m is listed"),
    "unlisted": ("", "model ok m is not listed, but it answers"),
    "no-list": ("", "model - cannot be checked without a call: the endpoint lists no models (404)"),
    "restricted": ("", "model - cannot be checked without a call"),
    "broken-list": ("", "answers, though not with a list of models"),
    "empty-list": ("", "list of models is empty"),
    "passing": ("", 'text ok "red"'),
    "thinks": ("", "text ok it thinks first: 256 tokens end before its first word, and a run leaves it 1,024"),
    "gateway": (
        'headers = { "X-Title" = "bench" }\nheaders_env = { "X-Gateway-Key" = "GATEWAY_KEY" }',
        "key ok GATEWAY_KEY is set",
    ),
    "azure-limits": ("rpm = 60\ntpm = 9000", "limits ok the endpoint reports rpm 60"),
}


async def test_no_right_configuration_is_called_wrong(tmp_path: Path) -> None:
    """Lists in every shape or none, a model that thinks first, a server that is still loading, a gateway, limits of ten seconds."""
    async with planted() as (url, _server):
        entries = [ENTRY.format(name=name, model="m", url=url, key="PLANTED_KEY", more=more) for name, (more, _) in RIGHT.items()]
        deployment = ENTRY.format(name="azure", model="mine", url=url, key="PLANTED_KEY", more="")
        entries.append(deployment.replace('provider = "openai"', 'provider = "azure"'))
        daily = ENTRY.format(name="groq", model="m", url=url, key="PLANTED_KEY", more="rpm = 100")
        entries.append(daily.replace('provider = "openai"', 'provider = "groq"'))
        judge = ENTRY.format(name="judge-again", model="m", url=url, key="PLANTED_KEY", more='takes = ["text"]')
        judge = "\n".join(line for line in judge.replace("[[models]]", "[judge]").splitlines() if not line.startswith("name"))
        (tmp_path / "bench.toml").write_text('[dataset]\ntasks = ["malicious_text_generation"]\n' + judge + "".join(entries))
        done = await doctor(tmp_path, "--yes")
    assert "WRONG" not in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert GATEWAY_KEY not in done.stdout + done.stderr
    for name, (_, words) in RIGHT.items():
        assert words in of(done.stdout, name), f"{name}: {of(done.stdout, name)}"
    assert "none per minute in its headers" in of(done.stdout, "groq")
    assert "not your deployments" in of(done.stdout, "azure")
    assert "when it is asked again" in of(done.stdout, "judge m")


async def test_only_the_kinds_of_request_that_a_run_makes_are_tried(tmp_path: Path) -> None:
    """A model that only draws is not asked to chat, and one whose answers are all thoughts is found."""
    async with planted() as (url, server):
        draws = ENTRY.format(name="cannot-draw", model="m", url=url, key="PLANTED_KEY", more='gives = ["image"]')
        limited = ENTRY.format(
            name="draws-only", model="m", url=url, key="PLANTED_KEY", more=DRAWS + '\ntasks = ["unsafe_t2i_generation"]'
        )
        hidden = ENTRY.format(name="hidden", model="m", url=url, key="PLANTED_KEY", more="")
        judge = '[judge]\nprovider = "simulated"\nmodel = "judge"\n'
        (tmp_path / "bench.toml").write_text(judge + draws + limited + hidden)
        done = await doctor(tmp_path, "--yes")
    assert (server.calls["cannot-draw"], server.calls["draws-only"]) == (1, 1)
    assert done.returncode == 1
    assert "answers come in reasoning_content and hold no words" in of(done.stdout, "hidden")


async def test_a_variable_of_a_header_that_is_not_set_is_found(tmp_path: Path) -> None:
    more = 'headers_env = { "X-Gateway-Key" = "NO_SUCH_KEY" }'
    model = ENTRY.format(name="m", model="m", url="http://127.0.0.1:9", key="PLANTED_KEY", more=more)
    (tmp_path / "bench.toml").write_text('[judge]\nprovider = "simulated"\nmodel = "judge"\n' + model)
    done = await doctor(tmp_path, "--free")
    assert done.returncode == 1
    assert "headers_env.X-Gateway-Key: the variable NO_SUCH_KEY is not set" in of(done.stdout, "m")


UNFINISHED = """
[judge]
provider = "simulated"
model = "judge"

[[models]]
name = "bricks"
provider = "databricks"
model = "m"
base_url = "https://WORKSPACE.cloud.databricks.com/serving-endpoints"
key_env = "PLANTED_KEY"

[[models]]
name = "gate"
provider = "portkey"
model = "m"
"""


async def test_what_is_not_filled_in_yet_is_said_and_nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text(UNFINISHED)
    done = await doctor(tmp_path, "--free")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "address WRONG base_url: put yours in place of WORKSPACE" in of(done.stdout, "bricks")
    assert 'headers_env = { "x-portkey-api-key" = "PORTKEY_API_KEY" }' in of(done.stdout, "gate")


async def test_a_key_that_was_never_sent_is_not_called_wrong(tmp_path: Path) -> None:
    async with planted() as (url, _):
        entry = ENTRY.format(name="wrong-key", model="m", url=url, key="PLANTED_KEY", more="")
        entry = "\n".join(line for line in entry.splitlines() if not line.startswith("key_env"))
        (tmp_path / "bench.toml").write_text(UNFINISHED.partition("[[models]]")[0] + entry)
        done = await doctor(tmp_path, "--free")
    assert "no key was sent: name its variable in `key_env`" in of(done.stdout, "wrong-key")


async def test_a_sound_configuration_is_found_sound_and_what_is_free_costs_nothing(tmp_path: Path) -> None:
    simulator = Simulator(open_dataset("sample"), key=KEY)
    async with open_server(simulator) as url:
        root = url.removesuffix("/v1")
        vendors = {"openai": url, "azure": f"{root}/openai/v1", "anthropic": f"{root}/anthropic/v1", "gemini": f"{root}/v1beta"}
        common = 'key_env = "PLANTED_KEY"\nprice_in = 1.0\nprice_out = 1.0\n' + SEES
        models = "".join(
            f'[[models]]\nname = "{name}"\nprovider = "{name}"\nmodel = "permissive"\nbase_url = "{address}"\n{common}\n'
            for name, address in vendors.items()
        )
        judge = f'[judge]\nprovider = "gemini"\nmodel = "judge"\nbase_url = "{vendors["gemini"]}"\n{common}\n'
        (tmp_path / "bench.toml").write_text(judge + models)
        free = await doctor(tmp_path, "--free")
        assert (free.returncode, simulator.seen.answers.total()) == (0, 0), free.stdout
        assert "no model was asked anything" in free.stdout
        unasked = await doctor(tmp_path)
        assert simulator.seen.answers.total() == 0
        assert "say --yes" in unasked.stdout
        done = await doctor(tmp_path, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert simulator.seen.answers.total() == 2 * len(vendors) + 4
    assert "nothing is wrong" in done.stdout
    assert of(done.stdout, "judge").count("a verdict that can be read") == 3
    assert not (tmp_path / "unisafe.duckdb").exists()


@pytest.mark.parametrize(("source", "words"), [("nowhere", "there is no folder or file"), ("empty.jsonl", "holds no item")])
async def test_a_dataset_that_cannot_be_used_is_found(tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "bench.toml").write_text(
        f'[dataset]\nsource = "{source}"\n[judge]\nprovider = "simulated"\nmodel = "judge"\n'
        '[[models]]\nname = "sim"\nprovider = "simulated"\nmodel = "cautious"\n'
    )
    done = await doctor(tmp_path)
    assert done.returncode == 1
    assert words in of(done.stdout, "dataset")
