"""The cache: what is committed is on disk, whoever else uses the file, and what is wrong with a file is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import duckdb
import pytest
from unisafe_cache import Answer, CacheError, Paid, Store, read_file
from unisafe_cache.file import share_file
from unisafe_providers.base import Image, Response, Usage

COUNT = "SELECT count(*) FROM responses"
WRITER = """
import sys, anyio
from pathlib import Path
from unisafe_cache import Answer, Paid, Store
from unisafe_providers.base import Response

async def main(path, name, number):
    async with Store(Path(path)) as store, anyio.create_task_group() as group:
        for index in range(int(number)):
            answer = Answer(store.ids.next(), Response(text=str(index)))
            paid = Paid(key=f"{name}-{index}", identity="m", request="{}", answer=answer, run="run")
            group.start_soon(store.commit, paid)

anyio.run(main, *sys.argv[1:])
"""


def paid(store: Store, key: str, response: Response) -> Paid:
    return Paid(key=key, identity="m", request="{}", answer=Answer(store.ids.next(), response), run="run")


async def test_an_answer_comes_back_whole(tmp_path: Path) -> None:
    image = Image.from_bytes(b"\x89PNG some pixels")
    response = Response(
        text="a text with \ud83d and \u202e",
        images=(image,),
        finish="blocked",
        reason="why",
        usage=Usage(tokens_in=1, tokens_out=2, images=1, cost=0.5),
        latency=1.5,
    )
    async with Store(tmp_path / "c.duckdb") as store:
        await store.commit(paid(store, "k", response))
    async with Store(tmp_path / "c.duckdb") as store:
        found = (await store.look_up(["k", "other"]))["k"].response
        assert await found.images[0].read() == b"\x89PNG some pixels"
    assert found.text == "a text with ? and \u202e"
    assert (found.finish, found.reason, found.usage, found.latency) == ("blocked", "why", response.usage, 1.5)


async def test_the_newest_answer_counts_and_older_ones_can_be_left_out(tmp_path: Path) -> None:
    async with Store(tmp_path / "c.duckdb") as store:
        await store.commit(paid(store, "k", Response(text="old")))
        since = store.ids.next()
        assert await store.look_up(["k"], since) == {}
        await store.commit(paid(store, "k", Response(text="new")))
        assert (await store.look_up(["k"]))["k"].response.text == "new"


async def test_another_process_reads_what_was_just_committed_while_the_store_is_open(tmp_path: Path) -> None:
    path = tmp_path / "c.duckdb"
    async with Store(path) as store:
        for number in range(1, 4):
            await store.commit(paid(store, f"k{number}", Response(text="x")))
            code = f"from pathlib import Path; from unisafe_cache import read_file; print(read_file(Path({str(path)!r}), lambda c: c.execute({COUNT!r}).fetchone()[0]))"
            done = await anyio.run_process([sys.executable, "-c", code])
            assert int(done.stdout) == number


def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.duckdb"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, "300"]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    keys = read_file(path, lambda connection: connection.execute("SELECT count(*), count(DISTINCT key) FROM responses").fetchone())
    assert keys == (900, 900)


async def test_a_run_that_is_cancelled_still_commits_what_it_paid_for(tmp_path: Path) -> None:
    path = tmp_path / "c.duckdb"
    with anyio.CancelScope() as scope:
        async with Store(path) as store:
            scope.cancel()
            with anyio.CancelScope(shield=True):
                await store.commit(paid(store, "k", Response(text="x")))
            await anyio.lowlevel.checkpoint()
    assert read_file(path, lambda connection: connection.execute(COUNT).fetchone()) == (1,)


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="does not exist yet"):
        read_file(tmp_path / "c.duckdb", lambda connection: None)
    assert list(tmp_path.iterdir()) == []


async def test_a_query_that_fails_is_said_and_the_store_goes_on(tmp_path: Path) -> None:
    async with Store(tmp_path / "c.duckdb") as store:
        with pytest.raises(CacheError, match="nowhere"):
            await store.query(lambda connection: connection.execute("SELECT * FROM nowhere"))
        await store.commit(paid(store, "k", Response(text="x")))
        assert "k" in await store.look_up(["k"])


async def test_a_full_disk_is_said_where_the_file_of_claims_cannot_grow(tmp_path: Path) -> None:
    (tmp_path / "c.duckdb.claims").symlink_to("/dev/full")
    async with Store(tmp_path / "c.duckdb") as store:
        with pytest.raises(CacheError, match="the disk is full"):
            await store.commit(paid(store, "k", Response(text="x")))
        with pytest.raises(CacheError, match="the disk is full"):
            await store.begin_job(lambda _: None)


def test_work_that_breaks_off_leaves_nothing_begun_to_whoever_shares_the_file(tmp_path: Path) -> None:
    def breaks_off(connection: duckdb.DuckDBPyConnection) -> None:
        connection.begin()
        connection.execute("DELETE FROM unisafe_meta")
        raise KeyError("a mistake of the program")

    def works(connection: duckdb.DuckDBPyConnection) -> tuple[int] | None:
        connection.begin()
        connection.commit()
        return connection.execute("SELECT count(*) FROM unisafe_meta").fetchone()

    file = share_file(tmp_path / "c.duckdb")
    with pytest.raises(KeyError):
        file.work(breaks_off)
    assert share_file(tmp_path / "c.duckdb").work(works) == (1,)
    file.close()
