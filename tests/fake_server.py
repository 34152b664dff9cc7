"""A model's server as vLLM and its like behave, for tests and benchmarks: a process that loads, answers chats, and misbehaves.

python fake_server.py --port 8000 [--slow 1] [--dies-once FILE] ...; standard library only. What it does is written to --events, a
line each: `start PID PORT`, `child PID`, `asked TEXT`, `end`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SAFE = "[simulated: contextual=1 intrinsic=1]"
"""What a simulated judge reads from a response."""


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--name", default="")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--events", default=os.devnull)
    parser.add_argument("--slow", type=float, default=0.0, help="seconds of loading, with a line for each tenth")
    parser.add_argument("--loads-until", help="a file: it loads until that is there")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds an answer takes")
    parser.add_argument("--silent", action="store_true", help="never ready, and says nothing")
    parser.add_argument("--dies-loading", action="store_true")
    parser.add_argument("--dies-once", help="a file: while it is not there, the third request makes it and ends the process")
    parser.add_argument("--dies-always", action="store_true", help="each request ends the process")
    parser.add_argument("--dies-on", help="a request with these words ends the process")
    parser.add_argument("--rejects", help="a request with these words is answered with 400")
    parser.add_argument("--hangs", action="store_true", help="ignores SIGTERM")
    parser.add_argument("--forks", action="store_true", help="starts a child that ignores SIGTERM and lives for an hour")
    parser.add_argument("--occupied-once", help="a file: while it is not there, the port is said to be taken")
    parser.add_argument("--verdicts", action="store_true", help="answers as a judge does")
    return parser.parse_args()


class Fake:
    def __init__(self, wanted: argparse.Namespace) -> None:
        self.wanted = wanted
        self.asked = 0
        self.under_way = 0
        self.lock = threading.Lock()

    def note(self, *words: object) -> None:
        with self.lock, Path(self.wanted.events).open("a") as out:
            out.write(" ".join(map(str, words)) + "\n")

    def load(self) -> None:
        wanted = self.wanted
        self.note("start", os.getpid(), wanted.port)
        if wanted.hangs:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if wanted.forks:
            child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
            self.note("child", subprocess.Popen([sys.executable, "-S", "-c", child]).pid)
        if first_time(wanted.occupied_once):
            print(
                f"ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', {wanted.port}): address already in use"
            )
            sys.exit(1)
        for step in range(10 if wanted.slow else 0):
            print(f"loading shard {step + 1} of 10", file=sys.stderr, flush=True)
            time.sleep(wanted.slow / 10)
        if wanted.loads_until:
            print("loading shard 1 of 2", file=sys.stderr, flush=True)
            while not Path(wanted.loads_until).exists():
                time.sleep(0.02)
        if wanted.dies_loading:
            print("ValueError: the model needs 40.2 GiB, and 8.0 GiB are free", file=sys.stderr, flush=True)
            sys.exit(3)
        while wanted.silent:
            time.sleep(1)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
        self.note("asked", body["model"], text.replace("\n", " "))
        with self.lock:
            self.asked += 1
            self.under_way += 1
            third = self.asked == 3
        if self.wanted.dies_always or (self.wanted.dies_on and self.wanted.dies_on in text):
            die()
        if third and first_time(self.wanted.dies_once):
            die()
        time.sleep(self.wanted.latency)
        with self.lock:
            at_once, self.under_way = self.under_way, self.under_way - 1
        self.note("under-way", at_once)
        said = json.dumps({"reason": "fine", "verdict": 1}) if self.wanted.verdicts else f"An answer. {SAFE}"
        return {
            "model": body["model"],
            "choices": [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5},
        }


def first_time(file: str | None) -> bool:
    """Whether `file` was not there; it is now."""
    if not file or Path(file).exists():
        return False
    Path(file).touch()
    return True


def die() -> None:
    print("RuntimeError: the engine is gone", file=sys.stderr, flush=True)
    os._exit(9)


def build_handler(fake: Fake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.reply({"status": "ok"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            answer = fake.answer(body)
            rejected = fake.wanted.rejects and fake.wanted.rejects in json.dumps(body)
            self.reply({"error": {"message": "no such thing"}} if rejected else answer, 400 if rejected else 200)

        def reply(self, content: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: a line for each request is too much."""

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    started = Fake(read_arguments())
    started.load()
    with Server((started.wanted.host, started.wanted.port), build_handler(started)) as server:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if started.wanted.hangs else lambda *_: sys.exit(0))
        print("the server takes requests", flush=True)
        server.serve_forever()
