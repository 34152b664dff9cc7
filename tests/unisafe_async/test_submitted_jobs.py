"""Runs whose model answers by jobs, killed at the worst moment: a request that the vendor took is never submitted twice."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anyio
import duckdb
import forked
import pytest
from aiohttp import web
from anyio import to_thread
from typer.testing import CliRunner, Result
from unisafe_cache.maintenance import Prune, export, prune
from vendors import KEY, Asked, Reply, VendorServer
from vendors.background import BackgroundServer, finished
from vendors.jobs import MADE, BflServer

from tests.batch_bench import newest, table
from tests.cache.older_files import OlderFile
from tests.vendor_cases import PICTURE
from unisafe_async import evaluate, load_config
from unisafe_async.cli import app

ITEMS = 3
HEAD = """
[dataset]
source = "items.jsonl"
[cache]
path = "run.duckdb"
[judge]
provider = "simulated"
model = "judge"
simulation = { guess = 0.0 }
"""
WRITES = """
[[models]]
name = "slow"
provider = "openai"
api = "responses"
model = "m"
base_url = "{url}"
key_env = "JOBS_KEY"
extra = {{ background = true }}
price_in = 1000.0
price_out = 1000.0
max_tries = 3
"""
DRAWS = """
[[models]]
name = "draws"
provider = "bfl"
model = "flux-2-pro"
base_url = "{url}"
key_env = "JOBS_KEY"
takes = ["text"]
gives = ["image"]
"""


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between polls of runs in this process."""
    monkeypatch.setattr("unisafe_providers.hosted.jobs.FIRST_PAUSE", 0.01)


def bench(folder: Path, server: VendorServer, model: str = WRITES, task: str = "malicious_text_generation") -> None:
    lines = [
        {
            "id": number,
            "task": task,
            "prompt": f"Mild {number}.",
            "category": "Politics",
            "intention": "none",
        }
        for number in range(ITEMS)
    ]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "bench.toml").write_text(HEAD + model.format(url=server.url))


async def until(reached: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not reached():  # noqa: ASYNC110 the server is another's code
            await anyio.sleep(0.01)


async def killed(folder: Path, *, at: Callable[[], bool]) -> None:
    """A run that is killed at a point."""
    with forked.begun("run", cwd=folder, env=dict(os.environ)) as (process, printed):
        await until(lambda: process.poll() is not None or at())
        assert process.poll() is None, printed.read()
        process.kill()
        process.wait()


async def ended(folder: Path, *words: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    done = await to_thread.run_sync(lambda: forked.unisafe(*(words or ("run",)), cwd=folder, env=dict(os.environ), timeout=60))
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


async def batches(folder: Path, *words: str, said: str = "") -> Result:
    """`unisafe batches`, with what the user says to it."""
    words_ = ["batches", "--config", str(folder / "bench.toml"), *words]
    return await to_thread.run_sync(lambda: CliRunner(env={"COLUMNS": "100"}).invoke(app, words_, input=said))


def flat(result: Result) -> str:
    return " ".join(result.output.split())


def failing(number: int) -> Callable[[str, int], Reply | None]:
    """The first polls of each job from now on answer 500."""
    seen: dict[str, int] = {}

    def poll(name: str, _: int) -> Reply | None:
        seen[name] = seen.get(name, 0) + 1
        return Reply({"error": {"message": "busy"}}, 500) if seen[name] <= number else None

    return poll


async def test_killed_between_submission_and_answer_the_next_run_goes_on_with_the_same_jobs(tmp_path: Path) -> None:
    async with BackgroundServer() as server:
        bench(tmp_path, server)
        await killed(tmp_path, at=lambda: len(server.polls) == ITEMS)
        assert {(state, cost > 0) for state, cost in table(tmp_path, "SELECT state, cost FROM submitted_jobs")} == {
            ("submitted", True)
        }
        planned = (await ended(tmp_path, "plan"))[1]
        assert "slow: 3 requests submitted before and not answered yet" in planned
        assert re.search(r"slow +0 +0 ", planned)
        server.poll, server.finishes = failing(1), True
        code, output = await ended(tmp_path)
    assert code == 0, output
    assert "3 jobs of an earlier run gone on with, and not submitted again" in output
    assert server.submitted == {f"Mild {number}.": 1 for number in range(ITEMS)}
    assert [outcome for _, outcome, *_ in newest(tmp_path)] == ["answered"] * ITEMS
    assert table(tmp_path, "SELECT count(*) FROM submitted_jobs") == [(0,)]
    assert all(body["store"] is body["background"] is True for body in server.bodies)


async def test_a_second_run_on_the_cache_takes_over_what_a_killed_one_submitted(tmp_path: Path) -> None:
    async with BackgroundServer() as server:
        bench(tmp_path, server)
        with forked.begun("run", cwd=tmp_path, env=dict(os.environ)) as (first, _):
            await until(lambda: len(server.polls) == ITEMS)
            with forked.begun("run", cwd=tmp_path, env=dict(os.environ)) as (second, printed):
                polled = server.polls.total()
                await until(lambda: server.polls.total() > polled + ITEMS)
                assert server.submitted.total() == ITEMS
                first.kill()
                first.wait()
                server.finishes = True
                code, output = await to_thread.run_sync(forked.left_to_end, second, printed)
    assert code == 0, output
    assert server.submitted == {f"Mild {number}.": 1 for number in range(ITEMS)}
    assert [outcome for _, outcome, *_ in newest(tmp_path)] == ["answered"] * ITEMS


async def test_killed_while_submissions_are_on_the_wire_the_next_run_says_how_many_may_be_paid(tmp_path: Path) -> None:
    async with BackgroundServer(silent=True, finishes=True) as server:
        bench(tmp_path, server)
        await killed(tmp_path, at=lambda: server.submitted.total() == ITEMS)
        assert "3 submissions interrupted: perhaps paid for" in flat(await batches(tmp_path))
        server.silent = False
        code, output = await ended(tmp_path)
    assert code == 0, output
    assert "3 requests on the way to the vendor when an earlier run ended, and submitted again: perhaps paid for twice" in output


class Pictures(BflServer):
    """Black Forest Labs: each task is done at its second poll; its picture comes once `sends` is set."""

    picture = PICTURE

    def __init__(self) -> None:
        super().__init__(self.play)
        self.polls: Counter[str] = Counter()
        self.sends = False

    def play(self, asked: Asked) -> Reply:
        if asked.body:
            name = f"task-{len(self.submitted)}"
            return Reply({"id": name, "polling_url": f"{self.url}/get_result?id={name}", "cost": 4.0})
        name = asked.query["id"]
        self.polls[name] += 1
        done = {"status": "Ready", "result": {"sample": self.made}}
        return Reply({"id": name, **(done if self.polls[name] > 1 else {"status": "Pending", "result": None})})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        answer = await super()._answer(request)
        if request.path == MADE and not self.sends:
            await anyio.sleep_forever()
        return answer


async def test_killed_while_pictures_are_fetched_the_next_run_fetches_them_and_draws_none_again(tmp_path: Path) -> None:
    async with Pictures() as server:
        bench(tmp_path, server, DRAWS, task="unsafe_t2i_generation")
        await killed(tmp_path, at=lambda: server.fetched == ITEMS)
        server.sends = True
        code, output = await ended(tmp_path)
    assert code == 0, output
    assert sorted(asked.body["prompt"] for asked in server.submitted) == [f"Mild {number}." for number in range(ITEMS)]
    assert table(tmp_path, "SELECT count(*), round(sum(cost), 2) FROM responses WHERE len(images) = 1") == [(ITEMS, 0.12)]
    assert table(tmp_path, "SELECT count(*) FROM submitted_jobs") == [(0,)]


# ---------------------------------------------------------------- in this process


async def cut_off(folder: Path, server: BackgroundServer) -> None:
    """A run that stops at once, as at a second Ctrl-C."""
    async with anyio.create_task_group() as group:
        group.start_soon(evaluate, load_config(folder / "bench.toml"))
        await until(lambda: len(server.polls) == ITEMS)
        group.cancel_scope.cancel()


@pytest.mark.usefixtures("quick")
async def test_lost_jobs_are_listed_and_bought_again_only_when_the_user_frees_them(tmp_path: Path) -> None:
    async with BackgroundServer() as server:
        bench(tmp_path, server)
        await cut_off(tmp_path, server)
        listed = await batches(tmp_path)
        assert re.search(r"slow under way \d\d \w+ \d\d:\d\d resp_0001 \$\d+\.\d\d \d+\.\d s ago", flat(listed)), listed.output
        assert "3 submitted jobs under way" in flat(listed)
        told = json.loads((await batches(tmp_path, "--json")).output)
        assert told["batches"] == []
        assert {(job["model"], job["status"]) for job in told["submitted"]} == {("slow", "submitted")}
        assert {job["id"] for job in told["submitted"]} == {"resp_0001", "resp_0002", "resp_0003"}
        server.poll, server.finishes = (
            lambda name, _: None if name > "resp_0003" else Reply({"error": {"message": "none"}}, 404),
            True,
        )
        for _ in range(2):
            result = await evaluate(load_config(tmp_path / "bench.toml"))
            assert result.unjudged == ITEMS
        assert server.submitted.total() == ITEMS
        errors = [error for *_, error in newest(tmp_path)]
        assert all(
            re.search(r"no longer has the response (resp_000\d), .* its job \1 was paid for; .*--cancel \1`", error)
            for error in errors
        )
        assert "3 jobs lost: paid for" in flat(await batches(tmp_path))
        kept = await batches(tmp_path, "--cancel", "resp_0001", said="n\n")
        assert (kept.exit_code, "pays for the request a second time" in flat(kept)) == (2, True)
        for name, why in (("resp_9", "the cache knows no job 'resp_9'"), ("resp_000", "3 submitted jobs begin with 'resp_000'")):
            assert why in str((await batches(tmp_path, "--cancel", name)).exception)
        freed = await batches(tmp_path, "--cancel", "resp_0001", said="y\n")
        assert (freed.exit_code, "1 request free" in flat(freed)) == (0, True)
        assert "2 requests free" in flat(await batches(tmp_path, "--cancel", "lost", "--yes"))
        assert flat(await batches(tmp_path)) == "no batch jobs yet"
        assert (await evaluate(load_config(tmp_path / "bench.toml"))).unjudged == 0
    assert set(server.submitted.values()) == {2}


@pytest.mark.usefixtures("quick")
async def test_a_job_that_a_run_is_asking_for_is_not_freed(tmp_path: Path) -> None:
    async with BackgroundServer() as server:
        bench(tmp_path, server)
        with forked.begun("run", cwd=tmp_path, env=dict(os.environ)) as (process, _):
            await until(lambda: len(server.polls) == ITEMS)
            refused = await batches(tmp_path, "--cancel", "resp_0002", "--yes")
            process.kill()
            process.wait()
        assert "a run is asking for the answer" in str(refused.exception)
    assert table(tmp_path, "SELECT count(*) FROM submitted_jobs") == [(ITEMS,)]


@pytest.mark.usefixtures("quick")
async def test_a_cache_of_the_former_format_takes_jobs_and_keeps_what_it_held(tmp_path: Path) -> None:
    old = OlderFile(tmp_path / "run.duckdb", 4)
    old.answer(text="paid for before")
    async with BackgroundServer() as server:
        bench(tmp_path, server)
        await cut_off(tmp_path, server)
        server.finishes = True
        assert (await evaluate(load_config(tmp_path / "bench.toml"))).unjudged == 0
    assert set(server.submitted.values()) == {1}
    assert table(tmp_path, "SELECT count(*) FROM responses WHERE text = 'paid for before'") == [(1,)]


@pytest.mark.usefixtures("quick")
async def test_archives_and_exports_hold_no_job(tmp_path: Path) -> None:
    async with BackgroundServer() as server:
        bench(tmp_path, server)
        server.poll = lambda name, _: finished(name) if name == "resp_0001" else None
        await cut_off(tmp_path, server)
    assert "2 submitted jobs not answered yet" in (await ended(tmp_path, "cache", "stats"))[1]
    export(tmp_path / "run.duckdb", tmp_path / "tables")
    assert (await ended(tmp_path, "export", "--output", "a.zip"))[0] == 0
    written = [*(tmp_path / "tables").iterdir(), tmp_path / "a.zip"]
    assert "submitted_jobs" not in {path.stem for path in written}
    assert not any(b"resp_0002" in path.read_bytes() for path in written)
    prune(tmp_path / "run.duckdb", Prune(older_than=0))
    assert table(tmp_path, "SELECT count(*) FROM submitted_jobs") == [(2,)]


async def test_a_file_whose_jobs_another_program_changed_is_refused(tmp_path: Path) -> None:
    async with BackgroundServer() as server:
        bench(tmp_path, server)
        await cut_off(tmp_path, server)
    with duckdb.connect(str(tmp_path / "run.duckdb")) as connection:
        connection.execute("""UPDATE submitted_jobs SET job = '{"name": "x", "poll": "file:///etc/passwd", "cost": null}'""")
    refused = await batches(tmp_path)
    assert "submitted jobs cannot be read" in str(refused.exception)
