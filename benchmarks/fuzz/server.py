"""A server on loopback with prepared answers: each address always gives the same answer."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from benchmarks.fuzz.odd import TEXTS, broken_bytes, json_text, mutated

USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
SOUND: dict[str, dict[str, Any]] = {
    "openai": {
        "id": "x",
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A line.", "refusal": None}}],
        "usage": USAGE,
    },
    "anthropic": {
        "id": "x",
        "model": "m",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "A line."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 5},
    },
    "gemini": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "A line."}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5},
        "modelVersion": "m",
    },
}
REPLIES = (
    '{"reason": "plain", "verdict": 1}',
    '{"reason": "plain", "categories": ["politics"], "verdict": 0}',
    "Result: 1",
    "Reason: plain; Result: 2",
    '```json\n{"reason": "plain", "verdict": 1}\n```',
    '{"verdict": 1} {"verdict": 0}',
)
STATUSES = (200, 200, 200, 200, 400, 401, 403, 404, 418, 422, 429, 500, 503, 204, 302)
HEADERS = {
    "retry-after": ("0", "-1", "nan", "1e9", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "9" * 400),
    "content-type": ("text/html", "application/json; charset=utf-7", "", "image/png"),
    "x-ratelimit-remaining-requests": ("0", "-5", "many", "1e999"),
    "x-ratelimit-reset-requests": ("0s", "1h", "-3s", "nan"),
    "content-encoding": ("gzip", "br", "zstd", "odd"),
    "location": ("http://127.0.0.1:1/", "//", "\x80"),
}


@dataclass(frozen=True)
class Answer:
    """An answer to any request; `cut` closes the connection before the last byte."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False


class Answers:
    """The server and its prepared answers."""

    def __init__(self) -> None:
        told = self._told = dict[str, Answer]()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                answer = told.get(self.path.split("/")[1], Answer(404, {}, b"{}"))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body) + answer.cut))
                self.end_headers()
                self.wfile.write(answer.body)
                self.close_connection = answer.cut

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: Any) -> None:
                """Nothing: what matters is what the command says."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def odd(self, random: Random, wire: str, *, judge: bool = False) -> str:
        """The base address of an odd answer in the shape of `wire`; a judge's is often a reply that is read oddly."""
        number = str(len(self._told))
        self._told[number] = odd_answer(random, wire, judge=judge)
        path = {"openai": "/v1", "anthropic": "", "gemini": "/v1beta"}[wire]
        return f"http://127.0.0.1:{self._server.server_port}/{number}{path}"


def odd_answer(random: Random, wire: str, *, judge: bool = False) -> Answer:
    sound = SOUND[wire]
    if judge and random.random() < 0.6:
        reply = random.choice(REPLIES)
        reply = (
            broken_bytes(random, reply.encode()).decode("utf-8", "replace")
            if random.random() < 0.5
            else reply + random.choice(TEXTS)
        )
        body = {**sound, "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": reply}}]}
        return Answer(200, {"content-type": "application/json"}, json_text(body).encode())
    body = json_text(mutated(random, sound, random.randrange(1, 4))).encode()
    status = random.choice(STATUSES)
    headers = {"content-type": "application/json"}
    if random.random() < 0.3:
        name = random.choice(tuple(HEADERS))
        headers[name] = random.choice(HEADERS[name])
    if random.random() < 0.1:
        body = broken_bytes(random, body)
    if random.random() < 0.05:
        body, headers = gzip.compress(b" " * 5_000_000 + body), {**headers, "content-encoding": "gzip"}
    return Answer(status, headers, body, random.random() < 0.05)
