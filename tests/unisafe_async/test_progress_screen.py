"""What the screen of a run under way calls done."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from machines import Machine
from rich.console import Console
from unisafe_cache import Row

from unisafe_async import evaluate, parse_config
from unisafe_async.run.evaluation import Run
from unisafe_async.screens.progress import Progress


class Refusing(BaseHTTPRequestHandler):
    """An endpoint that takes no key."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}'
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


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
    refused, answers = (next(line.split() for line in table if name in line) for name in ("refused", "answers"))
    assert (refused[1], refused[3], refused[-1]) == ("0/8", "8", "stopped")
    assert (answers[1], answers[3], answers[-1]) == ("8/8", "0", "done")
    assert progress.plain_line().startswith("8 of 16 items done, 8 unjudged")


class Failing(Machine):
    """Every second request fails in passing."""

    def refuse(self) -> bool:
        self.status = 500 if self.asked % 2 else 200
        return self.status != 200


async def test_why_requests_are_asked_again_is_on_the_screen(tmp_path: Path) -> None:
    failing = Failing()
    failing.message = "the engine ran out of blocks"
    await failing.start()
    runs: list[Run] = []
    seen: list[str] = []
    shown: list[Progress] = []

    def begin(run: Run) -> None:
        runs.append(run)
        shown.append(Progress(Console(file=io.StringIO(), width=200), run))
        shown[0].plain_line()

    def look(_: Row) -> None:
        seen.append(shown[0].plain_line())

    settings = {
        "dataset": {"source": "sample", "tasks": ["malicious_text_generation"], "limit": 8},
        "cache": {"path": str(tmp_path / "run.duckdb")},
        "judge": {"provider": "simulated", "model": "judge"},
        "models": [{"provider": "openai", "base_url": failing.url, "name": "often down", "model": "m", "max_concurrency": 2}],
    }
    try:
        await evaluate(parse_config(settings), on_start=begin, on_row=look)
    finally:
        await failing.stop()
    assert any("often down: is asked again after failures, such as: 500: the engine ran out of blocks" in line for line in seen)
