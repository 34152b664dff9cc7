"""`unisafe batches`: what a cache knows of its jobs, what their vendors say, and giving one up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from anyio import to_thread
from typer.testing import CliRunner, Result

from tests.batch_bench import bench, change, cut_off, newest, paid_once, ran, table
from tests.batch_servers import KEY, Anthropic, OpenAI, Vendor, serving
from unisafe_async.cli import app

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("kind", [OpenAI, Anthropic])


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_KEY", KEY)


async def batches(folder: Path, *words: str, said: str = "", columns: int = 160) -> Result:
    """The command, with what the user says to it."""

    def invoked() -> Result:
        words_ = ["batches", "--config", str(folder / "bench.toml"), *words]
        return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, words_, input=said)

    return await to_thread.run_sync(invoked)


def flat(result: Result) -> str:
    return " ".join(result.output.split())


async def one_under_way(folder: Path, vendor: Vendor, address: str, items: int = 3) -> None:
    bench(folder, vendor, address, items, model="price_in = 0.0\nprice_out = 1000.0")
    await cut_off(folder, lambda: vendor.until(lambda: bool(vendor.jobs) and vendor.jobs[0].looks > 0))


@BOTH
async def test_jobs_are_listed_without_asking_anybody(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind(by_itself=False)
    async with serving(vendor) as address:
        await one_under_way(tmp_path, vendor, address)
    done = await batches(tmp_path, columns=80)  # the server is gone
    assert done.exit_code == 0, done.output
    assert vendor.jobs[0].name in done.output
    assert re.search(r"\bm under way .* 3 requests", flat(done))
    assert "1 job under way, 3 requests, $1.54 at the most" in flat(done)
    assert re.search(r"3 requests +by \d\d \w+ \d\d:\d\d", done.output)
    assert max(map(len, done.output.splitlines())) <= 80


@BOTH
async def test_refresh_asks_the_vendor_and_changes_nothing(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind(by_itself=False)
    async with serving(vendor) as address:
        await one_under_way(tmp_path, vendor, address)
        before = table(tmp_path, "SELECT * FROM batches")
        assert re.search(r"in progress .* 0 of 3 done", flat(await batches(tmp_path, "--refresh")))
        vendor.finish(vendor.jobs[0])
        done = await batches(tmp_path, "--refresh")
        assert done.exit_code == 0
        assert re.search(r"ended, not collected yet .* 3 of 3 done", flat(done))
        assert table(tmp_path, "SELECT * FROM batches") == before
        vendor.jobs.clear()
        unknown = await batches(tmp_path, "--refresh")
        assert unknown.exit_code == 1
        assert "knows no job" in flat(unknown)


@BOTH
async def test_a_cancelled_job_leaves_what_it_answered_and_frees_the_rest(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind(by_itself=False)
    async with serving(vendor) as address:
        await one_under_way(tmp_path, vendor, address)
        kept = await batches(tmp_path, "--cancel", vendor.jobs[0].name, said="n\n")
        assert kept.exit_code == 2
        assert not vendor.jobs[0].cancelling
        done = await batches(tmp_path, "--cancel", vendor.jobs[0].name, said="y\n")
        assert done.exit_code == 0, done.output
        assert "1 answer in the cache; 2 requests free to be sent again" in flat(done)
        assert table(tmp_path, "SELECT status, requests FROM batches") == [("cancelled", None)]
        assert table(tmp_path, "SELECT count(*), sum(cost) FROM responses") == [(1, 0.5)]
        vendor.by_itself = True
        run = await ran(tmp_path)
        assert "3 items: 3 judged" in run.said
    assert [len(job.entries) for job in vendor.jobs] == [3, 2]
    paid_once(vendor, 3)


@BOTH
async def test_a_run_goes_on_where_waiting_for_a_cancelled_job_was_cut_off(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind(by_itself=False)
    async with serving(vendor) as address:
        await one_under_way(tmp_path, vendor, address)
        vendor.jobs[0].cancelling = True
        with_ended = vendor.jobs[0].name
        change(tmp_path, "UPDATE batches SET status = 'cancelling'")
        vendor.by_itself = True
        assert "3 items: 3 judged" in (await ran(tmp_path)).said
    assert table(tmp_path, f"SELECT status FROM batches WHERE id = '{with_ended}'") == [("cancelled",)]
    assert vendor.submissions == 2
    paid_once(vendor, 3)


@BOTH
async def test_what_is_cancelled_elsewhere_during_a_run_is_not_sent_anew_by_it(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind(by_itself=False)
    vendor.cancels_next = True
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        assert "2 failed" in (await ran(tmp_path)).said
    assert vendor.submissions == 1
    assert sorted(row[1] for row in newest(tmp_path)) == ["answered", "failed", "failed"]
    assert "was cancelled at the vendor" in str(newest(tmp_path))


async def test_a_job_that_may_not_have_been_taken_is_freed_on_the_users_word_alone(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        vendor.silent = True
        await cut_off(tmp_path, lambda: vendor.until(lambda: bool(vendor.jobs)))
        vendor.jobs.clear()
        tag = table(tmp_path, "SELECT id FROM batches")[0][0]
        assert "not in the vendor's list" in flat(await batches(tmp_path, "--refresh"))
        done = await batches(tmp_path, "--cancel", tag, said="y\n")
        assert done.exit_code == 0, done.output
        assert "you pay for its requests a second time" in flat(done)
        assert "2 items: 2 judged" in (await ran(tmp_path)).said
        gone = await batches(tmp_path, "--cancel", tag)
        assert "is over (failed)" in str(gone.exception)
    assert vendor.submissions == 2


async def test_what_cannot_be_cancelled_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = OpenAI(by_itself=False)
    async with serving(vendor) as address:
        await one_under_way(tmp_path, vendor, address)
        assert "knows no job 'elsewhere'" in str((await batches(tmp_path, "--cancel", "elsewhere")).exception)
        path = tmp_path / "bench.toml"
        text = path.read_text()
        path.write_text(text.replace('model = "a-model"', 'model = "b-model"'))
        assert "belongs to no model in it" in str((await batches(tmp_path, "--cancel", vendor.jobs[0].name)).exception)
        path.write_text(text)
        monkeypatch.delenv("BATCH_KEY")
        assert "BATCH_KEY is not set" in str((await batches(tmp_path, "--cancel", vendor.jobs[0].name)).exception)
    assert not vendor.jobs[0].cancelling
