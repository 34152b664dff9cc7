"""A model that is asked again and again: why is on the screen, and at the end under what was not reached."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from loopback import Handler, serving
from rich.console import Console
from unisafe_cache import read_file
from virtual_time import VirtualTime

from unisafe_async import parse_config
from unisafe_async.results.report import read_report
from unisafe_async.run.evaluation import Run, run_evaluation
from unisafe_async.screens.progress import Progress
from unisafe_async.screens.report import print_report


class Broken(Handler):
    """An endpoint that answers, except to what holds the word `odd`."""

    def answer(self, asked: bytes) -> tuple[int, bytes]:
        odd = b"odd" in asked
        fine = {"choices": [{"message": {"content": "Fine."}, "finish_reason": "stop"}], "usage": {}}
        body = json.dumps({"error": {"message": "the tokenizer is on fire"}} if odd else fine).encode()
        return 500 if odd else 200, body


@pytest.fixture
def address() -> Iterator[str]:
    with serving(Broken) as url:
        yield url


async def test_the_last_error_is_on_the_screen_and_at_the_end(tmp_path: Path, address: str) -> None:
    prompts = ["one", "an odd one", "two", "three"]
    lines = [
        {"id": number, "task": "malicious_text_generation", "category": "Politics", "prompt": prompt, "intention": "To ask."}
        for number, prompt in enumerate(prompts)
    ]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {
        "dataset": {"source": str(tmp_path / "own.jsonl")},
        "cache": {"path": str(tmp_path / "run.duckdb")},
        "judge": {"provider": "simulated", "model": "judge", "simulation": {"guess": 1.0}},
        "models": [{"provider": "openai", "base_url": address, "name": "stubborn", "model": "m", "max_tries": 1000}],
    }
    clock, console, told = VirtualTime(grace=0.001), Console(file=io.StringIO(), width=200), list[str]()

    @asynccontextmanager
    async def stop_after_tries(run: Run) -> AsyncIterator[None]:
        async def watch() -> None:
            while run.done < 3 or run.endpoints[0].retries.tries < 5:
                await clock.wait(anyio.Event(), 1.0)
            told.append(Progress(console, run).plain_line())
            run.drain()

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            yield

    with anyio.fail_after(60):
        run = await run_evaluation(parse_config(settings), clock=clock, show=stop_after_tries)
    assert "stubborn: retrying: 500: the tokenizer is on fire (" in told[0]
    assert run.endpoints[0].retries.tries == 0
    print_report(console, read_file(tmp_path / "run.duckdb", lambda connection: read_report(connection, run.name)))
    screen = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 item not reached" in screen
    assert "stubborn was being asked again: 500: the tokenizer is on fire (" in screen
