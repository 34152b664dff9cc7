"""A model that a command runs: what it is asked, what it answers, what its crashes cost, and what is left of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from living import is_alive, still_alive
from unisafe_providers.base import (
    Capabilities,
    Image,
    Malformed,
    Misconfigured,
    Rejected,
    Request,
    Response,
    Text,
    Transient,
    Withdrawn,
    digest_of,
)
from unisafe_providers.command.lines import build_request
from unisafe_providers.command.provider import CommandProvider, digest_files
from unisafe_providers.command.settings import CommandSettings
from unisafe_providers.conformance import conforms_on_device
from unisafe_providers.workers import processes

SCRIPT = Path(__file__).parent / "script.py"
ALL = Capabilities(image_in=True, image_out=True, edit=True)
PICTURE = Image.from_bytes(b"\x89PNG\r\n\x1a\n a picture")
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def command(*mode: str, devices: Sequence[str] = (), able: Capabilities = ALL, **settings: object) -> CommandProvider:
    started = CommandSettings(name="Acme-7B", command=(sys.executable, "-S", str(SCRIPT), *mode), folder=SCRIPT.parent, **settings)  # type: ignore[arg-type]
    return CommandProvider(started, able, devices, model="Acme-7B", files=["script.py"])


def log_of(provider: CommandProvider) -> str:
    return Path(provider.status.log).read_text()


def chat(text: str, *parts: Image, **settings: object) -> Request:
    return Request(kind="chat", parts=(*parts, Text(text)), **settings)  # type: ignore[arg-type]


async def answers_to(provider: CommandProvider, requests: Sequence[Request], tries: int = 8) -> list[Response | Exception]:
    """Each request asked again while it is worth it, as the gateway does."""
    answers: dict[int, Response | Exception] = {}

    async def one(number: int) -> None:
        for _ in range(tries):
            try:
                answers[number] = await provider.call(requests[number])
            except Transient as error:
                answers[number] = error
                continue
            except Exception as error:
                answers[number] = error
            return

    async with anyio.create_task_group() as group:
        for number in range(len(requests)):
            group.start_soon(one, number)
    return [answers[number] for number in range(len(requests))]


@pytest.mark.parametrize("images", ["paths", "inline"])
async def test_it_is_asked_everything_and_its_noise_is_no_answer(images: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"12345")
    in_file = Image("d" * 32, "image/png", tmp_path / "a.png")
    requests = [
        chat("one", in_file, PICTURE, seed=1, max_tokens=5),
        Request(kind="image", parts=(Text("a square"),), size="4x4"),
        Request(kind="image", parts=(Text("INLINE"),)),
        Request(kind="edit", parts=(PICTURE, Text("bluer"))),
    ]
    async with command(images=images, options={"word": "kind"}, devices=["cuda:0"]) as provider:
        talk, square, inline, edited = await answers_to(provider, requests)
        assert provider.status.said.endswith(("noise", "a batch of 1"))
        assert "loading weights" in log_of(provider)
    assert isinstance(talk, Response)
    assert talk.text == f"one kind cuda:0 saw [5, {len(PICTURE.source)}]"  # type: ignore[arg-type]
    assert (talk.usage.tokens_in, talk.usage.tokens_out, talk.usage.cost) == (3, 2, 0.0)
    for drawn in (square, inline, edited):
        assert isinstance(drawn, Response)
        assert (await drawn.images[0].read()).startswith(b"\x89PNG")


@pytest.mark.parametrize("word", ["ELSEWHERE", "LINK"])
async def test_a_picture_elsewhere_is_not_read(word: str) -> None:
    async with command() as provider:
        (outcome,) = await answers_to(provider, [Request(kind="image", parts=(Text(word),))], tries=1)
    assert isinstance(outcome, Malformed)
    assert "the folder for pictures" in str(outcome) or "leads out" in str(outcome)


async def test_a_picture_that_comes_back_as_it_was_is_there_for_the_next_request_too() -> None:
    async with command("batches") as provider:
        answers = await answers_to(provider, [Request(kind="edit", parts=(PICTURE, Text(f"ECHO NAP {n}"))) for n in range(3)])
    assert [answer.images for answer in answers if isinstance(answer, Response)] == [(PICTURE,)] * 3


NAIVE = (
    "import json, sys\n"
    "print(json.dumps({'ready': True}))\n"
    "for line in sys.stdin:\n"
    "    request = json.loads(line)\n"
    "    print(json.dumps({'id': request['id'], 'text': request['text'].upper()}))\n"
)


async def test_a_program_that_wants_no_hello_need_not_know_of_it() -> None:
    settings = CommandSettings(name="A", command=(sys.executable, "-c", NAIVE))
    async with CommandProvider(settings, Capabilities(), model="A") as provider:
        answers = await answers_to(provider, [chat("one"), chat("two")])
    assert [answer.text for answer in answers if isinstance(answer, Response)] == ["ONE", "TWO"]


async def test_a_request_that_ends_the_process_costs_itself_alone() -> None:
    good = [chat(f"a calm day {number}") for number in range(6)]
    async with command("batches") as provider:
        answers = await answers_to(provider, [*good[:3], chat("KILL me"), *good[3:]])
    assert [answer for answer in [*answers[:3], *answers[4:]] if not isinstance(answer, Response)] == []
    assert isinstance(answers[3], Rejected)
    assert "2 times while it ran this request alone" in str(answers[3])
    (note,) = provider.notes
    assert note.startswith("started again ")
    assert "signal 9, as the kernel does when memory runs out; its log: " in note


async def test_memory_that_runs_out_halves_the_batch() -> None:
    async with command("batches", batch_size=6) as provider:
        answers = await answers_to(provider, [chat(f"day {number}") for number in range(9)])
        assert [answer for answer in answers if not isinstance(answer, Response)] == []
        assert [answer.text.split("  ")[0] for answer in answers if isinstance(answer, Response)] == [f"day {n}" for n in range(9)]
        assert provider.status.halved == 1


async def test_errors_and_odd_answers_are_those_of_their_request() -> None:
    async with command() as provider:
        rejected, odd, fine = await answers_to(provider, [chat("REJECT"), chat("ODD"), chat("fine")], tries=2)
    assert isinstance(rejected, Rejected)
    assert str(rejected) == "no such thing"
    assert isinstance(odd, Malformed)
    assert "its `text` should be a text" in str(odd)
    assert isinstance(fine, Response)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"id": ID, "text": "ok", "score": NaN, "best": -Infinity}', "ok"),
        ('{"id": ID, "text": "half \\ud83d a character"}', "half ? a character"),
        ('{"id": "ID", "text": "ok"}', "ok"),
        ('{"id": ID.0, "text": "ok"}', "ok"),
        ('\ufeff{"id": ID, "text": "ok"}\r', "ok"),
        (
            '{"id": ID, "text": "ok", "images": null, "finish": null, "usage": null, "error": null, "memory": null, "reason": null}',
            "ok",
        ),
        ('{"id": ID, "text": "ok"}\n{"id": ID, "text": "a second answer"}\n{"id": true}\n{"id": [ID]}', "ok"),
    ],
)
async def test_an_answer_is_read_as_scripts_write_it(line: str, text: str) -> None:
    async with command() as provider:
        with anyio.fail_after(5):
            answer, fine = await answers_to(provider, [chat(f"RAW {line}"), chat("fine")])
    assert isinstance(answer, Response)
    assert answer.text == text
    assert isinstance(fine, Response)
    assert fine.text.startswith("fine")


@pytest.mark.parametrize("line", ['{"id": ID, "finish": ["stop"]}', '{"id": ID, "finish": {}}', '{"id": ID, "images": [[]]}'])
async def test_an_answer_of_another_shape_costs_itself_alone(line: str) -> None:
    async with command() as provider:
        odd, fine = await answers_to(provider, [chat(f"RAW {line}"), chat("fine")], tries=2)
    assert isinstance(odd, Malformed)
    assert isinstance(fine, Response)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"ready": true, "version": null, "parameters": {"guidance": NaN, "most": Infinity}}', ""),
        (f'{{"ready": true, "parameters": {{"a": {"[" * 400}{"]" * 400}}}}}', "its `parameters` cannot be kept"),
    ],
)
async def test_what_a_command_says_when_it_is_ready_is_read_as_scripts_write_it(line: str, said: str) -> None:
    async with command(line) as provider:
        with anyio.fail_after(5):
            (outcome,) = await answers_to(provider, [chat("hello")])
    assert isinstance(outcome, Misconfigured if said else Response)
    assert said in str(outcome)


async def test_a_child_that_a_command_leaves_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LAST_WORDS", 0.1)
    async with command() as provider:
        with anyio.fail_after(5):
            answers = await answers_to(provider, [chat("ORPHAN"), chat("ORPHAN APART"), chat("fine")], tries=3)
    assert [type(answer) for answer in answers] == [Rejected, Rejected, Response]


async def test_a_long_line_of_noise_fills_no_disk() -> None:
    async with command() as provider:
        (answer,) = await answers_to(provider, [chat(f"RAW {'x' * 200_000}\n{'{' * 200_000}\n" + '{"id": ID, "text": "ok"}')])
        assert isinstance(answer, Response)
        assert len(log_of(provider)) < 50_000


@pytest.mark.parametrize(
    ("mode", "settings", "said"),
    [
        ("silent", {}, "ended before it was ready: ImportError: No module named 'showo'; its log: "),
        ("", {"options": {"kinds": ["chat"]}}, "it draws no pictures (its kinds are chat); change `gives`"),
        ("", {"options": {"kinds": "chat"}}, "its `kinds` should be a list"),
        ("slow", {"patience": 0.5}, "no word for 0 s while it loaded"),
    ],
)
async def test_a_command_that_cannot_serve_stops_its_model(mode: str, settings: dict[str, object], said: str) -> None:
    async with command(mode, **settings) as provider:
        (outcome,) = await answers_to(provider, [chat("hello")])
        assert isinstance(outcome, Misconfigured)
        assert said in str(outcome)
        assert provider.status.state == "failed"


async def test_a_program_that_is_not_there_stops_its_model() -> None:
    provider = CommandProvider(CommandSettings(name="Acme", command=("/nowhere/python", "x.py")), ALL, model="Acme")
    async with provider:
        (outcome,) = await answers_to(provider, [chat("hello")])
    assert isinstance(outcome, Misconfigured)
    assert "`/nowhere/python x.py` cannot be started: No such file or directory" in str(outcome)


async def test_a_command_that_changed_is_refused() -> None:
    async with command("batches") as before:
        await answers_to(before, [chat("hello")])
    async with command() as now:
        now.expected = before.described
        (outcome,) = await answers_to(now, [chat("hello")])
    assert isinstance(outcome, Misconfigured)
    assert 'it says `version` is "" and was "batches", so its answers are not those in the cache' in str(outcome)


async def test_a_request_without_a_word_is_ended() -> None:
    async with command(patience=0.8) as provider:
        hung, fine = await answers_to(provider, [chat("HANG"), chat("fine")])
    assert isinstance(hung, Rejected)
    assert "no word for 1 s while it worked" in str(hung)
    assert provider.status.patience == 0.8
    assert isinstance(fine, Response)


async def test_released_it_is_gone_with_its_children_and_starts_again() -> None:
    async with command("child") as provider:
        await answers_to(provider, [chat("hello")])
        child = int(log_of(provider).split("child ")[1].split()[0])
        assert is_alive(child)
        await provider.release()
        assert await anyio.to_thread.run_sync(still_alive, [child]) == []
        (again,) = await answers_to(provider, [chat("again")])
    assert isinstance(again, Response)


async def test_one_that_stays_after_the_end_of_its_input_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "HURRY", 0.2)
    async with command("stays") as provider:
        await answers_to(provider, [chat("hello")])


async def test_withdrawn_requests_that_have_not_begun_are_given_back() -> None:
    async with command() as provider:
        await answers_to(provider, [chat("first")])
        answers: list[Response | Exception] = []

        async def ask() -> None:
            answers.extend(await answers_to(provider, [chat(f"NAP {number}") for number in range(9)], tries=1))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            while not provider.status.batch:  # noqa: ASYNC110 its own report is what is waited for
                await anyio.sleep(0.001)
            provider.withdraw()
    assert [type(answer) for answer in answers] == [Response, *[Withdrawn] * 8]


async def test_it_gets_no_key_of_an_endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "tell.py"
    script.write_text(
        "import json, os, sys\n"
        "sys.stdin.readline(); print(json.dumps({'ready': True}), flush=True)\n"
        "for line in sys.stdin:\n"
        "    print(json.dumps({'id': json.loads(line)['id'], 'text': ' '.join(sorted(os.environ))}), flush=True)\n"
    )
    for name in ("OPENAI_API_KEY", "ACME_TOKEN", "HF_HOME", "CUDA_VISIBLE_DEVICES", "SHOWO_CONFIG"):
        monkeypatch.setenv(name, "a value")
    settings = CommandSettings(name="A", command=(sys.executable, str(script)), variables=("SHOWO_CONFIG", "NOT_SET"))
    async with CommandProvider(settings, Capabilities(), model="A") as provider:
        got = (await provider.call(chat("hello"))).text.split()
    assert {"PATH", "HF_HOME", "CUDA_VISIBLE_DEVICES", "SHOWO_CONFIG"} <= {*got}
    assert not {"OPENAI_API_KEY", "ACME_TOKEN", "NOT_SET"} & {*got}


TELL = (
    "import json, os, sys\n"
    "hello = json.loads(sys.stdin.readline())['hello']; print(json.dumps({'ready': True}), flush=True)\n"
    "for line in sys.stdin:\n"
    "    told = {'id': json.loads(line)['id'], 'text': f\"{hello['device']} {os.environ.get('CUDA_VISIBLE_DEVICES')}\"}\n"
    "    print(json.dumps(told), flush=True)\n"
)


@pytest.mark.parametrize(
    ("place", "images", "told"),
    [
        ("cuda:1", "paths", "cuda:0 GPU-b"),
        ("cuda:0+cuda:1", "paths", "cuda:0+cuda:1 GPU-a,GPU-b"),
        ("cuda:1", "inline", "cuda:1 GPU-a,GPU-b"),
    ],
)
async def test_it_sees_its_own_gpus_alone(place: str, images: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    settings = CommandSettings(name="A", command=(sys.executable, "-c", TELL), images=images)  # type: ignore[arg-type]
    async with CommandProvider(settings, Capabilities(), [place], model="A") as provider:
        assert (await provider.call(chat("hello"))).text == told


async def test_the_identity_is_known_before_and_holds_what_changes_answers(tmp_path: Path) -> None:
    (tmp_path / "serve.py").write_text("1")

    async def identity(command: str = "python", version: str = "", **settings: object) -> str:
        started = CommandSettings(name="A", command=(command, "serve.py"), folder=tmp_path, **settings)  # type: ignore[arg-type]
        async with CommandProvider(started, ALL, model="A", version=version, files=["serve.py"]) as provider:
            return provider.identity

    first = await identity()
    assert await identity("/another/python", variables=("HF_HOME",), patience=5.0) == first
    assert await identity(options={"steps": 20}) != first
    assert await identity(version="2") != first
    (tmp_path / "serve.py").write_text("2")
    assert await identity() != first


def test_files_of_a_folder_are_known_by_names_and_contents_whatever_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"weights")
    assert digest_files(tmp_path, ["a.bin"]) == {"a.bin": digest_of(b"weights")}
    before = digest_files(tmp_path, ["."])
    try:
        (tmp_path / os.fsdecode(b"half \xff.bin")).write_bytes(b"more")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    assert digest_files(tmp_path, ["."]) != before


async def test_a_judge_is_told_the_schema_of_its_answer() -> None:
    schema = ("verdict", '{"type":"object"}')
    line = await build_request(1, chat("judge this", schema=schema, system="Be fair."), "paths", Path())
    assert (line["schema"], line["system"]) == ({"type": "object"}, "Be fair.")


KEEPER = """
import time
from unisafe_providers.workers.folders import picture_folder
with picture_folder() as folder:
    print(folder.name, flush=True)
    time.sleep(60)
"""


@contextmanager
def kept_folder(temporary: Path) -> Iterator[str]:
    """The name of a folder for pictures of another process, which is killed when the block is left."""
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", KEEPER], stdout=subprocess.PIPE, env=environment, text=True) as keeper:
        assert keeper.stdout is not None
        yield keeper.stdout.readline().strip()
        keeper.kill()


async def test_a_folder_that_a_killed_run_left_is_removed_and_that_of_a_living_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names() -> set[str]:
        return {path.name for path in tmp_path.glob("unisafe-pictures-*")}

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "unisafe-pictures-of-somebody-else").mkdir()
    with kept_folder(tmp_path) as left:
        async with command() as provider:
            await answers_to(provider, [chat("hello")])
            assert len(names()) == 3
    assert names() == {left, "unisafe-pictures-of-somebody-else"}
    async with command() as provider:
        await answers_to(provider, [chat("hello")])
        assert left not in names()
    assert names() == {"unisafe-pictures-of-somebody-else"}


async def test_a_full_disk_stops_the_model_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    async with command() as provider:
        (outcome,) = await answers_to(provider, [chat("hello")])
    assert isinstance(outcome, Misconfigured)
    assert "cannot be started: No such file or directory" in str(outcome)


def test_logs_go_into_no_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"unisafe-logs-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    log = processes.Log("a/../b")
    log.write(b"100%\r\n\n")
    log.close()
    assert log.last == "100%"
    assert log.path.parent.parent == tmp_path
    assert list((tmp_path / "elsewhere").iterdir()) == []


def write_script(folder: Path, body: str) -> CommandSettings:
    """A script that says it is ready and then does as `body` says with each `line`."""
    (folder / "serve.py").write_text(
        "import json, sys\n"
        "sys.stdin.readline()\n"
        'print(json.dumps({"ready": True}), flush=True)\n'
        f"for line in sys.stdin:\n    number = json.loads(line)['id']\n    {body}\n"
    )
    return CommandSettings(name="Acme", command=(sys.executable, "-S", "serve.py"), folder=folder, patience=0.6)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("""print('step 1', json.dumps({"id": number, "text": "hi"}), flush=True)""", "its last line: step 1 {"),
    ],
)
async def test_an_answer_that_is_no_line_of_the_protocol_is_shown(tmp_path: Path, body: str, said: str) -> None:
    async with CommandProvider(write_script(tmp_path, body), Capabilities(), model="Acme") as provider:
        await answers_to(provider, [chat("one"), chat("two"), chat("three")], tries=1)
        (outcome,) = await answers_to(provider, [chat("four")])
    assert isinstance(outcome, Misconfigured)
    assert "no word for 1 s while it worked (patience_s), 3 times in a row; lines on its standard output that are" in str(outcome)
    assert said in str(outcome)
    assert "; its log: " in str(outcome)


async def test_a_python_script_need_not_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    settings = write_script(tmp_path, 'print(json.dumps({"id": number, "text": "hi"}))')
    async with CommandProvider(settings, Capabilities(), model="Acme") as provider:
        (outcome,) = await answers_to(provider, [chat("one")], tries=1)
    assert isinstance(outcome, Response)


async def test_an_answer_without_any_of_its_keys_is_no_empty_answer(tmp_path: Path) -> None:
    settings = write_script(tmp_path, 'print(json.dumps({"id": number, "answer": "hi"}), flush=True)')
    async with CommandProvider(settings, Capabilities(), model="Acme") as provider:
        (outcome,) = await answers_to(provider, [chat("one")], tries=1)
    assert isinstance(outcome, Malformed)
    assert 'an answer should have `text`, `images` or `error`, and has ["answer", "id"]' in str(outcome)


@pytest.mark.parametrize(
    ("content", "rights", "said"),
    [
        (None, 0, "there is no ./serve.py; paths are relative to the folder of bench.toml"),
        ("#!/usr/bin/env python3\n", 0o600, "./serve.py may not be executed: run `chmod +x ./serve.py`"),
        ("#!/nowhere/python\n", 0o700, "the first line of ./serve.py should name its interpreter"),
        ("print()\n", 0o700, "the first line of ./serve.py should name its interpreter"),
    ],
)
async def test_a_script_that_cannot_be_started_says_what_to_change(
    tmp_path: Path, content: str | None, rights: int, said: str
) -> None:
    if content is not None:
        (tmp_path / "serve.py").write_text(content)
        (tmp_path / "serve.py").chmod(rights)
    settings = CommandSettings(name="Acme", command=("./serve.py",), folder=tmp_path)
    async with CommandProvider(settings, Capabilities(), model="Acme") as provider:
        (outcome,) = await answers_to(provider, [chat("hello")])
    assert isinstance(outcome, Misconfigured)
    assert said in str(outcome)


@pytest.mark.parametrize(("last", "said"), [("", []), ("time.sleep(60)", ["SIGTERM"]), (IGNORES_SIGTERM, ["SIGKILL"])])
async def test_a_command_that_stays_after_its_input_ended_is_told(tmp_path: Path, last: str, said: list[str]) -> None:
    (tmp_path / "serve.py").write_text(f"{SCRIPT.read_text()}\n{last}\n")
    settings = CommandSettings(name="Acme", command=(sys.executable, "-S", "serve.py"), folder=tmp_path, leave=0.3)
    warned: list[tuple[str, str]] = []
    await conforms_on_device(
        lambda: CommandProvider(settings, ALL, model="Acme"), warn=lambda check, seen: warned.append((check, seen)), patience=60
    )
    assert warned == [("end", f"it stayed after the end of its input and was ended by {name}") for name in said]
