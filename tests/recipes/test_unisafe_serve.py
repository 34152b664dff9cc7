"""The script's side of a command: what reaches the protocol, what becomes of faults, and that nothing is left behind."""

from __future__ import annotations

import ast
import base64
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import odd_pictures
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from living import still_alive
from PIL import Image

HERE = Path(__file__).parent
HELPER = HERE.parents[1] / "providers" / "unisafe_providers" / "command" / "unisafe_serve.py"


@dataclass
class Talk:
    """What a script said and how it ended."""

    code: int
    lines: list[dict[str, Any]]
    errors: str

    @property
    def ready(self) -> dict[str, Any]:
        return next(line for line in self.lines if "ready" in line)

    def __getitem__(self, number: int) -> dict[str, Any]:
        (line,) = (line for line in self.lines if line.get("id") == number)
        return line


def talk(folder: Path, *requests: dict[str, Any] | str, arguments: tuple[str, ...] = (), **hello: Any) -> Talk:
    """Start the odd model in `folder`, say everything, close its stdin, and wait for its end."""
    lines: list[object] = [{"hello": {"protocol": 1, "folder": str(folder / "pictures"), **hello}}]
    lines += [line if isinstance(line, str) else {"id": number, "kind": "chat", **line} for number, line in enumerate(requests)]
    (folder / "pictures").mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-E", str(HERE / "odd_model.py"), *arguments],
        cwd=folder,
        input="\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode(),
        capture_output=True,
        timeout=60,
    )
    return Talk(done.returncode, list(map(json.loads, done.stdout.splitlines())), done.stderr.decode())


@pytest.fixture(scope="module")
def serve() -> ModuleType:
    spec = importlib.util.spec_from_file_location("unisafe_serve", HELPER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_only_the_protocol_reaches_stdout_and_nothing_else_reads_the_requests(tmp_path: Path) -> None:
    said = talk(tmp_path, {"text": "steal"}, {"text": "hello"}, options={}, device="cuda:3")
    assert said.code == 0
    assert said.lines[0] == {"progress": "loading 1 of 1"}
    assert said.ready == {
        "ready": True,
        "protocol": 1,
        "model": "odd",
        "version": "7",
        "kinds": ["chat", "image"],
        "sees": True,
        "batches": False,
        "parameters": {"device": "cuda:3", "place": "/here", "guidance": 2.5},
    }
    assert (said[0]["text"], said[1]["text"]) == ("a child read b''", "HELLO")
    for noise in ("from Python", "from a child", "that looks like an answer", "in a call"):
        assert f"noise {noise}" in said.errors


def test_a_fault_in_one_request_is_that_requests_error_alone(tmp_path: Path) -> None:
    texts = ["fail", "exit", "refuse", "later", "memory", "surrogate", "all", "hello"]
    said = talk(tmp_path, *({"text": text} for text in texts), "no JSON", "[]", '{"kind": "chat"}', {"text": 5}, {"kind": "edit"})
    assert said.code == 0
    assert said[0] == {"id": 0, "error": "KeyError: 'what was looked for'", "retry": False}
    assert said[1] == {"id": 1, "error": "SystemExit: a library leaves", "retry": False}
    assert said[2] == {"id": 2, "error": "not with me", "retry": False}
    assert said[3] == {"id": 3, "error": "the disk is busy", "retry": True}
    assert said[4] == {
        "id": 4,
        "error": "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB",
        "retry": True,
        "memory": True,
    }
    assert said[5]["text"] == "half ?"
    usage = {"tokens_in": 3, "tokens_out": 4}
    expected = {"text": "words", "images": [], "finish": "length", "thoughts": "hm", "reason": "why", "usage": usage}
    assert said[6] == {"id": 6, **expected}
    assert said[7]["text"] == "HELLO"
    assert "text is 5" in said[11]["error"]
    assert said[12] == {"id": 12, "error": "odd does not do 'edit'; it does chat, image", "retry": False}
    assert "a line on stdin is no JSON" in said.errors
    assert said.errors.count("a line on stdin is no request") == 2


def test_a_lost_device_ends_the_process_with_its_message(tmp_path: Path) -> None:
    said = talk(tmp_path, {"text": "hello"}, {"text": "lost"}, {"text": "hello"})
    assert said.code == 1
    assert [line["id"] for line in said.lines if "id" in line] == [0]
    assert said.errors.splitlines()[-1] == "RuntimeError: CUDA error: device-side assert triggered"


@pytest.mark.parametrize(
    ("kind", "end"), [("children", "closed"), ("children", "SIGTERM"), ("children", "unread"), ("stubborn", "closed")]
)
def test_no_process_is_left_behind(tmp_path: Path, kind: str, end: str) -> None:
    line = [sys.executable, "-E", str(HERE / "odd_model.py"), kind]
    with subprocess.Popen(line, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as script:
        assert script.stdin is not None
        assert script.stdout is not None
        script.stdin.write(b'{"hello": {"protocol": 1}}\n')
        script.stdin.flush()
        script.stdout.readline()
        children = json.loads(script.stdout.readline())["parameters"]["children"]
        assert all(map(psutil.pid_exists, children))
        if end == "SIGTERM":
            script.send_signal(signal.SIGTERM)
        elif end == "unread":
            script.stdout.close()
            script.stdin.write(b'{"id": 1, "kind": "chat", "text": "hello"}\n')
        with suppress(BrokenPipeError):
            script.stdin.close()
        assert script.wait(30) == (128 + signal.SIGTERM if end == "SIGTERM" else 0)
    assert still_alive(children) == []


def test_a_batch_is_of_one_kind_and_what_fails_together_is_asked_alone(tmp_path: Path) -> None:
    def batch(first: int, *texts: str, kind: str = "chat") -> list[dict[str, Any]]:
        return [{"id": first + place, "kind": kind, "text": text} for place, text in enumerate(texts)]

    lines = [
        batch(0, "a", "no", "b"),
        batch(10, "a", "bad", "b"),
        batch(20, "a", "memory"),
        batch(30, "a") + batch(31, "b", kind="image"),
    ]
    said = talk(tmp_path, *(json.dumps({"batch": line}) for line in lines), arguments=("batches",))
    assert said.ready["batches"] is True
    assert [said[number].get("text") for number in (0, 2, 10, 12, 30, 31)] == [
        "A of 3",
        "B of 3",
        "A of 1",
        "B of 1",
        "A of 1",
        "B of 1",
    ]
    assert said[1] == {"id": 1, "error": "no", "retry": False}
    assert said[11] == {"id": 11, "error": "ValueError: one of 1 is bad", "retry": False}
    assert [said[number]["memory"] for number in (20, 21)] == [True, True]


def test_a_batch_to_a_model_that_answers_one_at_a_time_is_answered_too(tmp_path: Path) -> None:
    said = talk(
        tmp_path, json.dumps({"batch": [{"id": 1, "kind": "chat", "text": "a"}, {"id": 2, "kind": "chat", "text": "fail"}]})
    )
    assert said[1]["text"] == "A"
    assert "error" in said[2]


def test_pictures_are_checked_and_stand_in_the_folder(tmp_path: Path) -> None:
    texts = ["nothing", "blank", "cut", "elsewhere", "jpeg", "two"]
    said = talk(tmp_path, *({"kind": "image", "text": text} for text in texts))
    assert said[0] == {"id": 0, "text": "I would rather not.", "images": [], "finish": "stop"}
    assert "error" in said[1]
    assert said[2] == {"id": 2, "error": "ValueError: the PNG is cut off or damaged", "retry": False}
    for number, count in ((3, 1), (4, 1), (5, 2)):
        paths = [Path(image["path"]) for image in said[number]["images"]]
        assert len(set(paths)) == count
        for path in paths:
            assert path.parent == tmp_path / "pictures"
            with Image.open(path) as picture:
                picture.load()
                assert picture.format == "PNG"


def test_pictures_go_both_ways_inside_the_lines(tmp_path: Path) -> None:
    content = base64.b64encode(odd_pictures.encoded(Image.new("RGB", (3, 2), "red"), "PNG")).decode()
    images = [{"data": content, "type": "image/png"}]
    requests = ({"text": "look", "images": images}, {"text": "files", "images": images}, {"kind": "image", "text": "two"})
    said = talk(tmp_path, *requests, {"text": "look", "images": [{"data": "no base64"}]}, images="inline")
    assert said[0]["text"] == "RGB (3, 2) (255, 0, 0)"
    assert not Path(said[1]["text"]).exists()
    assert base64.b64decode(said[2]["images"][0]["data"]).startswith(b"\x89PNG")
    assert "neither" in said[3]["error"]


def test_pictures_are_read_as_everybody_sees_them(tmp_path: Path) -> None:
    contents = [odd_pictures.turned(6), odd_pictures.see_through(), odd_pictures.ramp(), b"no picture"]
    files = [tmp_path / f"in-{number}" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    asked = ({"text": "look", "images": [{"path": str(file)}]} for file in [*files, tmp_path / "absent"])
    said = talk(tmp_path, *asked)
    assert said[0]["text"].startswith("RGB (10, 20)")
    assert said[1]["text"].startswith("RGB ")
    assert said[2]["text"].startswith("RGB ")
    assert said[3]["error"].startswith("a picture of the request cannot be read")
    assert said[4]["error"].startswith("there is no file")


def test_a_seed_gives_the_same_answer_again_and_the_rest_of_a_request_is_read(tmp_path: Path) -> None:
    sent = {"text": "parts", "system": "s", "max_tokens": 9, "temperature": 0.5, "size": "8x4", "unknown": 1}
    said = talk(tmp_path, *({"text": "roll", "seed": seed} for seed in (1, 1, 2)), sent, {**sent, "parts": [{"text": "parts"}]})
    assert said[0]["text"] == said[1]["text"] != said[2]["text"]
    rolled = talk(tmp_path, {"text": "roll numpy"}, *({"text": "roll numpy", "seed": seed} for seed in (1, 1, 2)))
    assert rolled[1]["text"] == rolled[2]["text"] != rolled[3]["text"]
    assert said[3]["text"] == said[4]["text"] == repr(("s", [{"text": "parts"}], 9, 0.5, "8x4"))


@pytest.mark.parametrize(
    ("first", "options", "words"),
    [
        ('{"id": 1}', {}, "the first line on stdin was"),
        (None, {"kinds": ["chat", "sing"]}, "kinds has 'sing'; a kind is one of chat, image, edit"),
    ],
)
def test_a_script_that_cannot_start_says_why_in_its_last_line(tmp_path: Path, first: str | None, options: Any, words: str) -> None:
    hello = first or json.dumps({"hello": {"protocol": 1, "options": options}})
    line = [sys.executable, "-S", "-E", str(HERE / "odd_model.py")]
    done = subprocess.run(line, cwd=tmp_path, input=hello, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert words in done.stderr.splitlines()[-1]


def test_a_size_is_read_or_refused(serve: ModuleType) -> None:
    assert serve.Request({"size": "640x480"}, []).width_and_height() == (640, 480)
    assert serve.Request({}, []).width_and_height((512, 512)) == (512, 512)
    for size in ("640", "0x5", "640x480x3", "-1x5"):
        with pytest.raises(serve.Rejected, match="WIDTHxHEIGHT"):
            serve.Request({"size": size}, []).width_and_height()


MARKS = ["<|im_end|>", "<image>", "<img1>: ", re.compile(r"<I\d+>")]


@given(
    st.lists(
        st.sampled_from(["<|im_end|>", "<|im_", "end|>", "<image>", "<ima", "ge>", "<", "<I", "7", ">", " ", "<img1>: ", "word"])
    )
)
def test_no_control_string_survives(serve: ModuleType, parts: list[str]) -> None:
    text = "".join(parts)
    broken = serve.break_up(text, MARKS)
    for mark in MARKS:
        assert mark not in broken if isinstance(mark, str) else not mark.search(broken)
    harmless = text.replace("<", "")
    assert serve.break_up(harmless, MARKS) == harmless


def test_the_file_needs_python_3_8_and_nothing_else() -> None:
    tree = ast.parse(HELPER.read_text("utf-8"), feature_version=(3, 8))
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"PIL"}


def test_recipes_use_this_very_file() -> None:
    linked = HERE.parents[1] / "recipes" / "unisafe_serve.py"
    assert os.path.samefile(linked, HELPER) or linked.read_bytes() == HELPER.read_bytes()
