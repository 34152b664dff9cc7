"""Whole runs whose models stand behind servers that the run starts: in turns, free of charge, and never unasked."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from living import is_alive, still_alive
from test_fire import ended, finished, unisafe
from test_truth import SIM, run
from unisafe_cache import read_file

from unisafe_async.config.bench_toml import ConfigError, parse_config
from unisafe_async.run.endpoints import endpoint_of, provider_of

FAKE = Path(__file__).parents[1] / "fake_server.py"
SERVER = [sys.executable, "-S", str(FAKE), "{model}", "--port", "{port}"]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="groups of processes are Unix's")


def served(folder: Path, name: str, *arguments: str, **serve: Any) -> dict[str, Any]:
    args = ["--events", str(folder / name), *arguments]
    return {"provider": "vllm", "model": name, "serve": {"command": SERVER, "args": args, **serve}}


def model(folder: Path, name: str, *arguments: str, **serve: Any) -> dict[str, Any]:
    return {"name": name, **served(folder, name, *arguments, **serve)}


def bench(folder: Path, *models: dict[str, Any], judge: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "cache": {"path": str(folder / "run.duckdb")},
        "dataset": {"source": "sample", "tasks": ["malicious_text_generation"]},
        "judge": judge or {**SIM, "model": "judge"},
        "models": list(models),
    }


def events(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def starts(folder: Path, name: str) -> list[int]:
    return [int(line.split()[1]) for line in events(folder, name) if line.startswith("start")]


@asynccontextmanager
async def watching(folder: Path, *names: str) -> AsyncIterator[list[int]]:
    """How many servers of these models were alive, looked at many times inside the block."""
    alive: list[int] = []

    async def watch() -> None:
        while True:
            alive.append(sum(is_alive(number) for name in names for number in starts(folder, name)))
            await anyio.sleep(0.02)

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        yield alive
        group.cancel_scope.cancel()


async def test_two_servers_take_turns_cost_nothing_and_a_rerun_starts_none(tmp_path: Path) -> None:
    settings = bench(tmp_path, model(tmp_path, "first"), model(tmp_path, "second"))
    async with watching(tmp_path, "first", "second") as alive:
        result, done = await run({**settings, "run": {"budget_usd": 1.0}})
    assert result.status == "done"
    assert done.unjudged == 0
    assert done.cost == 0
    assert max(alive) == 1
    assert [len(starts(tmp_path, name)) for name in ("first", "second")] == [1, 1]
    assert still_alive(number for name in ("first", "second") for number in starts(tmp_path, name)) == []

    again, _ = await run(settings)
    assert again.status == "done"
    assert [len(starts(tmp_path, name)) for name in ("first", "second")] == [1, 1]


async def test_a_server_judges_after_the_server_that_it_shares_its_device_with(tmp_path: Path) -> None:
    judge = served(tmp_path, "judge", "--verdicts")
    async with watching(tmp_path, "first", "judge") as alive:
        _, done = await run(bench(tmp_path, model(tmp_path, "first"), judge=judge))
    assert done.unjudged == 0
    assert max(alive) == 1
    assert [len(starts(tmp_path, name)) for name in ("first", "judge")] == [1, 1]


async def test_a_proxy_of_the_environment_is_not_asked_for_a_server_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    _, done = await run(bench(tmp_path, model(tmp_path, "first")))
    assert done.unjudged == 0


async def test_one_that_cannot_start_stops_alone(tmp_path: Path) -> None:
    _, done = await run(bench(tmp_path, model(tmp_path, "broken", "--dies-loading"), model(tmp_path, "whole")))
    stopped = {lane.endpoint.name: lane.endpoint.stopped_words for lane in done.lanes}
    assert "ValueError: the model needs 40.2 GiB" in stopped["broken"]
    assert stopped["whole"] == ""
    assert {lane.endpoint.name: lane.done - lane.failed for lane in done.lanes}["whole"] > 0


def identity(folder: Path, **changes: Any) -> str:
    section = parse_config(bench(folder, {**model(folder, "m"), **changes})).models[0]
    return endpoint_of(section, "m", folder, anyio.sleep).provider.identity


def test_what_changes_answers_is_in_the_identity_and_where_it_runs_is_not(tmp_path: Path) -> None:
    one = identity(tmp_path, serve=True)
    assert one == identity(tmp_path, serve={"python": "/envs/other/bin/python", "ready": "/v1/models", "patience_s": 5.0})
    assert one == identity(tmp_path, serve={"command": ["/opt/vllm", "{model}", "{port}"]}, device="cuda:3")
    assert len({one, identity(tmp_path, serve={"args": ["--dtype", "float16"]}), identity(tmp_path, serve=True, model="n")}) == 3
    assert one != identity(tmp_path, serve=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"serve": True, "base_url": "http://localhost:8000/v1"}, "base_url: stands beside `serve`"),
        ({"serve": {"command": ["vllm", "serve"]}}, "serve.command: has no {port}"),
        ({"serve": {"argz": []}}, "serve.argz"),
        ({"serve": "yes"}, "serve: "),
        ({"serve": {"env": ["HF_TOKEN=abc"]}}, "serve.env: should be names of variables, found 'HF_TOKEN'"),
        ({"serve": {"args": ["--api-key", "sk-proj-Ab3dE6gH9jK2mN5pQ8sT1vW4"]}}, "looks like a secret"),
        ({"serve": False, "device": "cuda:0"}, "device: goes with `serve` only"),
        ({"serve": True, "devices": ["cuda:0", "cuda:0"]}, "devices: names a device twice"),
        ({"serve": True, "provider": "server"}, "serve: needs `command`"),
        ({"serve": True, "provider": "openai"}, "serve: goes with provider = "),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(bench(tmp_path, {**model(tmp_path, "m"), **changes}))
    assert f"models[0].{said}" in str(refused.value) or said in str(refused.value)
    assert "sk-proj" not in str(refused.value)


@pytest.mark.parametrize(
    ("provider", "changes", "line"),
    [
        ("vllm", {}, "vllm serve org/m --served-model-name org/m --host 127.0.0.1 --port PORT"),
        ("vllm", {"devices": ["cuda:0", "cuda:1"]}, "--port PORT --tensor-parallel-size 2"),
        ("sglang", {"serve": {"python": "/e/bin/python"}}, "/e/bin/python -m sglang.launch_server --model-path org/m"),
        ("vllm", {"serve": {"python": "/e/bin/python", "args": ["--seed", "1"]}}, "/e/bin/vllm serve org/m"),
        ("vllm-omni", {}, "vllm serve org/m --omni --host 127.0.0.1 --port PORT"),
        ("llama.cpp", {}, "llama-server -hf org/m --alias org/m"),
        ("llama.cpp", {"model": "m.gguf"}, "llama-server --model m.gguf --alias m.gguf"),
        ("transformers-serve", {}, "transformers serve org/m --host 127.0.0.1 --port PORT"),
    ],
)
def test_the_command_line_of_each_server(tmp_path: Path, provider: str, changes: dict[str, Any], line: str) -> None:
    given = {"name": "m", "model": "org/m", "provider": provider, "serve": True, **changes}
    section: Any = parse_config(bench(tmp_path, given)).models[0]
    (command,) = section.list_commands(section.model)
    assert line in shlex.join(command)


def write_bench(folder: Path, *arguments: str) -> None:
    settings = model(folder, "tiny", *arguments)
    serve = settings["serve"]
    (folder / "bench.toml").write_text(f"""
[dataset]
source = "sample"
tasks = ["malicious_text_generation"]
[cache]
path = "run.duckdb"
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "tiny"
provider = "vllm"
model = "tiny"
serve = {{ command = {json.dumps(serve["command"])}, args = {json.dumps(serve["args"])} }}
""")


async def test_only_a_run_starts_a_server_and_shows_its_command_line_first(tmp_path: Path) -> None:
    write_bench(tmp_path)
    for words in (["plan"], ["data", "check", "sample"], ["doctor"], ["doctor", "--free"], ["report"], ["models"]):
        await finished(*words, folder=tmp_path)
        assert not events(tmp_path, "tiny"), words
    code, output = await finished("run", folder=tmp_path)
    assert code == 0, output
    assert f"{FAKE} tiny --port PORT" in output
    assert len(starts(tmp_path, "tiny")) == 1
    bench = tmp_path / "bench.toml"
    bench.write_text(bench.read_text().replace('model = "tiny"\nserve', 'model = "tiny"\ndevice = "cuda:77"\nserve'))
    code, output = await finished("doctor", "--free", folder=tmp_path)
    assert "and not cuda:77" in " ".join(output.split())
    code, output = await finished("doctor", "--yes", folder=tmp_path)
    assert code == 0, output
    assert f"{FAKE} tiny --port PORT" in output
    assert len(starts(tmp_path, "tiny")) == 2
    assert still_alive(starts(tmp_path, "tiny")) == []


@pytest.mark.parametrize("arguments", [("--slow", "60"), ("--latency", "60")])
async def test_ctrl_c_twice_leaves_no_server_and_no_child_of_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write_bench(tmp_path, "--forks", *arguments)
    with unisafe("run", folder=tmp_path) as (process, printed):
        while not any(line.startswith("asked" if "--latency" in arguments else "child") for line in events(tmp_path, "tiny")):
            assert process.poll() is None
            await anyio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        if "--latency" in arguments:  # else the first one is enough: nothing is under way
            while "stopping" not in await anyio.to_thread.run_sync(printed.readline):
                pass
            process.send_signal(signal.SIGINT)
        code, _ = await ended(process, printed)
    assert code == 130
    numbers = [int(line.split()[1]) for line in events(tmp_path, "tiny") if line.startswith(("start", "child"))]
    assert len(numbers) == 2
    assert still_alive(numbers) == []
    counted = read_file(tmp_path / "run.duckdb", lambda connection: connection.execute("SELECT count(*) FROM runs").fetchone())
    assert counted == (1,)


async def test_the_content_of_a_model_s_file_is_part_of_what_identifies_it(tmp_path: Path) -> None:
    async def identity(folder: Path, content: str) -> str:
        await anyio.Path(folder).mkdir(exist_ok=True)
        await anyio.Path(folder / "judge.gguf").write_text(content)
        model = {"name": "m", "provider": "llama-cpp-python", "model": "judge.gguf", "serve": True, "device": "cpu"}
        section = parse_config({"models": [model], "judge": {"provider": "simulated", "model": "judge"}}).models[0]
        async with provider_of(section, folder) as provider:
            return provider.identity

    first = await identity(tmp_path / "a", "weights")
    assert await identity(tmp_path / "b", "weights") == first
    assert await identity(tmp_path / "a", "other weights") != first
