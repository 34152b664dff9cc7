"""Batch jobs through the command line, at both vendors: every request paid for once, whatever ends the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import duckdb
import pytest

from tests.batch_servers import (
    ANSWERED,
    BLOCKED,
    EXPIRED,
    KEY,
    OVERLOADED,
    REJECTED,
    UNREADABLE,
    Anthropic,
    OpenAI,
    Vendor,
    serving,
)

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("kind", [OpenAI, Anthropic])
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
batch_poll_s = 0.05
{model}
"""


def prompts(number: int) -> list[str]:
    return [f"Mild stand-in {index:02}." for index in range(number)]


def bench(folder: Path, vendor: Vendor, address: str, items: int = 4, *, model: str = "", run: str = "", judge: str = "") -> None:
    lines = [
        {"id": index, "task": "malicious_text_generation", "prompt": prompt, "category": "Politics", "intention": "none"}
        for index, prompt in enumerate(prompts(items))
    ]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = MODEL.format(run=run, address=address, provider=vendor.provider, path=vendor.path, model=model, judge=judge)
    (folder / "bench.toml").write_text(text)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "unisafe_async.cli", *words]


def environment(key: str = KEY) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "400", "BATCH_KEY": key}


async def unisafe(folder: Path, *words: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    with anyio.fail_after(60):
        done = await anyio.run_process(command(*words), cwd=folder, env=environment(key), check=False)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[anyio.abc.Process]:
    """A run that the test watches from outside."""
    with anyio.fail_after(60), (folder / "said.txt").open("wb") as said:
        async with await anyio.open_process(command("run"), cwd=folder, env=environment(), stdout=said, stderr=said) as process:
            yield process


def said(folder: Path) -> str:
    return (folder / "said.txt").read_text()


def table(folder: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(folder / "run.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def newest(folder: Path, columns: str = "item, outcome, contextual, intrinsic, error") -> list[Any]:
    return table(folder, f"SELECT {columns} FROM rows WHERE run = (SELECT max(run) FROM runs) ORDER BY item")


def paid_once(vendor: Vendor, number: int) -> None:
    assert len(vendor.paid) == number
    assert set(vendor.paid.values()) == {1}


@BOTH
async def test_a_run_by_batch_jobs_reaches_the_table_and_costs_half(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 5, model="batch_size = 2\nprice_in = 10.0\nprice_out = 20.0")
        planned = await unisafe(tmp_path, "plan")
        assert "up to 24 h" in planned.stdout
        done = await unisafe(tmp_path, "run")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "5 items: 5 judged" in done.stdout
        assert "0 from cache" in done.stdout
        assert "5/5" in (await unisafe(tmp_path, "runs")).stdout
    assert [len(job.entries) for job in vendor.jobs] == [2, 2, 1]
    paid_once(vendor, 5)
    texts = table(tmp_path, "SELECT text, cost FROM responses WHERE identity NOT LIKE '%judge%' ORDER BY text")
    assert [text for text, _ in texts] == [f"An answer to: {prompt}" for prompt in prompts(5)]
    assert {round(cost, 9) for _, cost in texts} == {0.015}
    assert table(tmp_path, "SELECT DISTINCT status, requests FROM batches") == [("collected", None)]
    assert KEY.encode() not in (tmp_path / "run.duckdb").read_bytes()


@BOTH
async def test_a_killed_run_finds_its_jobs_again_and_nothing_is_paid_twice(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind(by_itself=False)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 4, model="batch_size = 2")
        async with started(tmp_path) as process:
            await vendor.until(lambda: len(vendor.jobs) == 2 and all(job.looks for job in vendor.jobs))
            process.kill()
        assert "4 calls of these are under way already" in " ".join((await unisafe(tmp_path, "plan")).stdout.split())
        for job in vendor.jobs:
            vendor.finish(job)
        done = await unisafe(tmp_path, "run")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "4 items: 4 judged" in done.stdout
    assert vendor.submissions == 2
    paid_once(vendor, 4)


@BOTH
async def test_a_job_that_the_vendor_took_as_the_run_was_killed_is_adopted(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        vendor.silent = True
        async with started(tmp_path) as process:
            await vendor.until(lambda: len(vendor.jobs) == 1)
            process.kill()
        assert table(tmp_path, "SELECT status FROM batches") == [("submitting",)]
        other = await vendor._accept(vendor.jobs[0].entries[:1] * 2, "somebody else's")
        assert other.name != vendor.jobs[0].name
        done = await unisafe(tmp_path, "run")
        assert "3 items: 3 judged" in done.stdout, done.stdout + done.stderr
    assert vendor.submissions == 1
    paid_once(vendor, 3)


async def test_a_job_that_the_vendor_never_got_is_handed_over_again(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        vendor.silent = True
        async with started(tmp_path) as process:
            await vendor.until(lambda: len(vendor.jobs) == 1)
            process.kill()
        vendor.jobs.clear()
        with duckdb.connect(str(tmp_path / "run.duckdb")) as connection:
            connection.execute("UPDATE batches SET created = created - INTERVAL 1 HOUR")
        done = await unisafe(tmp_path, "run")
        assert "3 items: 3 judged" in done.stdout, done.stdout + done.stderr
    assert vendor.submissions == 2
    paid_once(vendor, 3)


async def test_answers_are_judged_while_another_job_is_under_way(tmp_path: Path) -> None:
    vendor = OpenAI(by_itself=False)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 4, model="batch_size = 2")
        async with started(tmp_path) as process:
            await vendor.until(lambda: len(vendor.jobs) == 2)
            vendor.finish(vendor.jobs[1])
            await vendor.until(lambda: vendor.judged >= 4)
            assert not vendor.jobs[0].ended
            vendor.finish(vendor.jobs[0])
            assert await process.wait() == 0
    assert [row[1:4] for row in newest(tmp_path)] == [("answered", 1, 1)] * 4


@BOTH
async def test_every_entry_ends_as_it_would_online(tmp_path: Path, kind: type[Vendor]) -> None:
    first = dict(zip(prompts(6), [ANSWERED, BLOCKED, REJECTED, EXPIRED, OVERLOADED, UNREADABLE], strict=True))
    vendor = kind(lambda prompt, before: ANSWERED if before and first[prompt] != REJECTED else first[prompt])
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 6)
        done = await unisafe(tmp_path, "run")
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    rows = newest(tmp_path)
    assert [row[1] for row in rows] == ["answered", "blocked_request", "failed", "answered", "answered", "answered"]
    assert "oo long" in rows[2][4]
    assert [len(job.entries) for job in vendor.jobs] == [6, 3]
    paid_once(vendor, 5)


async def test_what_never_comes_is_given_up_after_max_tries(tmp_path: Path) -> None:
    vendor = OpenAI(lambda prompt, before: EXPIRED if prompt == prompts(1)[0] else ANSWERED)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2, model="max_tries = 3")
        done = await unisafe(tmp_path, "run")
    assert done.returncode == 1
    rows = newest(tmp_path)
    assert [row[1] for row in rows] == ["failed", "answered"]
    assert "gave up after 3" in rows[0][4]
    assert "expired" in rows[0][4]
    assert vendor.submissions == 3


async def test_results_that_break_off_are_fetched_again(tmp_path: Path) -> None:
    vendor = Anthropic()
    vendor.cut_results = True
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 200)
        done = await unisafe(tmp_path, "run")
    assert "200 items: 200 judged" in done.stdout, done.stdout + done.stderr
    keys = table(tmp_path, "SELECT count(*), count(DISTINCT key) FROM responses WHERE identity NOT LIKE '%judge%'")
    assert keys == [(200, 200)]
    assert vendor.submissions == 1


async def test_ctrl_c_leaves_the_jobs_to_the_next_run(tmp_path: Path) -> None:
    vendor = Anthropic(by_itself=False)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 4, model="batch_size = 2")
        async with started(tmp_path) as process:
            await vendor.until(lambda: len(vendor.jobs) == 2)
            vendor.finish(vendor.jobs[0])
            await vendor.until(lambda: vendor.judged >= 4 and vendor.jobs[1].looks > 1)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
        assert "batch jobs go on at the vendor" in said(tmp_path)
        assert "2 not run" in said(tmp_path)
        assert "2 requests in batch jobs under way" in said(tmp_path)
        assert table(tmp_path, "SELECT status FROM runs") == [("interrupted",)]
        vendor.finish(vendor.jobs[1])
        assert "4 items: 4 judged" in (await unisafe(tmp_path, "run")).stdout
    paid_once(vendor, 4)


async def test_the_budget_holds_before_a_job_is_handed_over(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        # at most 1,024 tokens out at half of $1,000 per million: $0.512 a request; in fact 1,000 in and 1,000 out: $0.50
        prices = "price_in = 0.0\nprice_out = 1000.0"
        judge = "price_in = 0.0\nprice_out = 0.0"
        bench(tmp_path, vendor, address, 5, model=prices, judge=judge, run="[run]\nbudget_usd = 1.6")
        done = await unisafe(tmp_path, "run")
        assert "2 not run" in done.stdout, done.stdout + done.stderr
        assert "$1.50" in done.stdout
        assert [len(job.entries) for job in vendor.jobs] == [3]
        more = await unisafe(tmp_path, "run")
        assert "5 items: 5 judged" in more.stdout
    paid_once(vendor, 5)


async def test_a_job_that_is_not_paid_yet_counts_against_the_next_budget(tmp_path: Path) -> None:
    vendor = OpenAI(by_itself=False)
    prices = "price_in = 0.0\nprice_out = 1000.0\nbatch_size = 2"
    judge = "price_in = 0.0\nprice_out = 0.0"
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2, model=prices, judge=judge)
        async with started(tmp_path) as process:
            await vendor.until(lambda: len(vendor.jobs) == 1 and vendor.jobs[0].looks > 0)
            process.kill()
        vendor.by_itself = True
        bench(tmp_path, vendor, address, 3, model=prices, judge=judge, run="[run]\nbudget_usd = 1.1")
        done = await unisafe(tmp_path, "run")
    assert "3 items: 2 judged, 1 not run" in done.stdout, done.stdout + done.stderr
    paid_once(vendor, 2)


async def test_when_too_much_is_enqueued_smaller_jobs_follow(tmp_path: Path) -> None:
    vendor = OpenAI()
    vendor.refusals = [(429, "rate_limit_exceeded", "Slow down")]
    vendor.failures = [("token_limit_exceeded", "Enqueued token limit reached for a-model")]
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 4)
        done = await unisafe(tmp_path, "run")
    assert "4 items: 4 judged" in done.stdout, done.stdout + done.stderr
    assert [len(job.entries) for job in vendor.jobs] == [4, 2, 2]
    paid_once(vendor, 4)


async def test_a_wrong_key_stops_the_model_and_says_what_to_change(tmp_path: Path) -> None:
    vendor = Anthropic()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        done = await unisafe(tmp_path, "run", key="another-key-for-tests")
        assert done.returncode == 1
        assert "key_env" in done.stdout
        assert "2 failed" in done.stdout
        assert "another-key" not in done.stdout + done.stderr
    assert b"another-key" not in (tmp_path / "run.duckdb").read_bytes()


async def test_a_job_of_another_project_is_not_paid_for_again(tmp_path: Path) -> None:
    vendor = OpenAI(by_itself=False)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        async with started(tmp_path) as process:
            await vendor.until(lambda: len(vendor.jobs) == 1 and vendor.jobs[0].looks > 0)
            process.kill()
        hidden, vendor.jobs = vendor.jobs, []
        done = await unisafe(tmp_path, "run")
        assert "knows no job" in " ".join(done.stdout.split())
        assert vendor.submissions == 1
        vendor.jobs, vendor.by_itself = hidden, True
        assert "2 items: 2 judged" in (await unisafe(tmp_path, "run")).stdout
    paid_once(vendor, 2)


async def test_batch_and_online_share_their_answers(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        await unisafe(tmp_path, "run")
        path = tmp_path / "bench.toml"
        path.write_text(path.read_text().replace('mode = "batch"\nbatch_poll_s = 0.05', ""))
        assert "3 from cache" in (await unisafe(tmp_path, "run")).stdout
    assert vendor.submissions == 1


async def test_samples_and_fresh(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        assert "6 items: 6 judged" in (await unisafe(tmp_path, "run", "--samples", "3")).stdout
        paid_once(vendor, 6)
        fresh = await unisafe(tmp_path, "run", "--samples", "3", "--fresh")
        assert "0 from cache" in fresh.stdout
    assert set(vendor.paid.values()) == {2}


async def test_jobs_of_items_that_are_no_longer_asked_are_collected_all_the_same(tmp_path: Path) -> None:
    vendor = OpenAI(by_itself=False)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 4)
        async with started(tmp_path) as process:
            await vendor.until(lambda: len(vendor.jobs) == 1 and vendor.jobs[0].looks > 0)
            process.kill()
        vendor.by_itself = True
        assert "2 items: 2 judged" in (await unisafe(tmp_path, "run", "--limit", "2")).stdout
        assert "4 items: 4 judged" in (await unisafe(tmp_path, "run")).stdout
    assert vendor.submissions == 1
    requests = table(tmp_path, "SELECT request FROM responses WHERE identity NOT LIKE '%judge%'")
    assert sorted(json.loads(request)["parts"][0]["text"] for (request,) in requests) == prompts(4)


async def test_no_batch_api_behind_an_address(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address + "/nowhere", 2)
        done = await unisafe(tmp_path, "run")
    assert done.returncode == 1
    assert "has no batch API" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ('provider = "openai"\nmodel = "a-model"', 'provider = "simulated"\nmodel = "balanced"'),
            ["models[0].mode", "openai, azure"],
        ),
        (('model = "a-judge"', 'model = "a-judge"\nmode = "batch"'), ["judge.mode", "online"]),
        (('mode = "batch"', 'mode = "batch"\ngives = ["text", "image"]'), ["models[0].gives", "chats only"]),
        (('mode = "batch"', 'mode = "online"'), ["models[0].batch_poll_s", 'mode = "batch" only']),
        (('mode = "batch"', 'mode = "batches"'), ["models[0].mode", "'online' or 'batch'"]),
    ],
)
async def test_what_does_not_go_together_is_said_before_anything_is_sent(
    tmp_path: Path, change: tuple[str, str], words: list[str]
) -> None:
    bench(tmp_path, OpenAI(), "http://127.0.0.1:9")
    path = tmp_path / "bench.toml"
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    done = await unisafe(tmp_path, "run")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
