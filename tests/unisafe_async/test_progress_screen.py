"""What the screen of a run under way calls done."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from loopback import Handler, serving
from rich.console import Console
from unisafe_providers.base import Capabilities
from unisafe_providers.local import LocalProvider, LocalSettings

from unisafe_async import evaluate, parse_config
from unisafe_async.run.evaluation import Run
from unisafe_async.screens.progress import Progress, describe_local
from unisafe_async.screens.working import show_working


class Refusing(Handler):
    """An endpoint that takes no key."""

    def answer(self, _: bytes) -> tuple[int, bytes]:
        return 401, b'{"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}'


@pytest.fixture
def address() -> Iterator[str]:
    with serving(Refusing) as url:
        yield url


def test_a_model_that_has_been_silent_for_minutes_is_told_with_its_last_words() -> None:
    provider = LocalProvider(LocalSettings(library="transformers", model="m"), Capabilities(), ["cpu"])
    status = provider.status
    status.state, status.heard, status.said = "loading", time.monotonic() - 2, "Loading weights: 12 of 291"
    assert describe_local(provider) == "loading on cpu: Loading weights: 12 of 291"
    status.heard -= 180
    assert describe_local(provider) == "loading on cpu, no word for 3 min 2 s (last: Loading weights: 12 of 291)"
    status.patience = 1_800.0
    assert "no word for 3 min 2 s, ended after 30 min" in describe_local(provider)
    status.patience = 0.0
    status.state, status.places, status.batch, status.said = "ready", ("cpu",), 16, "batch of 16:\x1b[31m step 40"
    assert describe_local(provider).endswith("no word for 3 min 2 s (last: batch of 16:␛[31m step 40)")
    status.batch = 0
    assert "no word" not in describe_local(provider), "it has nothing to do"


async def test_failures_are_not_done(tmp_path: Path, address: str) -> None:
    lines = "".join(
        f'{{"id": {item}, "task": "malicious_text_generation", "prompt": "p{item}", "category": "Politics"}}\n' for item in range(8)
    )
    (tmp_path / "own.jsonl").write_text(lines)
    settings = {
        "dataset": {"source": str(tmp_path / "own.jsonl")},
        "cache": {"path": str(tmp_path / "run.duckdb")},
        "judge": {"provider": "simulated", "model": "judge"},
        "models": [
            {"provider": "openai", "base_url": address, "name": "refused", "model": "m"},
            {"provider": "simulated", "name": "answers", "model": "cautious"},
        ],
    }
    runs: list[Run] = []
    await evaluate(parse_config(settings), on_start=runs.append)
    console = Console(file=io.StringIO(), width=200)
    progress = Progress(console, runs[0])
    console.print(progress.table())
    table = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    judge = next(line for line in table if line.lstrip().startswith("judge"))
    assert judge.split()[:2] == ["judge", "8/8"], "eight of the sixteen came to it"
    assert "8 of 16 items  50%  elapsed" in table[0]
    refused, answers = (next(line.split() for line in table if name in line) for name in ("refused", "answers"))
    assert (refused[1], refused[3], refused[-1]) == ("0/8", "8", "stopped")
    assert (answers[1], answers[3], answers[-1]) == ("8/8", "0", "done")
    narrow = Console(file=io.StringIO(), width=60)
    narrow.print(Progress(narrow, runs[0]).bar())
    bar, words = narrow.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert set(bar.strip()) <= set("━╸╺ ")
    assert words.startswith("8 of 16 items  50%  elapsed")
    assert progress.plain_line().startswith("8 of 16 items done, 8 unjudged")


class Screen(io.StringIO):
    """A terminal's screen as all that was written to it; `drawn` once `words` are there."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.drawn = Event()
        self._words = words

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._words in self.getvalue():
            self.drawn.set()
        return written


def test_work_that_takes_long_is_told_in_a_terminal_alone() -> None:
    screen, pipe = Screen("writing rows.csv"), io.StringIO()
    with show_working("writing rows.csv", console=Console(file=screen, force_terminal=True, width=80), after=0.0):
        assert screen.drawn.wait(20)
    assert "0:00:0" in screen.getvalue()
    with show_working("writing rows.csv", console=Console(file=pipe, force_terminal=True, width=80), after=0.0):
        pass
    short = Screen("writing rows.csv")
    with show_working("writing rows.csv", console=Console(file=short, force_terminal=True, width=80)):
        pass
    assert pipe.getvalue() == "", "no terminal"
    assert not short.drawn.is_set(), "it was over at once"
