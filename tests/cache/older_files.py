"""Caches as earlier versions of the program wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
from unisafe_providers.base import Request, Text, digest_of

CREATED = "2026-03-01 10:00:00"
IDENTITY = "openai|https://host.example/v1|model"
PROMPT = Request(kind="chat", parts=(Text("Write a mild stand-in."),), max_tokens=64)
DRAWING = Request(kind="image", parts=(Text("Draw a mild stand-in."),))
CONFIG = {"models": [{"name": "m", "provider": "openai", "model": "model"}], "judge": {"provider": "openai", "model": "judge"}}


def key_of(request: Request, identity: str = IDENTITY) -> str:
    return digest_of(identity.encode() + b"\0" + request.canonical)


class OlderFile:
    """A cache of format 1, 2, 3 or 4, made by that format's own CREATE statements, to be filled by `answer` and `row`."""

    def __init__(self, path: Path, version: int) -> None:
        self.path = path
        self.version = version
        self._ids = 1
        sql = Path(__file__).with_name("formats").joinpath(f"format_{version}.sql").read_text("utf-8")
        with duckdb.connect(str(path)) as connection:
            connection.execute(sql)
            connection.execute("INSERT INTO unisafe_meta VALUES (?)", [version])
            connection.execute(
                "INSERT INTO runs VALUES ('old', $at, $at, 'done', $config, 'sample', 'd', 'r', '{}', '{\"cost\": 0.5}')",
                {"at": CREATED, "config": json.dumps(CONFIG)},
            )

    def answer(
        self,
        request: Request = PROMPT,
        text: str = "",
        images: tuple[bytes, ...] = (),
        *,
        finish: str = "stop",
        tokens_out: int = 0,
        identity: str = IDENTITY,
        media_type: str = "image/png",
    ) -> int:
        """Store an answer, and return its id."""
        self._ids += 1
        digests = [digest_of(image) for image in images]
        values = [self._ids, key_of(request, identity), identity, request.canonical.decode(), text, digests, finish, "why"]
        values += [5, tokens_out, len(images), 0.25, 1.5, "old", CREATED]
        with duckdb.connect(str(self.path)) as connection:
            for digest, data in zip(digests, images, strict=True):
                connection.execute(
                    "INSERT INTO images BY NAME SELECT ? AS digest, ? AS media_type, ? AS data", [digest, media_type, data]
                )
            values += [None] * {1: 0, 2: 2, 3: 7, 4: 7}[self.version]
            connection.execute(f"INSERT INTO responses VALUES ({', '.join('?' * len(values))})", values)
        return self._ids

    def row(self, item: str, response: int | None, contextual: int | None = 1, intrinsic: int | None = 1) -> None:
        """Store a row with both verdicts."""
        task, statuses = item.partition("/")[0], ["failed" if label is None else "judged" for label in (contextual, intrinsic)]
        values = ["old", item, task, "Sensitive Topics", "Politics", "m", 0, "answered", None, response]
        values += [contextual, statuses[0], "because", "", intrinsic, statuses[1], "so it is", "", "judge", False, CREATED]
        values += [None] * (9 if self.version > 2 else 0)
        with duckdb.connect(str(self.path)) as connection:
            connection.execute(f"INSERT INTO rows VALUES ({', '.join('?' * len(values))})", values)
