"""A local model as a provider: a real model in a process of its own."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from tiny_models import LLAMA
from unisafe_providers.base import Capabilities, Misconfigured, OnDevice, Rejected, Request, Response, Text, Transient, Withdrawn
from unisafe_providers.local import LocalProvider, LocalSettings
from unisafe_providers.local.process import WorkerProcess

forked = pytest.mark.usefixtures("forked_models")
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
TOPICS = [
    "the sea",
    "mountains and the people who climb them for a living",
    "bread",
    "a small garden in the middle of a very large city",
]


def question(topic: str, **options: object) -> Request:
    return Request(
        kind="chat", parts=(Text(f"Write one sentence about {topic}."),), **{"max_tokens": 16, "temperature": 0.0, **options}
    )


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama, for what does not depend on what a model says."""
    return LLAMA.build(tmp_path_factory.mktemp("llama"))


def of(folder: Path, **options: object) -> LocalProvider:
    settings = LocalSettings(library="transformers", model=str(folder), **options)  # type: ignore[arg-type]
    return LocalProvider(settings, Capabilities(), ["cpu"])


def processes() -> list[psutil.Process]:
    """Processes that hold a model; one that has ended holds none."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            if "unisafe_providers.local.worker" in child.cmdline():
                found.append(child)
    return found


async def all_of(provider: LocalProvider, requests: list[Request]) -> list[Response | Exception]:
    answers: list[Response | Exception] = [Response()] * len(requests)

    async def one(place: int, request: Request) -> None:
        try:
            answers[place] = await provider.call(request)
        except Exception as error:
            answers[place] = error

    async with anyio.create_task_group() as group:
        for place, request in enumerate(requests):
            group.start_soon(one, place, request)
    return answers


def begun(provider: LocalProvider) -> anyio.Event:
    """Set once the first batch is under way."""
    event, told = anyio.Event(), provider.note_event

    def tell(worker: WorkerProcess, head: dict[str, Any]) -> None:
        told(worker, head)
        if head["type"] == "batch":
            event.set()

    provider.note_event = tell  # type: ignore[method-assign]
    return event


async def test_a_real_model_answers_in_sentences_and_gives_its_memory_back(
    smollm2: Path, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('a module of the folder that the user works in')")
    monkeypatch.chdir(tmp_path)
    async with of(smollm2, gguf_file=GGUF) as provider:
        assert isinstance(provider, OnDevice)
        assert not processes(), "nothing is loaded before it is asked"
        requests = [question(topic) for topic in TOPICS] + [question(TOPICS[0], temperature=0.9, seed=seed) for seed in (1, 2)]
        first = await all_of(provider, requests)
        assert all(isinstance(answer, Response) for answer in first), first
        texts = [answer.text for answer in first if isinstance(answer, Response)]
        assert all(len(text.split()) >= 5 and text.isascii() for text in texts), texts
        assert len(set(texts)) == len(texts), "topics and seeds differ, so the answers do"
        assert all(answer.usage.tokens_out == 16 and answer.finish == "length" for answer in first if isinstance(answer, Response))
        assert provider.status.tokens == 16 * len(requests)
        loaded = sum(process.memory_info().rss for process in processes())
        assert loaded > provider.size > 90_000_000

        await provider.release()
        assert not processes(), "a process that is gone holds no memory"
        assert provider.status.state == "unloaded"

        # Another process, another order, other batches: the same answers.
        request.getfixturevalue("forked_models")
        again = await all_of(provider, requests[::-1][:3]) + await all_of(provider, requests[:3])
        assert [answer.text for answer in again if isinstance(answer, Response)] == [*texts[::-1][:3], *texts[:3]]
    assert not processes()


@forked
async def test_a_process_that_dies_loses_only_the_batch_it_was_running(llama: Path) -> None:
    async with of(llama, batch_size=2) as provider, anyio.create_task_group() as group:
        first = begun(provider)

        async def kill_once() -> None:
            await first.wait()
            os.kill(processes()[0].pid, signal.SIGKILL)

        group.start_soon(kill_once)
        answers = await all_of(provider, [question(topic, max_tokens=300) for topic in [*TOPICS, "rain", "wool"]])
    lost = [answer for answer in answers if isinstance(answer, Exception)]
    assert 1 <= len(lost) <= 2
    assert all(
        isinstance(error, Transient) and "was ended by signal 9, as the kernel does when memory runs out" in str(error)
        for error in lost
    )
    assert sum(isinstance(answer, Response) for answer in answers) == len(answers) - len(lost)


@forked
async def test_memory_that_runs_out_halves_the_batch_and_loses_nobody(llama: Path) -> None:
    async with of(llama, batch_size=64, batch_tokens=100_000, memory_gb=0.6, attn="eager") as provider:
        long = " ".join(["and then the boat went on along the quiet river"] * 25)
        answers = await all_of(provider, [question(f"{number} {long}", max_tokens=2) for number in range(64)])
        assert all(isinstance(answer, Response) for answer in answers), [
            answer for answer in answers if isinstance(answer, Exception)
        ][:2]
        assert provider.status.halved >= 1


@forked
async def test_two_devices_hold_a_copy_each_and_both_are_fed(llama: Path) -> None:
    provider = LocalProvider(LocalSettings(library="transformers", model=str(llama), batch_size=2), Capabilities(), ["cpu", "cpu"])
    busy: Counter[int] = Counter()
    told = provider.note_event

    def tell(worker: WorkerProcess, head: dict[str, Any]) -> None:
        told(worker, head)
        if head["type"] == "batch":
            busy[id(worker)] += len(head["ids"])

    provider.note_event = tell  # type: ignore[method-assign]
    requests = [question(f"{topic} {number}", max_tokens=8) for topic in TOPICS for number in range(4)]
    async with provider:
        answers = await all_of(provider, requests)
        assert len(processes()) == 2
        assert provider.status.places == ("cpu", "cpu")
        assert sorted(busy.values()) == [8, 8], "each took half"
        texts = [answer.text for answer in answers if isinstance(answer, Response)]
        assert len(texts) == len(requests)
    async with of(llama) as alone:
        assert [answer.text for answer in await all_of(alone, requests) if isinstance(answer, Response)] == texts


@forked
async def test_what_no_batch_has_begun_is_given_up_when_the_run_stops(llama: Path) -> None:
    async with of(llama, batch_size=2) as provider, anyio.create_task_group() as group:
        first = begun(provider)

        async def withdraw_when_it_runs() -> None:
            await first.wait()
            provider.withdraw()

        group.start_soon(withdraw_when_it_runs)
        answers = await all_of(provider, [question(topic, max_tokens=300) for topic in TOPICS])
        assert [type(answer) for answer in answers].count(Response) == 2, "what was under way is finished and kept"
        assert [type(answer) for answer in answers].count(Withdrawn) == 2
        with pytest.raises(Withdrawn):
            await provider.call(question("rain"))


@forked
async def test_a_request_that_does_not_fit_the_model_fails_alone(llama: Path) -> None:
    async with of(llama) as provider:
        answers = await all_of(provider, [question("sand " * 9_000), question("rain", max_tokens=4)])
        assert isinstance(answers[0], Rejected)
        assert "tokens long, and the model takes 8,192" in str(answers[0])
        assert isinstance(answers[1], Response)


@forked
@pytest.mark.parametrize(
    ("device", "options", "words"),
    [
        ("cuda:0", {}, "device 'cuda:0' was asked for, but there is no CUDA GPU that this torch"),
        ("cpu", {"memory_gb": 0.01}, "not enough memory: its weights need at least 0.1 GiB and cpu has 0.0 GiB free"),
    ],
)
async def test_a_model_that_cannot_be_loaded_says_why(smollm2: Path, device: str, options: dict[str, float], words: str) -> None:
    settings = LocalSettings(library="transformers", model=str(smollm2), gguf_file=GGUF, **options)
    async with LocalProvider(settings, Capabilities(), [device]) as provider:
        for _ in range(2):
            with pytest.raises(Misconfigured) as raised:
                await provider.call(question("rain"))
            assert words in str(raised.value)
        assert provider.status.state == "failed"
    assert not processes()


@forked
async def test_a_broken_gguf_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    async with LocalProvider(
        LocalSettings(library="transformers", model=str(tmp_path / "broken.gguf")), Capabilities(), ["cpu"]
    ) as provider:
        with pytest.raises(Misconfigured, match=r"its GGUF file broken\.gguf cannot be loaded"):
            await provider.call(question("rain"))
