"""A bench.toml with one model by batch jobs, and runs of it: in this process, or as the command."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import duckdb
import forked
from rich.console import Console
from unisafe_cache import read_file

from tests.batch_servers import KEY, Vendor
from unisafe_async import evaluate
from unisafe_async.benchmark import Dataset
from unisafe_async.config.bench_toml import load_config
from unisafe_async.results.report import read_report
from unisafe_async.run.plan import plan
from unisafe_async.screens.plan import print_plan
from unisafe_async.screens.report import print_report

MODEL = """
[dataset]
source = "items.jsonl"
[cache]
path = "run.duckdb"
{run}
[judge]
provider = "openai"
model = "a-judge"
base_url = "{address}/judge"
{judge}
[[models]]
name = "m"
provider = "{provider}"
model = "a-model"
base_url = "{address}{path}"
key_env = "BATCH_KEY"
mode = "batch"
batch_poll_s = 0.02
{model}
"""


def prompts(number: int) -> list[str]:
    return [f"Mild stand-in {index:02}." for index in range(number)]


def bench(folder: Path, vendor: Vendor, address: str, items: int = 4, *, model: str = "", run: str = "", judge: str = "") -> None:
    folder.mkdir(exist_ok=True)
    lines = [
        {"id": index, "task": "malicious_text_generation", "prompt": prompt, "category": "Politics", "intention": "none"}
        for index, prompt in enumerate(prompts(items))
    ]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = MODEL.format(run=run, address=address, provider=vendor.provider, path=vendor.path, model=model, judge=judge)
    (folder / "bench.toml").write_text(text)


# -------------------------------------------------------- in this process


@dataclass(frozen=True)
class Done:
    """What a run printed at its end, on one line, and whether its items were all judged."""

    said: str
    unjudged: int
    waiting: int


async def ran(
    folder: Path, *, fresh: bool = False, limit: int | None = None, samples: int = 1, dataset: Dataset | None = None
) -> Done:
    """A whole run and its report; BATCH_KEY stands in the environment."""
    config = load_config(folder / "bench.toml", {"dataset": {"limit": limit}, "generation": {"repeats": samples}})
    with anyio.fail_after(60):
        result = await evaluate(config, fresh=fresh, dataset=dataset)
    console = Console(file=io.StringIO(), width=400)
    print_report(console, read_file(result.cache, lambda connection: read_report(connection, result.run)))
    return Done(words_of(console), result.unjudged, result.waiting)


async def planned(folder: Path) -> str:
    config = load_config(folder / "bench.toml")
    console = Console(file=io.StringIO(), width=400)
    print_plan(console, await plan(config), config)
    return words_of(console)


async def cut_off(folder: Path, when: Callable[[], Any]) -> None:
    """A run that stops at once, as at a second Ctrl-C, when the vendor has come to a point (`when` waits for it)."""
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(evaluate, load_config(folder / "bench.toml"))
            await when()
            group.cancel_scope.cancel()


def words_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


# -------------------------------------------------------- as the command


def environment(key: str = KEY) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "400", "BATCH_KEY": key}


async def unisafe(folder: Path, *words: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    return await anyio.to_thread.run_sync(lambda: forked.unisafe(*words, cwd=folder, env=environment(key), timeout=60))


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[forked.Process]:
    """A run that the test watches from outside."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        with anyio.fail_after(60), (folder / "said.txt").open("wb") as said:
            streams = (nothing, said.fileno(), said.fileno())
            with forked.Process("run", cwd=folder, streams=streams, env=environment()) as process:
                yield process
    finally:
        os.close(nothing)


def said(folder: Path) -> str:
    return (folder / "said.txt").read_text()


# -------------------------------------------------------- what became of it


def table(folder: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(folder / "run.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def change(folder: Path, sql: str) -> None:
    with duckdb.connect(str(folder / "run.duckdb")) as connection:
        connection.execute(sql)


def newest(folder: Path, columns: str = "item, outcome, contextual, intrinsic, error") -> list[Any]:
    return table(
        folder, f"SELECT {columns} FROM rows WHERE run = (SELECT run FROM runs ORDER BY started DESC LIMIT 1) ORDER BY item"
    )


def paid_once(vendor: Vendor, number: int) -> None:
    assert len(vendor.paid) == number
    assert set(vendor.paid.values()) == {1}
