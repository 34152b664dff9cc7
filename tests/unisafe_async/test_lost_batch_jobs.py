"""Jobs of which nobody said whether the vendor took them: found again for certain, and paid for twice only if the user says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from aiohttp import web

from tests.batch_bench import bench, change, cut_off, newest, paid_once, ran, table
from tests.batch_servers import KEY, Anthropic, OpenAI, Vendor, serving
from unisafe_async.run.batches import reconciliation

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("kind", [OpenAI, Anthropic])


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_KEY", KEY)


async def lost(folder: Path, vendor: Vendor) -> None:
    """A run that was stopped while the vendor took its job, an hour ago."""
    vendor.silent = True
    await cut_off(folder, lambda: vendor.until(lambda: bool(vendor.jobs)))
    change(folder, "UPDATE batches SET created = created - INTERVAL 1 HOUR")
    for job in vendor.jobs:
        job.created -= timedelta(hours=1)


@BOTH
async def test_a_job_that_the_vendor_lists_a_little_later_is_not_paid_twice(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind()
    vendor.dropped, vendor.hides_newest = True, 5
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        assert "3 items: 3 judged" in (await ran(tmp_path)).said
    assert vendor.submissions == 1
    paid_once(vendor, 3)


@BOTH
async def test_a_job_that_is_missed_for_long_enough_is_handed_over_again(
    tmp_path: Path, kind: type[Vendor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "ABSENT_FOR", timedelta(0))
    vendor = kind()
    vendor.dropped, vendor.hides_newest = True, 1_000_000
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        assert "3 items: 3 judged" in (await ran(tmp_path)).said
    assert vendor.submissions == 2
    assert vendor.lists == 2


@BOTH
async def test_one_look_is_not_enough_after_a_run_that_was_cut_off(tmp_path: Path, kind: type[Vendor]) -> None:
    vendor = kind()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        await lost(tmp_path, vendor)
        vendor.hides_newest = 1
        assert "3 items: 3 judged" in (await ran(tmp_path)).said
    assert vendor.submissions == 1
    paid_once(vendor, 3)


async def test_a_list_that_does_not_reach_back_is_no_reason_to_pay_again(tmp_path: Path) -> None:
    vendor = OpenAI()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        await lost(tmp_path, vendor)
        vendor.endless = True
        done = await ran(tmp_path)
        assert "2 failed" in done.said
        assert vendor.submissions == 1
        rows = newest(tmp_path)
        assert [row[1] for row in rows] == ["failed", "failed"]
        tag = table(tmp_path, "SELECT id FROM batches WHERE status = 'submitting'")[0][0]
        assert f"unisafe batches --cancel {tag}" in rows[0][4]
        vendor.endless = False
        assert "2 items: 2 judged" in (await ran(tmp_path)).said
    paid_once(vendor, 2)


async def test_a_job_of_the_same_size_that_is_still_in_progress_is_not_taken_for_ours(tmp_path: Path) -> None:
    vendor = Anthropic(by_itself=False)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        await lost(tmp_path, vendor)
        entries = vendor.jobs[0].entries
        vendor.jobs.clear()
        other = vendor.others(entries)
        other.created -= timedelta(hours=1)
        async with anyio.create_task_group() as group:
            group.start_soon(ran, tmp_path)
            await vendor.until(lambda: vendor.lists > 3)
            assert vendor.submissions == 1
            vendor.by_itself = True
            vendor.finish(other)
        assert (other.name,) not in table(tmp_path, "SELECT id FROM batches")
    assert [row[1:4] for row in newest(tmp_path)] == [("answered", 1, 1)] * 3
    assert vendor.submissions == 2
    paid_once(vendor, 3)


async def test_two_caches_with_the_same_requests_take_each_its_own_job(tmp_path: Path) -> None:
    vendor = Anthropic()
    async with serving(vendor) as address:
        for name in ("first", "second"):
            bench(tmp_path / name, vendor, address, 3)
        vendor.silent = True
        await cut_off(tmp_path / "first", lambda: vendor.until(lambda: len(vendor.jobs) == 1))
        await ran(tmp_path / "second")
        assert "3 items: 3 judged" in (await ran(tmp_path / "first")).said
    first, second = (table(tmp_path / name, "SELECT id FROM batches") for name in ("first", "second"))
    assert first == [(vendor.jobs[0].name,)]
    assert second == [(vendor.jobs[1].name,)]
    assert vendor.submissions == 2


async def test_the_second_of_several_jobs_is_found_again_too(tmp_path: Path) -> None:
    class DropsSecond(Anthropic):
        async def _create(self, request: web.Request) -> web.Response:
            self.dropped = len(self.jobs) == 1
            return await super()._create(request)

    vendor = DropsSecond()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 4, model="batch_size = 1")
        assert "4 items: 4 judged" in (await ran(tmp_path)).said
    assert vendor.submissions == 4
    paid_once(vendor, 4)
