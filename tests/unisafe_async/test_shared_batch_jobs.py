"""Jobs that several runs, or a run and its user, have to do with: each request is paid for once, and nobody waits for nothing."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from typer.testing import CliRunner

from tests.batch_bench import bench, change, cut_off, newest, paid_once, planned, ran, table, unisafe
from tests.batch_servers import KEY, Anthropic, OpenAI, Vendor, serving
from unisafe_async.cli import app

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("kind", [OpenAI, Anthropic])


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "400")


async def under_way(folder: Path, vendor: Vendor, address: str, items: int = 3) -> None:
    """A job at the vendor whose run was cut off."""
    bench(folder, vendor, address, items)
    await cut_off(folder, lambda: vendor.until(lambda: bool(vendor.jobs) and vendor.jobs[0].looks > 0))


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "bench.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@BOTH
async def test_what_waits_in_a_job_is_not_paid_for_online(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind(by_itself=False)
    async with serving(vendor) as address:
        await under_way(tmp_path, vendor, address, 3)
        edit(tmp_path, 'mode = "batch"\nbatch_poll_s = 0.02\n', "")
        assert "0 calls to make" in (plan := await planned(tmp_path))
        assert "m: 3 calls in batch jobs under way, which a run online does not repeat" in plan
        assert "3 items: 0 judged, 3 failed" in (await ran(tmp_path)).said
        error = newest(tmp_path)[0][4]
        assert f"is in the batch job {vendor.jobs[0].name}" in error
        assert f"unisafe batches --cancel {vendor.jobs[0].name}" in error
        edit(tmp_path, 'key_env = "BATCH_KEY"\n', 'key_env = "BATCH_KEY"\nmode = "batch"\nbatch_poll_s = 0.02\n')
        vendor.by_itself = True
        assert "3 items: 3 judged" in (await ran(tmp_path)).said
    paid_once(vendor, 3)


@BOTH
async def test_two_runs_at_once_share_their_jobs(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind(by_itself=False)
    vendor.holds_first = True  # so that the other run hands over the second, before the first run comes to it
    said: list[str] = []
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 4, model="batch_size = 2")

        async def run() -> None:
            said.append((await unisafe(tmp_path, "run")).stdout)

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            group.start_soon(run)
            await vendor.until(lambda: len(vendor.jobs) == 2 and min(job.looks for job in vendor.jobs) > 3)
            vendor.by_itself = True
    assert all("4 items: 4 judged" in one for one in said)
    assert vendor.submissions == 2
    paid_once(vendor, 4)


@BOTH
async def test_a_job_that_another_run_has_named_meanwhile_is_not_looked_for(tmp_path: Path, kind: type[Vendor]) -> None:
    """A run finds a job of another one that is being handed over: it learns the vendor's name from the cache, not from the list."""
    vendor = kind()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        vendor.silent = True
        await cut_off(tmp_path, lambda: vendor.until(lambda: bool(vendor.jobs)))
        vendor.hides_newest = 1_000_000
        async with anyio.create_task_group() as group:
            group.start_soon(ran, tmp_path)
            await vendor.until(lambda: vendor.lists > 0)
            await to_thread.run_sync(change_when_free, tmp_path, vendor.jobs[0].name)
        assert [row[1] for row in newest(tmp_path)] == ["answered"] * 3
    assert vendor.submissions == 1
    paid_once(vendor, 3)


def change_when_free(folder: Path, job: str) -> None:
    """As another process does it, whenever the file is free."""
    import duckdb

    while True:
        try:
            change(folder, f"UPDATE batches SET id = '{job}', status = 'submitted'")
            return
        except duckdb.Error:
            continue


async def test_nobody_waits_for_a_job_of_items_that_are_not_asked_for(tmp_path: Path) -> None:
    vendor = OpenAI(by_itself=False)
    async with serving(vendor) as address:
        await under_way(tmp_path, vendor, address, 2)
        items = tmp_path / "items.jsonl"
        items.write_text(items.read_text().splitlines()[0].replace("Mild stand-in 00", "Another mild stand-in"))
        async with anyio.create_task_group() as group:
            group.start_soon(ran, tmp_path)
            await vendor.until(lambda: len(vendor.jobs) == 2)
            vendor.finish(vendor.jobs[1])
        assert "1 items: 1 judged" in (await ran(tmp_path)).said.replace("1 item:", "1 items:"), "and not when all is in the cache"
    assert not vendor.jobs[0].ended
    assert table(tmp_path, "SELECT status FROM batches ORDER BY created") == [("submitted",), ("collected",)]


@BOTH
async def test_a_job_whose_results_are_gone_can_be_given_up(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind(by_itself=False)
    async with serving(vendor) as address:
        await under_way(tmp_path, vendor, address, 3)
        vendor.finish(vendor.jobs[0])
        vendor.results_gone = True
        done = await ran(tmp_path)
        assert done.unjudged == 3
        assert f"`unisafe batches --cancel {vendor.jobs[0].name}` frees its requests" in done.said
        words = ["batches", "--config", str(tmp_path / "bench.toml"), "--cancel", vendor.jobs[0].name, "--yes"]
        freed = await to_thread.run_sync(lambda: CliRunner().invoke(app, words))
        assert freed.exit_code == 0, freed.output
        assert "0 answers in the cache; 3 requests free" in " ".join(freed.output.split())
        vendor.results_gone, vendor.by_itself = False, True
        assert "3 items: 3 judged" in (await ran(tmp_path)).said
    assert vendor.submissions == 2


async def test_a_vendor_that_cannot_be_asked_does_not_keep_the_others_from_it(tmp_path: Path) -> None:
    vendor = OpenAI(by_itself=False)
    async with serving(vendor) as address:
        await under_way(tmp_path, vendor, address, 3)
        path = tmp_path / "bench.toml"
        text = path.read_text()
        second = text[text.index("[[models]]") :].replace('name = "m"', 'name = "n"').replace("a-model", "b-model")
        path.write_text(text + second)
        async with anyio.create_task_group() as group:
            group.start_soon(ran, tmp_path)
            await vendor.until(lambda: len(vendor.jobs) == 2 and vendor.jobs[1].looks > 0)
            group.cancel_scope.cancel()
        path.write_text(text + second.replace("BATCH_KEY", "NO_SUCH_KEY_HERE"))
        words = ["batches", "--config", str(path), "--refresh"]
        done = await to_thread.run_sync(lambda: CliRunner().invoke(app, words))
    assert done.exit_code == 1
    assert "in progress" in done.output
    assert "NO_SUCH_KEY_HERE is not set" in " ".join(done.output.split())
