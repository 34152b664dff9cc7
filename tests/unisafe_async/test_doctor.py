"""`unisafe doctor` on a bench.toml full of mistakes: each is found and said with what to change, before anything is paid for in vain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from aiohttp import web

from unisafe_async.dataset import open_dataset
from unisafe_async.simulate import Simulator, serving

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
SEES = 'takes = ["text", "image"]'
DRAWS = 'gives = ["text", "image"]'


class Planted:
    """An OpenAI-shaped server with a mistake at each address; `calls` counts what would have been paid for."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    async def list(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name == "wrong-key":
            return _error(401, "invalid_api_key", f"Incorrect API key provided: {request.headers['authorization']}")
        if name == "no-v1":
            return web.Response(status=404, text="page not found")
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
        if name == "judge":
            return _says("I would rather not say a number.")
        headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-limit-tokens": "30000"} if name == "too-fast" else {}
        return _says("red", headers)


def _says(text: str, headers: dict[str, str] | None = None) -> web.Response:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
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
    environment = {**os.environ, "PLANTED_KEY": KEY, "COLUMNS": "200"}
    environment.pop("NO_SUCH_KEY", None)
    command = [sys.executable, "-m", "unisafe_async.cli", "doctor", *arguments]
    return await anyio.to_thread.run_sync(
        lambda: subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, timeout=120)
    )


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


async def test_a_sound_configuration_is_found_sound_and_what_is_free_costs_nothing(tmp_path: Path) -> None:
    simulator = Simulator(open_dataset("sample"), key=KEY)
    async with serving(simulator) as url:
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
