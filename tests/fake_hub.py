"""A hub on this machine: it lists models and gives their files, as far as `huggingface_hub` asks for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(ThreadingHTTPServer):
    """A hub that holds `org/name`.

    Args:
        folder: its files.
        gated: as the hub lists it: False, or `auto` or `manual`; then this user has not accepted its terms.

    Attributes:
        downloaded: the names of the files that it gave.
        enlarged: how many times as large as they are it lists its files.
    """

    daemon_threads = True

    def __init__(self, folder: Path, gated: str | bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.gated = gated
        self.downloaded: list[str] = []
        self.enlarged = 1

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def describe(self) -> dict[str, Any]:
        files = sorted(file for file in self.folder.rglob("*") if file.is_file())
        config = json.loads((self.folder / "config.json").read_text())
        return {
            "id": "org/name",
            "modelId": "org/name",
            "sha": COMMIT,
            "gated": self.gated,
            "config": {key: config[key] for key in ("model_type", "quantization_config") if key in config},
            "siblings": [
                {"rfilename": file.relative_to(self.folder).as_posix(), "size": file.stat().st_size * self.enlarged}
                for file in files
            ],
        }


class Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/api/models/org/name/auth-check":
            self._refuse() if self.server.gated else self._send(b"{}")
        elif path.startswith("/api/models/org/name"):
            if "/tree/" in path:
                files = [{"type": "file", "oid": "0", "path": one["rfilename"], "size": one["size"]} for one in self._files()]
                self._send(json.dumps(files).encode())
            else:
                self._send(json.dumps(self.server.describe()).encode())
        else:
            self._give(path)

    do_HEAD = do_GET  # noqa: N815

    def _files(self) -> list[dict[str, Any]]:
        files: list[dict[str, Any]] = self.server.describe()["siblings"]
        return files

    def _give(self, path: str) -> None:
        file = self.server.folder / path.partition("/resolve/")[2].partition("/")[2]
        if self.server.gated:
            self._refuse()
        elif not file.is_file():
            self._send(b"", 404, {"X-Error-Code": "EntryNotFound"})
        else:
            content = file.read_bytes()
            if self.command == "GET":
                self.server.downloaded.append(file.name)
            self._send(content, 200, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT})

    def _refuse(self) -> None:
        self._send(b'{"error": "gated"}', 403, {"X-Error-Code": "GatedRepo"})

    def _send(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serving(folder: Path, gated: str | bool = False) -> Iterator[FakeHub]:
    """A hub that answers until the block ends."""
    with FakeHub(folder, gated) as hub:
        Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield hub
        finally:
            hub.shutdown()
