"""Runs that are cut off, throttled and shared: nothing is lost, nothing is paid for twice, and the rows are the same."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import anyio
import forked
import pytest
from unisafe_cache import read_file

from unisafe_async.benchmark import open_dataset
from unisafe_async.simulate import Faults, Simulator, open_server

KEY = "sk-planted-5f1e0c7a9b"
AT_ONCE = 8
BENCH = """
[dataset]
source = "sample"
[cache]
path = "{cache}"
[judge]
provider = "openai"
model = "judge"
base_url = "{url}"
key_env = "UNISAFE_TEST_KEY"
max_concurrency = {at_once}
timeout_s = 10
[[models]]
name = "balanced [bold]"
provider = "openai"
model = "balanced"
base_url = "{url}"
key_env = "UNISAFE_TEST_KEY"
takes = ["text", "image"]
gives = ["text", "image"]
max_concurrency = {at_once}
timeout_s = 10
"""


def write_bench(folder: Path, url: str, cache: str = "run.duckdb") -> Path:
    path = folder / f"{cache}.toml"
    path.write_text(BENCH.format(url=url, cache=cache, at_once=AT_ONCE))
    return path


@contextmanager
def unisafe(*arguments: str, folder: Path, program: str = forked.PROGRAM) -> Iterator[tuple[forked.Process, IO[str]]]:
    """The command under way, and what it prints; it is killed where it has not ended."""
    with forked.begun(
        *arguments, cwd=folder, env={**os.environ, "UNISAFE_TEST_KEY": KEY, "COLUMNS": "400"}, program=program
    ) as under_way:
        yield under_way


async def finished(*arguments: str, folder: Path, **options: Any) -> tuple[int, str]:
    """Exit code and output of a command that is left to end."""
    with unisafe(*arguments, folder=folder, **options) as (process, printed):
        return await ended(process, printed)


async def ended(process: forked.Process, printed: IO[str]) -> tuple[int, str]:
    """Exit code, and what was printed and not read yet, of a command that ends by itself."""
    return await anyio.to_thread.run_sync(forked.left_to_end, process, printed)


def rows(path: Path) -> list[tuple]:
    """The newest run's rows without what may differ: run, ids and times."""
    sql = """
        SELECT item, model, sample, outcome, contextual, contextual_status, intrinsic, intrinsic_status
        FROM rows WHERE run = (SELECT run FROM runs ORDER BY started DESC LIMIT 1) ORDER BY ALL
    """
    return read_file(path, lambda connection: connection.execute(sql).fetchall())


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def until(simulator: Simulator, answers: int, process: forked.Process) -> int:
    """Wait for so many answers; how many were given in the last quarter of a second, and so may not be on disk yet."""
    recent: deque[tuple[float, int]] = deque()
    while process.poll() is None:
        given = simulator.seen.answers.total()
        recent.append((time.monotonic(), given))
        while recent[0][0] < time.monotonic() - 0.25:
            recent.popleft()
        if given >= answers:
            return given - recent[0][1]
        await anyio.sleep(0.002)
    return 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """The rows of an uninterrupted, faultless run; its server saw no call twice."""

    async def run() -> list[tuple]:
        folder = tmp_path_factory.mktemp("whole")
        simulator = Simulator(open_dataset("sample"), key=KEY)
        async with open_server(simulator) as url:
            code, output = await finished("run", "-c", str(write_bench(folder, url)), folder=folder)
        assert code == 0, output
        assert simulator.seen.stats()["repeats"] == 0
        return rows(folder / "run.duckdb")

    found = anyio.run(run)
    assert len(found) == 101
    return found


async def test_killed_eleven_times_and_resumed_nothing_is_lost_or_paid_twice(tmp_path: Path, whole: list[tuple]) -> None:
    chance = random.Random(7)
    simulator = Simulator(open_dataset("sample"), key=KEY, latency=0.02)
    allowed = kills = 0
    async with open_server(simulator) as url:
        bench = write_bench(tmp_path, url)
        while kills < 11:
            with unisafe("run", "-c", str(bench), folder=tmp_path) as (process, _):
                fresh = await until(simulator, simulator.seen.answers.total() + chance.randint(1, 28), process)
                assert process.poll() is None, "the run ended before it could be killed as often as planned"
                allowed += simulator.seen.in_flight + fresh
                process.kill()
                process.wait()
                kills += 1
        code, output = await finished("run", "-c", str(bench), folder=tmp_path)
    assert code == 0, output
    assert rows(tmp_path / "run.duckdb") == whole
    assert simulator.seen.stats()["repeats"] <= allowed


async def test_one_ctrl_c_keeps_what_is_in_flight(tmp_path: Path, whole: list[tuple]) -> None:
    simulator = Simulator(open_dataset("sample"), key=KEY, latency=0.3)
    async with open_server(simulator) as url:
        bench = write_bench(tmp_path, url)
        with unisafe("run", "-c", str(bench), folder=tmp_path) as (process, printed):
            await until(simulator, 30, process)
            process.send_signal(signal.SIGINT)
            code, output = await ended(process, printed)
        assert code == 130, output
        assert "not reached" in output
        code, output = await finished("run", "-c", str(bench), folder=tmp_path)
    assert code == 0, output
    assert rows(tmp_path / "run.duckdb") == whole
    assert simulator.seen.stats()["repeats"] == 0


async def test_two_ctrl_c_stop_at_once_and_the_next_run_goes_on(tmp_path: Path, whole: list[tuple]) -> None:
    simulator = Simulator(open_dataset("sample"), key=KEY, latency=1.0)
    async with open_server(simulator) as url:
        bench = write_bench(tmp_path, url)
        with unisafe("run", "-c", str(bench), folder=tmp_path) as (process, printed):
            await until(simulator, 20, process)
            process.send_signal(signal.SIGINT)
            await anyio.to_thread.run_sync(lambda: next(line for line in printed if "stopping" in line))
            process.send_signal(signal.SIGINT)
            code, output = await ended(process, printed)
        assert code == 130, output
        assert "Traceback" not in output
    fast = Simulator(open_dataset("sample"), key=KEY)
    fast.seen = simulator.seen
    async with open_server(fast, port=int(url.rsplit(":", 1)[1].split("/")[0])):
        code, output = await finished("run", "-c", str(bench), folder=tmp_path)
    assert code == 0, output
    assert rows(tmp_path / "run.duckdb") == whole
    assert simulator.seen.stats()["repeats"] <= 2 * AT_ONCE, "more than the model and the judge have in flight at most"


async def test_faults_of_every_kind_change_no_verdict(tmp_path: Path, whole: list[tuple]) -> None:
    faults = Faults(rate_limited=0.2, unavailable=0.1, dropped=0.05, truncated=0.05)
    simulator = Simulator(open_dataset("sample"), key=KEY, faults=faults, retry_after=0.01)
    async with open_server(simulator) as url:
        code, output = await finished("run", "-c", str(write_bench(tmp_path, url)), folder=tmp_path)
    assert code == 0, output
    assert rows(tmp_path / "run.duckdb") == whole
    assert all(simulator.seen.faults[name] for name in ("rate_limited", "unavailable", "dropped", "truncated"))


async def test_a_report_answers_while_a_run_writes(tmp_path: Path) -> None:
    simulator = Simulator(open_dataset("sample"), key=KEY, latency=0.3)
    async with open_server(simulator) as url:
        bench = write_bench(tmp_path, url)
        with unisafe("run", "-c", str(bench), folder=tmp_path) as (process, printed):
            await until(simulator, 60, process)
            code, output = await finished("report", "-c", str(bench), folder=tmp_path)
            assert process.poll() is None, "the run was over before the report came"
            assert code == 1
            assert "not run" in output
            assert (await ended(process, printed))[0] == 0


async def test_two_runs_share_one_cache_and_both_end_complete(tmp_path: Path, whole: list[tuple]) -> None:
    simulator = Simulator(open_dataset("sample"), key=KEY, latency=0.02)
    codes: list[int] = []
    async with open_server(simulator) as url:
        bench = write_bench(tmp_path, url)

        async def one() -> None:
            code, output = await finished("run", "-c", str(bench), folder=tmp_path)
            assert code == 0, output
            codes.append(code)

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            group.start_soon(one)
    count = "SELECT run, count(*) FILTER (contextual IS NOT NULL AND intrinsic IS NOT NULL) FROM rows GROUP BY run"
    found = read_file(tmp_path / "run.duckdb", lambda connection: connection.execute(count).fetchall())
    assert codes == [0, 0]
    assert Counter(judged for _, judged in found) == {101: 2}
    assert rows(tmp_path / "run.duckdb") == whole


async def test_a_key_is_in_no_file_and_no_output(tmp_path: Path) -> None:
    """Not in the cache, the exports, the tables or the errors."""
    simulator = Simulator(open_dataset("sample"), key=KEY)
    async with open_server(simulator) as url:
        bench = write_bench(tmp_path, url)
        said = [(await finished("run", "-c", str(bench), "--limit", "20", folder=tmp_path))[1]]
        wrong = tmp_path / "wrong.toml"
        wrong.write_text(bench.read_text().replace('model = "balanced"', 'model = "no-such"'))
        code, output = await finished("run", "-c", str(wrong), "--limit", "5", folder=tmp_path)
        assert code == 1
        assert "does not exist" in output
        said.append(output)
        for command in (["report"], ["runs"], ["cache", "stats"], ["cache", "export", "out"], ["show", "dual_unsafe_vqa/1"]):
            said.append((await finished(*command, "-c", str(bench), folder=tmp_path))[1])
    assert not any(KEY in output for output in said)
    assert not [path for path, content in everything(tmp_path).items() if KEY.encode() in content]
