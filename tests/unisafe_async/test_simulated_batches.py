"""Batch mode rehearsed against `unisafe simulate`: as each vendor serves jobs, with the simulated models' own answers."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import duckdb
import pytest
from anyio import to_thread
from typer.testing import CliRunner

from unisafe_async import evaluate
from unisafe_async.cli import app
from unisafe_async.run.evaluation import Run
from unisafe_async.simulate import Faults, Simulator, open_server

pytestmark = pytest.mark.anyio
VENDORS = pytest.mark.parametrize(
    ("provider", "path"), [("openai", "/v1"), ("azure", "/openai/v1"), ("anthropic", "/anthropic/v1")], ids=lambda value: value
)
BENCH = """
[dataset]
source = "items.jsonl"
[cache]
path = "{cache}.duckdb"
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "m"
provider = "{provider}"
model = "balanced"
base_url = "{address}"
key_env = "A_KEY"
{mode}
"""
BATCH = 'mode = "batch"\nbatch_size = 3\nbatch_poll_s = 0.02'


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "any-key-will-do")


def bench(folder: Path, provider: str, address: str, mode: str) -> Path:
    lines = [
        {"id": index, "task": "malicious_text_generation", "prompt": f"Mild stand-in {index}.", "category": "Politics"}
        for index in range(8)
    ]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    file = folder / f"{'batch' if mode else 'online'}.toml"
    file.write_text(BENCH.format(provider=provider, address=address, mode=mode, cache=file.stem))
    return file


def answers(file: Path) -> list[tuple[str, str]]:
    with duckdb.connect(str(file.with_suffix(".duckdb")), read_only=True) as connection:
        found = "SELECT key, text, finish FROM responses WHERE identity NOT LIKE 'simulated%' ORDER BY key"
        return connection.execute(found).fetchall()


@VENDORS
async def test_a_job_brings_the_answers_that_calls_would_bring(tmp_path: Path, provider: str, path: str) -> None:
    async with open_server(Simulator(batch_delay=0.05)) as url:
        address = url.removesuffix("/v1") + path
        files = [bench(tmp_path, provider, address, mode) for mode in (BATCH, "")]
        for file in files:
            assert (await evaluate(file)).unjudged == 0
    assert len(answers(files[0])) == 8
    assert answers(files[0]) == answers(files[1])


@VENDORS
async def test_faults_of_single_requests_are_met_in_a_job_too(tmp_path: Path, provider: str, path: str) -> None:
    simulator = Simulator(faults=Faults(unavailable=0.3, blocked=0.3), seed=1)
    async with open_server(simulator) as url:
        file = bench(tmp_path, provider, url.removesuffix("/v1") + path, BATCH)
        assert (await evaluate(file)).unjudged == 0
    assert simulator.seen.faults["unavailable"] > 0
    assert sum(finish == "blocked" for _, _, finish in answers(file)) >= simulator.seen.faults["blocked"] > 0
    assert len(answers(file)) == 8


@VENDORS
async def test_a_job_in_progress_is_cancelled_and_its_requests_are_free(tmp_path: Path, provider: str, path: str) -> None:
    async with open_server(Simulator(batch_delay=3600)) as url:
        file = bench(tmp_path, provider, url.removesuffix("/v1") + path, BATCH.replace("3", "8"))
        runs: list[Run] = []
        async with anyio.create_task_group() as group:
            group.start_soon(partial(evaluate, file, on_start=runs.append))
            while not runs or not runs[0].lanes[0].jobs_open:
                await anyio.lowlevel.checkpoint()
            runs[0].drain()
        listed = await unisafe(file, "--refresh")
        assert "in progress" in listed
        assert "0 of 8 done" in listed
        job = re.search(r"(msg)?batch_[0-9a-f]{12}", listed)
        assert job is not None
        assert "0 answers in the cache; 8 requests free" in await unisafe(file, "--cancel", job[0], "--yes")
        assert "cancelled" in await unisafe(file)


async def unisafe(file: Path, *words: str) -> str:
    done = await to_thread.run_sync(lambda: CliRunner().invoke(app, ["batches", "--config", str(file), *words]))
    assert done.exit_code == 0, done.output
    return done.output
