"""Real vendors' answers through the whole program: a model at an address of its own for each, one run for each protocol.

The cases and their right values stand in tests/providers/cases/*.jsonl. Time is skipped: a wait is only counted.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest
from aiohttp import web
from unisafe_cache import Row

from unisafe_async import evaluate, parse_config
from unisafe_async.gateway.clock import Clock
from unisafe_async.run.evaluation import Run

CASES = Path(__file__).parent / "providers" / "cases"
KEY = "sk-planted-2b8d10f4c6"
TRIES = 3
EDITS = "Text-Guided Image Editing"
PICTURE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR4nGOoWHACK2IYWhIAz3p4Aasum28AAAAASUVORK5CYII=")


@dataclass(frozen=True)
class Case:
    name: str
    wire: str
    status: int
    headers: dict[str, str]
    body: object
    expected: str

    @property
    def sees(self) -> bool:
        return "with pictures" in self.expected


def cases(wire: str) -> list[Case]:
    """The cases of a wire, from all files."""
    records = [json.loads(line) for file in sorted(CASES.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    return [Case(**{name: record[name] for name in Case.__annotations__}) for record in records if record["wire"] == wire]


def list_wires(file: str) -> set[str]:
    """The wires of the cases in one file."""
    return {json.loads(line)["wire"] for line in (CASES / file).read_text("utf-8").splitlines()}


@dataclass(frozen=True)
class Asked:
    """One call as it came: the path without the case's number; a form stands in `raw`."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes


@dataclass(frozen=True)
class Reply:
    """An answer: an object as JSON, text as it is, `{"$bytes": ...}` as bytes."""

    status: int
    body: object
    headers: dict[str, str] = field(default_factory=dict)


Playing = Callable[[Case, Asked, int], Reply]
"""From a case, a call and its number (0, 1, ... of this case) to the answer."""


def play_case(case: Case, asked: Asked, number: int) -> Reply:
    """Every call gets the case's answer."""
    return Reply(case.status, case.body, case.headers)


# ---------------------------------------------------------------- time that is only counted

SKIPPED: ContextVar[float] = ContextVar("skipped", default=0.0)


class SkippingClock(Clock):
    """Each task's own time: a wait moves it on at once."""

    def now(self) -> float:
        return time.monotonic() + SKIPPED.get()

    async def wait(self, event: anyio.Event, seconds: float) -> None:
        SKIPPED.set(SKIPPED.get() + seconds)
        await anyio.lowlevel.checkpoint()


# ---------------------------------------------------------------- a server that plays each case at its own address


@dataclass
class Player:
    played: list[Case]
    play: Playing
    asked: dict[str, list[Asked]] = field(default_factory=lambda: defaultdict(list))
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        number = request.path.split("/")[1]
        if number == "picture.png":
            return web.Response(body=PICTURE, content_type="image/png")
        case = self.played[int(number)]
        asked = Asked(
            request.method,
            request.path.removeprefix(f"/{number}"),
            dict(request.query),
            {name.lower(): value for name, value in request.headers.items()},
            json.loads(raw) if request.content_type == "application/json" and raw else {},
            raw,
        )
        calls = self.asked[case.name]
        calls.append(asked)
        reply = self.play(case, asked, len(calls) - 1)
        headers = {name: in_time(value) for name, value in reply.headers.items()}
        if isinstance(reply.body, dict) and "$bytes" in reply.body:
            return web.Response(status=reply.status, body=base64.b64decode(reply.body["$bytes"]), headers=headers)
        content = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        content = re.sub(r"https://[\w.-]*example\.com/[\w.-]*\.(png|jpeg|jpg)", f"{self.url}/picture.png", in_time(content))
        kind = "text/html" if content.lstrip().startswith("<") else "application/json"
        return web.Response(status=reply.status, text=content, content_type=kind, headers=headers)


def in_time(text: str) -> str:
    """Times from now in place of `<...>`."""

    def moment(found: re.Match[str]) -> str:
        ahead = time.time() + float(re.search(r"(\d+) s from now", found[1])[1])  # type: ignore[index]
        if "HTTP date" in found[1]:
            return formatdate(ahead, usegmt=True)
        return str(int(ahead * 1000)) if "milliseconds" in found[1] else str(int(ahead))

    return re.sub(r"<([^<>]*from now)>", moment, text)


@asynccontextmanager
async def playing(played: list[Case], play: Playing = play_case) -> AsyncIterator[Player]:
    player = Player(played, play)
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", player.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        player.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield player
    finally:
        await runner.cleanup()


Told = dict[str, Any]


def model_of(case: Case, number: int, url: str, told: Told) -> dict[str, Any]:
    """The section of bench.toml for a case; `told` names the provider and what else is not as here."""
    draws = "image" in told.get("gives", ["text"])
    return {
        "name": case.name,
        "model": "m",
        "base_url": f"{url}/{number}/v1",
        "key_env": "PLANTED_KEY",
        "takes": ["text", "image"],
        "gives": ["text"],
        "tasks": ["unsafe_t2i_generation" if draws else "text_unsafe_vqa" if case.sees else "malicious_text_generation"],
        "max_tries": TRIES,
        "max_concurrency": 4,  # each model has one item: tasks for more would only cost time
        "price_in": 1.0,
        "price_out": 1.0,
        **told,
    }


def data_in(folder: Path) -> Path:
    """One item of each kind that is asked for: text, a picture to be drawn, one to be edited, one to be looked at."""
    for place, record in (
        ("Text Generation", {"id": 1, "prompt": "Please greet the person by name.", "category": "Politics"}),
        ("T2I", {"id": 1, "prompt": "A quiet garden.", "category": "Politics"}),
        (EDITS, {"id": 1, "prompt": "Make it blue.", "image": "a.png", "category": "Politics"}),
        ("VQA/safety_I_unsafety_T", {"id": 1, "prompt": "What is this?", "image": "a.png", "category": "Politics"}),
    ):
        (folder / place).mkdir(parents=True)
        (folder / place / "input.jsonl").write_text(json.dumps(record | {"intention": "They want a greeting."}) + "\n")
    for place in (EDITS, "VQA/safety_I_unsafety_T"):
        (folder / place / "a.png").write_bytes(PICTURE)
    return folder


@dataclass
class Played:
    """What became of a case: its row, the calls that it took, the seconds waited, and what stopped."""

    row: Row
    calls: int
    asked: list[Asked]
    stopped: str
    kinds_stopped: str
    response: dict[str, Any]


async def played(
    chosen: list[Case],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tell: Callable[[Case], Told],
    play: Playing = play_case,
) -> dict[str, Played]:
    """What becomes of each case in one run; `tell` gives the keys of its model in bench.toml, at least `provider`."""
    monkeypatch.setenv("PLANTED_KEY", KEY)
    monkeypatch.setattr("unisafe_async.gateway.gateway.Clock", SkippingClock)
    runs: list[Run] = []
    async with playing(chosen, play) as player:
        table = {
            "dataset": {"source": str(data_in(folder / "data"))},
            "generation": {"temperature": 0.5, "top_p": 0.9, "seed": 7, "max_tokens": 256, "image_size": "1024x1024"},
            "cache": {"path": str(folder / "run.duckdb")},
            "models": [model_of(case, number, player.url, tell(case)) for number, case in enumerate(chosen)],
            "judge": {"provider": "simulated", "model": "judge"},
        }
        result = await evaluate(parse_config(table), on_start=runs.append)
    summary = runs[0].summary()
    answers = answers_in(folder / "run.duckdb")
    return {
        row.model: Played(
            row,
            len(player.asked[row.model]),
            player.asked[row.model],
            str(summary["stopped"].get(row.model, "")),  # type: ignore[attr-defined]
            str(summary.get("stopped_for", {}).get(row.model, "")),  # type: ignore[attr-defined]
            answers.get(row.response, {}),
        )
        for row in result.rows()
    }


def answers_in(file: Path) -> dict[int | None, dict[str, Any]]:
    from unisafe_cache import read_file

    def read(connection: Any) -> list[Any]:
        return connection.execute("SELECT id, text, finish, reason, tokens_out, cost, missing, estimated FROM responses").fetchall()

    names = ("text", "finish", "reason", "tokens_out", "cost", "missing", "estimated")
    return {record[0]: dict(zip(names, record[1:], strict=True)) for record in read_file(file, read)}


# ---------------------------------------------------------------- what is expected, read


def check(case: Case, found: Played) -> None:
    expected, row, error = case.expected, found.row, found.row.error or ""
    answer = found.response
    if expected.startswith("blocked"):
        stage = {"blocked/request": "blocked_request", "blocked/response": "blocked_response"}.get(expected.split()[0].rstrip(","))
        if stage:
            assert row.outcome == stage
        else:
            assert row.outcome.startswith("blocked")
        if "stage not told" in expected:
            assert row.outcome == "blocked"
        for category in re.findall(r"\b(violence|hate)\b", expected):
            assert category in answer["reason"]
        assert found.calls == 1
        if not answer["text"]:  # what came before the filter blocked is judged
            assert (row.contextual, row.intrinsic) == (2, 1)
    elif expected.startswith("Misconfigured") or "streams" in expected:
        assert (row.outcome, found.calls) == ("failed", 1)
        some = "with pictures" in expected or "of this kind" in expected
        assert bool(found.kinds_stopped) is some
        assert found.stopped.startswith("for requests with") is some
        for words in re.findall(
            r"no credit|day is spent|day spent|key|takes|privacy|pull|enable_thinking|streams|firewall", expected
        ):
            said = {"day is spent": "spent", "day spent": "spent", "firewall": "firewall|proxy"}.get(words, words)
            assert re.search(said, error, re.I), error
    elif expected.startswith("RateLimited"):
        assert (row.outcome, found.kinds_stopped) == ("failed", "")
    elif expected.startswith("Rejected"):
        assert (row.outcome, found.calls, found.stopped, found.kinds_stopped) == ("failed", 1, "", "")
        if "words of raw" in expected:
            assert "at most 1 image per prompt" in error
    elif expected.startswith("Transient"):
        assert row.outcome == "failed"
        assert 2 <= found.calls <= TRIES
    elif found_without := re.match(r"(?:sent )?again (without|with) (\w+)", expected):
        first, second = found.asked[0].body, found.asked[1].body
        assert found.calls == 2
        if found_without[1] == "without":
            assert (found_without[2] in first, found_without[2] in second) == (True, False)
            if "temperature stays" in expected:
                assert "temperature" in second
        else:
            assert second[found_without[2]] == first["max_tokens"]
    elif "asked once more" in expected:
        assert (found.calls, row.contextual, row.intrinsic) == (2, None, None)
        assert "NO_IMAGE" in answer["missing"] if "NO_IMAGE" in expected else answer["missing"] == "empty answer"
    elif expected.startswith("length"):
        assert answer["finish"] == "length"
        if "empty" in expected:
            assert (row.contextual, row.intrinsic) == (None, None)
            assert "cut off" in row.contextual_reason
    elif expected == "refused":
        assert row.outcome == "refused"
    elif expected == "1 image":
        assert row.judged in ("image", "both")
    elif expected.startswith("cost"):
        assert answer["cost"] == pytest.approx(float(expected.split()[1]))
    elif expected.endswith("tokens out"):
        assert answer["tokens_out"] == int(expected.split()[0])
    else:
        words = re.search(r"'([^']*)'|stop, (Hello\.)|(stop)", expected)
        assert words is not None, f"an expectation that nobody reads: {expected}"
        assert row.outcome == "answered"
        assert answer["finish"] == "stop"
        if words[1] or words[2]:
            assert answer["text"] == (words[1] or words[2])
        if "usage unknown" in expected:
            assert answer["estimated"]


def find_wrong(chosen: list[Case], found: dict[str, Played], check: Callable[[Case, Played], None] = check) -> str:
    """The cases that came out otherwise than expected, a line each."""
    wrong = {}
    for case in chosen:
        try:
            check(case, found[case.name])
        except (AssertionError, KeyError, IndexError) as error:
            seen = found[case.name]
            told = (seen.row.outcome, seen.calls, seen.row.error, seen.response.get("missing"), seen.stopped, seen.kinds_stopped)
            wrong[case.name] = f"expected {case.expected!r}, found {told}: {type(error).__name__} {str(error).splitlines()[:1]}"
    return "\n".join(f"{name}: {words}" for name, words in wrong.items())
