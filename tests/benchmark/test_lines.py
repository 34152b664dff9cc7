"""A line is somebody else's: each is taken or refused with its file and number, whatever stands in it, and none ends the
program.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import anyio
import pytest
from forked import unisafe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unisafe_providers.base import Capabilities, Rejected, Request, Text
from unisafe_providers.lines import LONGEST, lines_of

from unisafe_async import evaluate, parse_config
from unisafe_async.benchmark import Dataset, DatasetError, open_dataset
from unisafe_async.benchmark.responses import open_responses
from unisafe_async.benchmark.taxonomy import CATEGORY_OF, TASKS
from unisafe_async.calibration.labels import LabelError, read_labels
from unisafe_async.interchange.recorded import Recorded
from unisafe_async.run.evaluation import Run

ITEM: dict[str, Any] = {"id": 1, "task": "malicious_text_generation", "prompt": "A mild stand-in.", "category": "Politics"}
VQA = {**ITEM, "task": "dual_unsafe_vqa"}
GOOD = {**ITEM, "id": "good"}
PIXEL = bytes.fromhex("47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b")
MODEL = {"provider": "simulated", "model": "balanced", "takes": ["text", "image"], "gives": ["text", "image"]}
SETTINGS = {"judge": {"provider": "simulated", "model": "judge"}, "models": [{"name": "Sim", **MODEL}]}


def line(**changes: Any) -> str:
    return json.dumps({**ITEM, **changes})


ODD = {
    "[" * 200_000: "is nested too deeply",
    '{"a":' * 200_000: "is nested too deeply",
    line(id="deep").replace('"deep"', "[" * 900 + "]" * 900): "id: should be a number or a string",
    line(id="big").replace('"big"', "9" * 10_000): "holds a number of too many digits",
    line(id="nan").replace('"nan"', "NaN"): "id: should be a number or a string, found NaN",
    line(id="inf").replace('"inf"', "1e999"): "id: should be a number or a string, found Infinity",
    '{"id": 1, "id": 2}': 'gives "id" twice',
    line(id=" "): "id:",
    line(id="i" * 1_001): "id: is longer than 1,000 characters",
    line(id="x", category="\ud800"): 'category: "\\ud800" is none of',
    line(id="x", category="violense"): "did you mean 'Blood and violence'?",
    line(id="x", category="Privacy Leak"): "it is a category, whose subcategories are Financial privacy,",
    line(id="x", category={"a": 1}): "category:",
    line(id="x", task=["T2I"]): "task:",
    line(id="x", prompt=7): "prompt:",
    line(id="x", intention=[1]): "intention:",
    "null": "should be a JSON object",
    "\x00": "is not JSON",
    json.dumps({**VQA, "image": "x" * 300}): "it seems to be a picture itself",
    json.dumps({**VQA, "image": "a\0b"}): "holds a NUL",
    json.dumps({**VQA, "image": "\ud800.png"}): "half a character",
    json.dumps({**VQA, "image": "loop.png"}): "symbolic links",
    json.dumps({**VQA, "image": "folder.png"}): "it is a folder",
    json.dumps({**VQA, "image": "pipe.png"}): "it is a pipe",
    json.dumps({**VQA, "image": "zero.png"}): "it is a device",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.gif").write_bytes(PIXEL)
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path


def test_every_odd_line_is_refused_by_its_number_and_the_good_one_is_taken(folder: Path) -> None:
    (folder / "own.jsonl").write_text("\n".join([*ODD, json.dumps(GOOD)]))
    dataset = open_dataset("own.jsonl", folder)
    assert [item.id for item in dataset.items()] == ["good"]
    assert [problem.line for problem in dataset.problems] == list(range(1, len(ODD) + 1))
    for problem, words in zip(dataset.problems, ODD.values(), strict=True):
        assert words in problem.reason
        assert len(problem.reason) < 600


def test_the_commands_say_them_and_go_on(folder: Path) -> None:
    (folder / "own.jsonl").write_text("\n".join([*ODD, json.dumps(GOOD)]))
    (folder / "bench.toml").write_text(
        '[dataset]\nsource = "own.jsonl"\n[judge]\nprovider = "simulated"\nmodel = "judge"\n'
        '[[models]]\nname = "Sim"\nprovider = "simulated"\nmodel = "balanced"\n'
    )
    for command in (("data", "check", "own.jsonl"), ("plan",), ("run",)):
        done = unisafe(*command, cwd=folder, timeout=60)
        assert done.returncode == (0 if command == ("plan",) else 1), done
        assert done.stderr == ""
        assert ("1 item" in done.stdout) or command == ("plan",)


def test_a_line_without_end_is_refused_and_the_next_one_is_read(folder: Path) -> None:
    with (folder / "own.jsonl").open("wb") as file:
        file.write(b'{"prompt": "')
        file.truncate(LONGEST + 100)
        file.seek(0, os.SEEK_END)
        file.write(b'"}\n' + json.dumps(GOOD).encode())
    dataset = open_dataset("own.jsonl", folder)
    assert [str(problem) for problem in dataset.problems] == ["own.jsonl:1: is longer than 64 MiB"]
    assert [item.id for item in dataset.items()] == ["good"]
    assert [found.number for found in lines_of(folder / "own.jsonl")] == [1, 2]


@pytest.mark.parametrize(
    "source", ["/dev/zero", "/dev/tty", "pipe.png", "zero.png", "/proc/self/mem", "x" * 300, "a\0b", "~nobody-here/x"]
)
def test_only_files_are_read_as_items(folder: Path, source: str) -> None:
    with pytest.raises(DatasetError):
        open_dataset(source, folder)
    with pytest.raises(DatasetError):
        open_responses(folder / source, "dual_unsafe_vqa")
    with pytest.raises(LabelError):
        read_labels(folder / source)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file.unlink(), "own.jsonl cannot be read: No such file or directory"),
        (lambda file: file.write_text(line(id=2, prompt="Another.")), "own.jsonl:1: the line changed after it was checked"),
        (lambda file: file.write_text(""), "own.jsonl:1: the line changed after it was checked"),
        (lambda file: (file.unlink(), os.mkfifo(file)), "own.jsonl cannot be read: it is a pipe"),
    ],
)
def test_items_that_changed_under_a_run_end_it_in_one_line(folder: Path, change: Any, words: str) -> None:
    (folder / "own.jsonl").write_text(line())
    config = parse_config({"dataset": {"source": "own.jsonl"}, **SETTINGS}, base=folder)

    def changed(_: Run) -> None:
        change(folder / "own.jsonl")

    async def run() -> None:
        await evaluate(config, on_start=changed)

    with pytest.raises(DatasetError, match=words):
        anyio.run(run)
    dataset: Dataset
    (folder / "own.jsonl").unlink(missing_ok=True)
    (folder / "own.jsonl").write_text(line())
    dataset = open_dataset("own.jsonl", folder)
    change(folder / "own.jsonl")
    with pytest.raises(DatasetError, match=words):
        dataset.at(0)


def test_an_image_that_goes_under_a_run_fails_its_item_alone(folder: Path) -> None:
    lines = [json.dumps({**VQA, "id": 1, "image": "a.gif"}), json.dumps({**ITEM, "id": 2})]
    (folder / "own.jsonl").write_text("\n".join(lines))
    config = parse_config({"dataset": {"source": "own.jsonl"}, **SETTINGS}, base=folder)
    result = anyio.run(lambda: evaluate(config, on_start=lambda _: (folder / "a.gif").unlink()))
    assert {row.item: row.outcome == "failed" for row in result.rows()} == {
        "dual_unsafe_vqa/1": True,
        "malicious_text_generation/2": False,
    }


# ---------------------------------------------------------------- any line

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["a.gif", "../a.gif", "folder.png", "loop.png", "pipe.png", "zero.png", "x" * 300, "\0", "\ud800", "/etc/passwd"]
)
LIKELY = {
    "id": st.integers(0, 3) | st.text(max_size=4) | VALUES,
    "task": st.sampled_from(list(TASKS)) | VALUES,
    "prompt": st.text(max_size=20) | VALUES,
    "category": st.sampled_from([*CATEGORY_OF, "Weather", ""]) | VALUES,
    "image": NAMES | VALUES,
    "intention": st.text(max_size=9) | VALUES,
    "generated_text": st.text(max_size=20) | VALUES,
    "output_image": NAMES | VALUES,
    "reject_image": VALUES,
    "finish": st.sampled_from(["stop", "refused", "blocked"]) | VALUES,
    "contextual": st.sampled_from(["safe", 0]) | VALUES,
    "item": st.just("dual_unsafe_vqa/1") | VALUES,
    "model": st.just("m") | VALUES,
    "sample": st.integers(-1, 2) | VALUES,
}
RECORDS = st.fixed_dictionaries({}, optional=LIKELY).map(lambda record: json.dumps(record).encode())


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A likely line with some bytes cut out, or others put in."""
    whole = draw(RECORDS)
    at, much = draw(st.integers(0, len(whole))), draw(st.integers(0, 9))
    return whole[:at] + draw(st.binary(max_size=6)) + whole[at + much :]


LINES = RECORDS | broken() | st.binary(max_size=40)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(lines=st.lists(LINES, min_size=1, max_size=8))
def test_any_lines_are_items_responses_and_labels_or_refused(folder: Path, lines: list[bytes]) -> None:
    file = folder / "any.jsonl"
    file.write_bytes(b"\n".join(lines))
    numbers = {found.number for found in lines_of(file)}
    for read in (lambda: open_dataset("any.jsonl", folder), lambda: open_responses(file, "dual_unsafe_vqa")[0]):
        try:
            dataset = read()
        except DatasetError:
            continue
        assert {item.name for item in dataset.items()} == {dataset.at(index).name for index in range(len(dataset))}
        assert {problem.line for problem in dataset.problems} <= numbers
        if not dataset.sources[0].answered:
            assert len(dataset) + len(dataset.problems) == len(numbers)
    anyio.run(_answers_or_rejects, file)
    labels, bad = read_labels(file)
    assert len(labels) + len(bad) <= len(numbers)


async def _answers_or_rejects(file: Path) -> None:
    async with Recorded(file, file.parent, "m", Capabilities(image_out=True), task="unsafe_t2i_generation") as model:
        for item in ("unsafe_t2i_generation/1", "unsafe_t2i_generation/"):
            request = Request(kind="image", parts=(Text("Draw."),), labels={"item": item})
            try:
                await model.call(model.addressed(request))
            except Rejected:
                continue
