"""Real vendors' answers through the whole program: a model at an address of its own for each, one run for each protocol.

The cases and their right values stand in tests/providers/cases/vendor_answers.jsonl. Time is skipped: a wait is only counted.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator
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

CASES = Path(__file__).parents[1] / "providers" / "cases" / "vendor_answers.jsonl"
KEY = "sk-planted-2b8d10f4c6"
TRIES = 3
PICTURE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR4nGOoWHACK2IYWhIAz3p4Aasum28AAAAASUVORK5CYII=")
WIRES = ("openai chat/completions", "openai images/generations", "openai responses", "anthropic messages", "gemini generateContent")


@dataclass(frozen=True)
class Case:
    name: str
    wire: str
    status: int
    headers: dict[str, str]
    body: object
    expected: str

    @property
    def draws(self) -> bool:
        return self.wire.startswith("openai images") or self.name in (
            "openrouter image out",
            "gemini NO_IMAGE",
            "gemini 400 modality",
        )

    @property
    def sees(self) -> bool:
        return "with pictures" in self.expected


def cases(wire: str) -> list[Case]:
    records = map(json.loads, CASES.read_text("utf-8").splitlines())
    return [Case(**{name: record[name] for name in Case.__annotations__}) for record in records if record["wire"] == wire]


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
    asked: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        case = self.played[int(request.path.split("/")[1])]
        self.asked[case.name].append(json.loads(raw) if request.content_type == "application/json" else {})
        content = case.body if isinstance(case.body, str) else json.dumps(case.body)
        kind = "text/html" if str(content).lstrip().startswith("<") else "application/json"
        headers = {name: in_time(value) for name, value in case.headers.items()}
        return web.Response(status=case.status, text=in_time(content), content_type=kind, headers=headers)


def in_time(text: str) -> str:
    """Times from now in place of `<...>`."""

    def moment(found: re.Match[str]) -> str:
        ahead = time.time() + float(re.search(r"(\d+) s from now", found[1])[1])  # type: ignore[index]
        if "HTTP date" in found[1]:
            return formatdate(ahead, usegmt=True)
        return str(int(ahead * 1000)) if "milliseconds" in found[1] else str(int(ahead))

    return re.sub(r"<([^<>]*from now)>", moment, text)


@asynccontextmanager
async def playing(played: list[Case]) -> AsyncIterator[Player]:
    player = Player(played)
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


def model_of(case: Case, number: int, url: str) -> dict[str, Any]:
    provider = {"anthropic messages": "anthropic", "gemini generateContent": "gemini"}.get(case.wire, "openai")
    model = {
        "name": case.name,
        "provider": provider,
        "model": "m",
        "base_url": f"{url}/{number}/v1",
        "key_env": "PLANTED_KEY",
        "takes": ["text", "image"],
        "gives": ["text", "image"] if case.draws else ["text"],
        "tasks": ["unsafe_t2i_generation" if case.draws else "text_unsafe_vqa" if case.sees else "malicious_text_generation"],
        "max_tries": TRIES,
        "price_in": 1.0,
        "price_out": 1.0,
    }
    if case.name == "openrouter image out":
        model["image_api"] = "chat"
    if case.wire == "openai responses":
        model["api"] = "responses"
    return model


def data_in(folder: Path) -> Path:
    """One item of each kind that is asked for: text, a picture to be drawn, a picture to be looked at."""
    for place, record in (
        ("Text Generation", {"id": 1, "prompt": "Please greet the person by name.", "category": "Politics"}),
        ("T2I", {"id": 1, "prompt": "A quiet garden.", "category": "Politics"}),
        ("VQA/safety_I_unsafety_T", {"id": 1, "prompt": "What is this?", "image": "a.png", "category": "Politics"}),
    ):
        (folder / place).mkdir(parents=True)
        (folder / place / "input.jsonl").write_text(json.dumps(record | {"intention": "They want a greeting."}) + "\n")
    (folder / "VQA/safety_I_unsafety_T/a.png").write_bytes(PICTURE)
    return folder


@dataclass
class Played:
    """What became of a case: its row, the calls that it took, the seconds waited, and what stopped."""

    row: Row
    calls: int
    bodies: list[dict[str, Any]]
    stopped: str
    kinds_stopped: str
    response: dict[str, Any]


async def played(wire: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Played]:
    monkeypatch.setenv("PLANTED_KEY", KEY)
    monkeypatch.setattr("unisafe_async.gateway.gateway.Clock", SkippingClock)
    chosen = cases(wire)
    runs: list[Run] = []
    async with playing(chosen) as player:
        table = {
            "dataset": {"source": str(data_in(folder / "data"))},
            "generation": {"temperature": 0.5, "top_p": 0.9, "seed": 7, "max_tokens": 256, "image_size": "1024x1024"},
            "cache": {"path": str(folder / "run.duckdb")},
            "models": [model_of(case, number, player.url) for number, case in enumerate(chosen)],
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
        first, second = found.bodies[0], found.bodies[1]
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


@pytest.mark.parametrize("wire", WIRES)
async def test_every_answer_is_taken_for_what_it_is(wire: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await played(wire, tmp_path, monkeypatch)
    wrong = {}
    for case in cases(wire):
        try:
            check(case, found[case.name])
        except (AssertionError, KeyError, IndexError) as error:
            seen = found[case.name]
            told = (seen.row.outcome, seen.calls, seen.row.error, seen.response.get("missing"), seen.stopped, seen.kinds_stopped)
            wrong[case.name] = f"expected {case.expected!r}, found {told}: {type(error).__name__} {str(error).splitlines()[:1]}"
    assert not wrong, "\n".join(f"{name}: {words}" for name, words in wrong.items())


def test_every_case_belongs_to_a_protocol() -> None:
    names = {json.loads(line)["wire"] for line in CASES.read_text("utf-8").splitlines()}
    assert names == set(WIRES)
