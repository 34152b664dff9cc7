"""A server that the run starts: it is waited for, asked, started again where it dies, and gone in the end, whatever it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import psutil
import pytest
from living import is_alive, still_alive
from unisafe_providers.base import Capabilities, Misconfigured, OnDevice, Provider, Rejected, Request, Response, Text, Withdrawn
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.served import server
from unisafe_providers.served.command import Start, build_environment, find_program, restrict_devices
from unisafe_providers.served.provider import ServedProvider

FAKE = Path(__file__).parents[2] / "fake_server.py"
pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="groups of processes are Unix's")]


class Fake:
    """A provider of the fake server, and what that server did."""

    def __init__(self, folder: Path, *arguments: str, patience: float = 20.0, command: Sequence[str] | None = None) -> None:
        self.folder = folder
        self.log = folder / "events"
        command = command or [sys.executable, "-S", str(FAKE), "tiny", "--port", "{port}", "--events", str(self.log), *arguments]
        start = Start(
            command=tuple(command),
            model="tiny",
            ready="/health",
            patience=patience,
            environment=build_environment([], None, ["auto"]),
            folder=folder,
            leave=0.5,
        )
        self.provider = ServedProvider(
            identity="tiny", name="tiny", capabilities=Capabilities(), devices=["auto"], start=start, ask_at=self.ask_at
        )

    @staticmethod
    def ask_at(url: str) -> Provider:
        return OpenAICompatible("tiny", url, "none", Capabilities(), timeout=10)

    def events(self, kind: str) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removeprefix(f"{kind} ") for line in lines if line.startswith(f"{kind} ")]

    async def has_done(self, kind: str) -> None:
        while not self.events(kind):  # noqa: ASYNC110 another process writes them
            await anyio.sleep(0.02)

    def processes(self) -> list[int]:
        return [int(line.split()[0]) for line in [*self.events("start"), *self.events("child")]]

    async def answers(self, *words: str) -> list[Response | Exception]:
        """What came of requests that were made at once."""
        found: list[Response | Exception] = [ValueError()] * len(words)

        async def ask(place: int, text: str) -> None:
            try:
                found[place] = await self.provider.call(Request(kind="chat", parts=(Text(text),)))
            except (Misconfigured, Rejected, Withdrawn) as error:
                found[place] = error

        async with anyio.create_task_group() as group:
            for place, text in enumerate(words):
                group.start_soon(ask, place, text)
        return found


def words(number: int) -> list[str]:
    return [f"question {place}" for place in range(number)]


def read(path: str) -> str:
    return Path(path).read_text()


async def are_gone(fake: Fake) -> bool:
    """Whether none of its processes is left: a signal that was sent takes a moment."""
    return not await anyio.to_thread.run_sync(still_alive, fake.processes())


async def test_it_starts_at_the_first_call_says_what_it_does_and_is_gone_when_it_is_released(tmp_path: Path) -> None:
    loaded = anyio.Path(tmp_path / "loaded")
    fake = Fake(tmp_path, "--loads-until", str(loaded))
    async with fake.provider as provider:
        assert isinstance(provider, OnDevice)
        assert not fake.events("start")

        async def let_it_load() -> None:
            while not provider.status.said.startswith("loading shard"):  # noqa: ASYNC110 another process says it
                await anyio.sleep(0.02)
            assert provider.status.state == "loading"
            await loaded.touch()

        async with anyio.create_task_group() as group:
            group.start_soon(let_it_load)
            answers = await fake.answers(*words(20))
        assert all(isinstance(answer, Response) and answer.text.startswith("An answer") for answer in answers)
        assert provider.status.state == "ready"
        assert provider.status.load_seconds > 0
        assert "loading shard 1 of 2" in read(provider.status.log)
        await provider.release()
        assert provider.status.state == "unloaded"
        assert await are_gone(fake)
        assert isinstance((await fake.answers("again"))[0], Response)
        assert len(fake.events("start")) == 2
    assert await are_gone(fake)


async def test_a_server_that_dies_is_started_again_and_its_items_are_asked_again(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "--dies-once", str(tmp_path / "died"), "--latency", "0.05")
    async with fake.provider as provider:
        answers = await fake.answers(*words(8))
        assert all(isinstance(answer, Response) for answer in answers)
        assert len(fake.events("start")) == 2
        assert "ended by itself once" in " ".join(provider.notes)


async def test_a_request_that_ends_the_server_each_time_fails_alone(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "--dies-on", "poison")
    async with fake.provider:
        answers = await fake.answers("one", "two", "poison", "three", "four")
    assert [type(answer) for answer in answers] == [Response, Response, Rejected, Response, Response]
    assert "asked this alone, the server ended with exit code 9: RuntimeError: the engine is gone" in str(answers[2])


async def test_after_a_death_a_rejected_request_does_not_hold_the_others_up(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "--dies-once", str(tmp_path / "died"), "--rejects", "bad", "--latency", "0.1")
    async with fake.provider:
        answers = await fake.answers("bad", "one", "two")
        assert [type(answer) for answer in answers] == [Rejected, Response, Response]
        before = len(fake.events("under-way"))
        await fake.answers(*words(4))
    assert max(map(int, fake.events("under-way")[before:])) > 1


async def test_no_process_beside_the_server_gets_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "a secret")
    fake = Fake(tmp_path)
    async with fake.provider:
        await fake.answers("hello")
        started = psutil.Process().children(recursive=True)
        assert len(started) >= 2
        assert not any("ACME_API_KEY" in one.environ() for one in started if one.status() != psutil.STATUS_ZOMBIE)


async def test_a_server_that_always_dies_stops_its_model(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "--dies-always")
    async with fake.provider:
        answers = await fake.answers(*words(12))
        assert not any(isinstance(answer, Response) for answer in answers)
        assert sum(isinstance(answer, Misconfigured) for answer in answers) >= 9
        assert "without an answer" in str(next(answer for answer in answers if isinstance(answer, Misconfigured)))
        assert len(fake.events("start")) <= 4


async def test_one_that_cannot_start_stops_its_model_with_its_last_words_and_its_log(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "--dies-loading")
    async with fake.provider as provider:
        answers = await fake.answers(*words(3))
        assert all(isinstance(answer, Misconfigured) for answer in answers)
        said = str(answers[0])
        assert "ended with exit code 3 before it was ready: ValueError: the model needs 40.2 GiB" in said
        assert read(said.rpartition("its log: ")[2]).startswith("ValueError")
        assert provider.status.state == "failed"
        assert len(fake.events("start")) == 1


async def test_a_silent_start_ends_after_its_patience_and_a_slow_one_that_speaks_does_not(tmp_path: Path) -> None:
    silent = Fake(tmp_path / "silent", "--silent", patience=0.4)
    speaking = Fake(tmp_path / "speaking", "--slow", "1.2", patience=0.4)
    for fake in (silent, speaking):
        fake.folder.mkdir()
        async with fake.provider:
            answers = await fake.answers("hello")
        if fake is silent:
            assert "said nothing for 0.4 s" in str(answers[0])
        else:
            assert isinstance(answers[0], Response)
        assert await are_gone(fake)


async def test_a_taken_port_is_left_for_another_one(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "--occupied-once", str(tmp_path / "occupied"))
    async with fake.provider:
        assert isinstance((await fake.answers("hello"))[0], Response)
    ports = [line.split()[1] for line in fake.events("start")]
    assert len(ports) == 2
    assert ports[0] != ports[1]


def test_two_servers_that_start_at_once_never_get_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = iter([5001, 5001, 5002, 5001])
    monkeypatch.setattr(server, "find_free_port", lambda: next(offered))
    with server.reserve_port() as first, server.reserve_port() as second:
        assert (first, second) == (5001, 5002)
    with server.reserve_port() as again:
        assert again == 5001


async def test_one_that_hears_no_sigterm_is_killed_with_the_child_that_it_forked(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "--hangs", "--forks")
    async with fake.provider:
        await fake.answers("hello")
        assert len(fake.processes()) == 2
        assert all(map(is_alive, fake.processes()))
        await fake.provider.release()
        assert await are_gone(fake)


@pytest.mark.parametrize("state", ["loading", "asked"])
async def test_a_cancelled_run_leaves_no_server(tmp_path: Path, state: str) -> None:
    fake = Fake(tmp_path, "--forks", "--hangs", *(["--slow", "60"] if state == "loading" else ["--latency", "60"]))
    with anyio.CancelScope() as scope:
        async with fake.provider, anyio.create_task_group() as group:
            group.start_soon(fake.answers, "hello")
            await fake.has_done("child" if state == "loading" else "asked")
            scope.cancel()
    assert await are_gone(fake)


async def test_a_run_that_stops_gives_up_the_calls_that_wait_for_the_server(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "--slow", "60")
    async with fake.provider, anyio.create_task_group() as group:

        async def withdraw() -> None:
            await fake.has_done("start")
            fake.provider.withdraw()

        group.start_soon(withdraw)
        assert all(isinstance(answer, Withdrawn) for answer in await fake.answers(*words(3)))


def test_the_server_of_a_killed_run_ends_too(tmp_path: Path) -> None:
    """SIGKILL, as the kernel sends it where memory runs out: the run itself can stop nothing any more."""
    script = (
        f"import sys, anyio; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path; from test_served import Fake\n"
        "async def main():\n"
        f"    fake = Fake(Path({str(tmp_path)!r}), '--forks')\n"
        "    async with fake.provider:\n"
        "        await fake.answers('hello'); print('up', flush=True); await anyio.sleep(600)\n"
        "anyio.run(main)\n"
    )
    folders = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": folders}
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"up\n"
        started = Fake(tmp_path).processes()
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert len(started) == 2
    assert still_alive(started[:1]) == []
    psutil.Process(started[1]).kill()  # it hears no SIGTERM, and would be killed in ten seconds


async def test_a_program_that_is_not_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    fake = Fake(tmp_path, command=["no-such-server", "--port", "{port}"])
    async with fake.provider:
        said = str((await fake.answers("hello"))[0])
    assert said.startswith("no-such-server is not on PATH")
    assert "python =" in said


def test_a_server_gets_no_key_and_what_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("LICENCE_OF_MODEL", "abc")
    monkeypatch.setenv("OTHER", "abc")
    environment = build_environment(["LICENCE_OF_MODEL"], "/envs/vllm/bin/python", ["auto"])
    assert environment["LICENCE_OF_MODEL"] == "abc"
    assert not {"OPENAI_API_KEY", "OTHER"} & environment.keys()
    assert environment["PATH"].startswith("/envs/vllm/bin" + os.pathsep)
    (tmp_path / "serve").write_text("#!/bin/sh\n")
    (tmp_path / "serve").chmod(0o755)
    assert find_program("./serve", tmp_path, environment) == str(tmp_path / "serve")


@pytest.mark.parametrize(
    ("devices", "outside", "seen"),
    [
        (["auto"], {}, {}),
        (["cuda:1"], {}, {"CUDA_VISIBLE_DEVICES": "1"}),
        (["cuda:0", "cuda:1"], {"CUDA_VISIBLE_DEVICES": "5,7"}, {"CUDA_VISIBLE_DEVICES": "5,7"}),
        (["cuda:1"], {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}, {"CUDA_VISIBLE_DEVICES": "GPU-b"}),
        (["npu:2"], {}, {"ASCEND_RT_VISIBLE_DEVICES": "2"}),
    ],
)
def test_a_server_sees_its_own_devices(devices: list[str], outside: dict[str, str], seen: dict[str, str]) -> None:
    assert restrict_devices(devices, outside) == seen


def test_one_on_the_cpu_sees_no_gpu() -> None:
    assert restrict_devices(["cpu"], {"CUDA_VISIBLE_DEVICES": "0"})["CUDA_VISIBLE_DEVICES"] == ""
