"""Batch jobs through the command line, at both vendors: every request paid for once, whatever ends the run."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import anyio
import pytest
from unisafe_cache import read_file

from tests.batch_bench import bench, change, cut_off, newest, paid_once, planned, prompts, ran, said, started, table, unisafe
from tests.batch_servers import (
    ANSWERED,
    BLOCKED,
    EXPIRED,
    KEY,
    OVERLOADED,
    REJECTED,
    UNREADABLE,
    Anthropic,
    Job,
    OpenAI,
    Vendor,
    serving,
)
from unisafe_async.benchmark import Dataset, Item, open_dataset
from unisafe_async.config.bench_toml import ConfigError, load_config
from unisafe_async.results.listing import read_runs

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("kind", [OpenAI, Anthropic])


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_KEY", KEY)


@BOTH
async def test_a_run_by_batch_jobs_reaches_the_table_and_costs_half(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 5, model="batch_size = 2\nprice_in = 10.0\nprice_out = 20.0")
        assert "up to 24 h" in await planned(tmp_path)
        done = await unisafe(tmp_path, "run")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "5 items: 5 judged" in done.stdout
        assert "0 from cache" in done.stdout
        assert [(run.judged, run.total) for run in read_file(tmp_path / "run.duckdb", read_runs)] == [(5, 5)]
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
        assert "4 calls of these are under way already" in await planned(tmp_path)
        for job in vendor.jobs:
            vendor.finish(job)
        done = await ran(tmp_path)
        assert "4 items: 4 judged" in done.said
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
        other = vendor.others(vendor.jobs[0].entries[:1] * 2)
        assert other.name != vendor.jobs[0].name
        done = await ran(tmp_path)
        assert "3 items: 3 judged" in done.said
    assert vendor.submissions == 1
    paid_once(vendor, 3)


async def test_a_job_that_the_vendor_never_got_is_handed_over_again(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        vendor.silent = True
        await cut_off(tmp_path, lambda: vendor.until(lambda: len(vendor.jobs) == 1))
        vendor.jobs.clear()
        change(tmp_path, "UPDATE batches SET created = created - INTERVAL 1 HOUR")
        done = await ran(tmp_path)
        assert "3 items: 3 judged" in done.said
    assert vendor.submissions == 2
    assert vendor.lists >= 2
    paid_once(vendor, 3)


async def test_answers_are_judged_while_another_job_is_under_way(tmp_path: Path) -> None:
    vendor = OpenAI(by_itself=False)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 4, model="batch_size = 2")
        async with anyio.create_task_group() as group:
            group.start_soon(ran, tmp_path)
            await vendor.until(lambda: len(vendor.jobs) == 2)
            vendor.finish(vendor.jobs[1])
            await vendor.until(lambda: vendor.judged >= 4)
            assert not vendor.jobs[0].ended
            vendor.finish(vendor.jobs[0])
    assert [row[1:4] for row in newest(tmp_path)] == [("answered", 1, 1)] * 4


@BOTH
async def test_every_entry_ends_as_it_would_online(tmp_path: Path, kind: type[Vendor]) -> None:
    first = dict(zip(prompts(6), [ANSWERED, BLOCKED, REJECTED, EXPIRED, OVERLOADED, UNREADABLE], strict=True))
    vendor = kind(lambda prompt, before: ANSWERED if before and first[prompt] != REJECTED else first[prompt])
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 6)
        done = await ran(tmp_path)
    assert done.unjudged == 1
    assert "1 failed" in done.said
    rows = newest(tmp_path)
    assert [row[1] for row in rows] == ["answered", "blocked_request", "failed", "answered", "answered", "answered"]
    assert "oo long" in rows[2][4]
    assert [len(job.entries) for job in vendor.jobs] == [6, 3]
    paid_once(vendor, 5)


async def test_what_never_comes_is_given_up_after_max_tries(tmp_path: Path) -> None:
    vendor = OpenAI(lambda prompt, before: EXPIRED if prompt == prompts(1)[0] else ANSWERED)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2, model="max_tries = 3")
        done = await ran(tmp_path)
    assert done.unjudged == 1
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
        done = await ran(tmp_path)
    assert "200 items: 200 judged" in done.said
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
            assert await anyio.to_thread.run_sync(process.wait) == 130
        assert "batch jobs go on at the vendor" in said(tmp_path)
        assert "2 not run" in said(tmp_path)
        assert "2 requests in batch jobs under way" in said(tmp_path)
        assert table(tmp_path, "SELECT status FROM runs") == [("interrupted",)]
        vendor.finish(vendor.jobs[1])
        assert "4 items: 4 judged" in (await ran(tmp_path)).said
    paid_once(vendor, 4)


async def test_the_budget_holds_before_a_job_is_handed_over(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        # at most 1,024 tokens out at half of $1,000 per million: $0.512 a request; in fact 1,000 in and 1,000 out: $0.50
        prices = "price_in = 0.0\nprice_out = 1000.0"
        judge = "price_in = 0.0\nprice_out = 0.0"
        bench(tmp_path, vendor, address, 5, model=prices, judge=judge, run="[run]\nbudget_usd = 1.6")
        done = await ran(tmp_path)
        assert "2 not run" in done.said
        assert "$1.50" in done.said
        assert [len(job.entries) for job in vendor.jobs] == [3]
        more = await ran(tmp_path)
        assert "5 items: 5 judged" in more.said
    paid_once(vendor, 5)


async def test_a_job_that_is_not_paid_yet_counts_against_the_next_budget(tmp_path: Path) -> None:
    vendor = OpenAI(by_itself=False)
    prices = "price_in = 0.0\nprice_out = 1000.0\nbatch_size = 2"
    judge = "price_in = 0.0\nprice_out = 0.0"
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2, model=prices, judge=judge)
        await cut_off(tmp_path, lambda: vendor.until(lambda: len(vendor.jobs) == 1 and vendor.jobs[0].looks > 0))
        vendor.by_itself = True
        bench(tmp_path, vendor, address, 3, model=prices, judge=judge, run="[run]\nbudget_usd = 1.1")
        done = await ran(tmp_path)
    assert "3 items: 2 judged, 1 not run" in done.said
    paid_once(vendor, 2)


async def test_when_too_much_is_enqueued_smaller_jobs_follow(tmp_path: Path) -> None:
    vendor = OpenAI()
    vendor.refusals = [(429, "rate_limit_exceeded", "Slow down")]
    vendor.failures = [("token_limit_exceeded", "Enqueued token limit reached for a-model")]
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 4)
        done = await ran(tmp_path)
    assert "4 items: 4 judged" in done.said
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
        await cut_off(tmp_path, lambda: vendor.until(lambda: len(vendor.jobs) == 1 and vendor.jobs[0].looks > 0))
        hidden, vendor.jobs = vendor.jobs, []
        done = await ran(tmp_path)
        assert "knows no job" in done.said
        assert vendor.submissions == 1
        vendor.jobs, vendor.by_itself = hidden, True
        assert "2 items: 2 judged" in (await ran(tmp_path)).said
    paid_once(vendor, 2)


async def test_batch_and_online_share_their_answers(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        await ran(tmp_path)
        path = tmp_path / "bench.toml"
        path.write_text(path.read_text().replace('mode = "batch"\nbatch_poll_s = 0.02', ""))
        assert "3 from cache" in (await ran(tmp_path)).said
    assert vendor.submissions == 1


async def test_samples_and_fresh(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        assert "6 trials (3 of each item): 6 judged" in (await ran(tmp_path, samples=3)).said
        paid_once(vendor, 6)
        fresh = await ran(tmp_path, samples=3, fresh=True)
        assert "0 from cache" in fresh.said
    assert set(vendor.paid.values()) == {2}


async def test_jobs_of_items_that_are_no_longer_asked_are_collected_all_the_same(tmp_path: Path) -> None:
    vendor = OpenAI(by_itself=False)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 4)
        await cut_off(tmp_path, lambda: vendor.until(lambda: len(vendor.jobs) == 1 and vendor.jobs[0].looks > 0))
        vendor.by_itself = True
        assert "2 items: 2 judged" in (await ran(tmp_path, limit=2)).said
        assert "4 items: 4 judged" in (await ran(tmp_path)).said
    assert vendor.submissions == 1
    requests = table(tmp_path, "SELECT request FROM responses WHERE identity NOT LIKE '%judge%'")
    assert sorted(json.loads(request)["parts"][0]["text"] for (request,) in requests) == prompts(4)


async def test_no_batch_api_behind_an_address(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address + "/nowhere", 2)
        done = await ran(tmp_path)
    assert done.unjudged == 2
    assert "has no batch API" in done.said


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            ('provider = "openai"\nmodel = "a-model"', 'provider = "simulated"\nmodel = "balanced"'),
            ["models[0].mode", "they go with anthropic, azure,", "openai,"],
        ),
        (('model = "a-judge"', 'model = "a-judge"\nmode = "batch"'), ["judge.mode", "online"]),
        (('mode = "batch"', 'mode = "batch"\ngives = ["text", "image"]'), ["models[0].gives", "chats only"]),
        (('mode = "batch"', 'mode = "online"'), ["models[0].batch_poll_s", 'mode = "batch" only']),
        (('mode = "batch"', 'mode = "batches"'), ["models[0].mode", "'online' or 'batch'"]),
    ],
)
async def test_what_does_not_go_together_is_said_before_anything_is_sent(
    tmp_path: Path, changed: tuple[str, str], words: list[str]
) -> None:
    bench(tmp_path, OpenAI(), "http://127.0.0.1:9")
    path = tmp_path / "bench.toml"
    assert changed[0] in path.read_text()
    path.write_text(path.read_text().replace(*changed))
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    for word in words:
        assert word in str(raised.value)


async def test_a_look_costs_no_more_than_what_is_under_way(tmp_path: Path) -> None:
    class OneAtATime(OpenAI):
        def _end(self, job: Job) -> None:
            if job.looks > self.jobs.index(job):
                super()._end(job)

    read: list[str] = []

    class Counting(Dataset):
        def items(self, *at: Any) -> Iterator[Item]:
            for item in super().items(*at):
                read.append(item.name)
                yield item

    vendor = OneAtATime()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 12, model="batch_size = 1")
        opened = open_dataset("items.jsonl", tmp_path)
        counting = Counting(**{field.name: getattr(opened, field.name) for field in fields(opened)})
        assert "12 items: 12 judged" in (await ran(tmp_path, dataset=counting)).said
    assert len(vendor.jobs) == 12
    assert max(Counter(read).values()) <= 3  # to be sent, to see what is there already, and with its answer


async def test_what_a_later_job_is_refused_with_is_in_the_rows(tmp_path: Path) -> None:
    def expires_then_refused(prompt: str, before: int) -> str:
        vendor.refusals = [(400, "invalid_request_error", "No such completion window")]
        return EXPIRED

    vendor = OpenAI(expires_then_refused)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        assert "2 failed" in (await ran(tmp_path)).said
    assert all("No such completion window" in row[4] for row in newest(tmp_path))
