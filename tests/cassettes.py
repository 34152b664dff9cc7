"""Plays cassettes of `unisafe doctor --record` on loopback: the same doctor asks a server that answers what was recorded."""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from aiohttp import web

from unisafe_async import parse_config
from unisafe_async.config.bench_toml import Config
from unisafe_async.run.cassettes.cassette import describe_expected
from unisafe_async.run.doctor import examine
from unisafe_async.run.evaluation import judges_of
from unisafe_async.run.probing import try_calls

FOLDER = Path(__file__).parent / "providers" / "cassettes"
KEY = "CASSETTE_KEY"
Recorded = dict[str, Any]
"""One model of a cassette."""


def load_models(file: Path) -> list[Recorded]:
    """The models of one cassette."""
    content = json.loads(file.read_text("utf-8"))
    assert content["format"] == 1, f"{file.name}: format {content['format']} is newer than this test"
    models: list[Recorded] = content["models"]
    return models


def list_recorded() -> dict[str, Recorded]:
    """Every model of every cassette here, by the cassette's name, the model's provider and its name."""
    return {
        f"{file.stem}: {model['provider']} {model['model']}{' as judge' if model['judge'] else ''}": model
        for file in sorted(FOLDER.glob("*.json"))
        for model in load_models(file)
    }


class CassettePlayer:
    """Answers each call with the next recorded answer to that method and path; `unplayed` says what was asked beyond that."""

    def __init__(self, recorded: Recorded) -> None:
        self.url = ""
        self.unplayed: list[str] = []
        self._address = urlsplit(str(recorded["address"]).rstrip("/"))
        self._left: dict[tuple[str, str], list[Recorded]] = defaultdict(list)
        for exchange in recorded["exchanges"]:
            self._left[exchange["method"], self._place_of(exchange["path"])].append(exchange)
        self._hosts = {urlsplit(exchange["path"]).netloc for exchange in recorded["exchanges"]} - {"", self._address.netloc}

    @property
    def base_url(self) -> str:
        """The recorded address, at this server: some vendors list models beside it."""
        return f"{self.url}{self._address.path}"

    def _place_of(self, path: str) -> str:
        """A recorded path as this server sees it, without its query."""
        parts = urlsplit(path)
        if not parts.netloc:
            return unquote(f"{self._address.path}/{parts.path}")
        return unquote(parts.path if parts.netloc == self._address.netloc else f"/at/{parts.netloc}{parts.path}")

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        place = unquote(request.path)
        left = self._left[request.method, place]
        if not left:
            self.unplayed.append(f"{request.method} {place}")
            return web.Response(status=599, text="the cassette has no more answers to this")
        exchange = left.pop(0)
        if exchange["status"] is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        headers = dict(line.split(": ", 1) for line in exchange.get("headers", ()))
        return web.Response(status=exchange["status"], body=self._content_of(exchange), headers=headers)

    def _content_of(self, exchange: Recorded) -> bytes:
        if "received_picture" in exchange:
            return base64.b64decode(exchange["received_picture"])
        text = json.dumps(exchange["received"]) if "received" in exchange else str(exchange.get("received_text", ""))
        for host, there in [(self._address.netloc, self.url), *((host, f"{self.url}/at/{host}") for host in self._hosts)]:
            text = re.sub(rf"https?://{re.escape(host)}(?=[/?\"]|$)", there, text)
        return text.encode()

    @property
    def left(self) -> list[str]:
        """What was recorded and nobody asked for."""
        return [f"{method} {place}" for (method, place), exchanges in self._left.items() for _ in exchanges]


@asynccontextmanager
async def serving(player: CassettePlayer) -> AsyncIterator[None]:
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", player.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        player.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield
    finally:
        await runner.cleanup()


def config_of(recorded: Recorded, base_url: str) -> Config:
    """The bench.toml that asks the player as the recorded model was asked."""
    section = dict(recorded["section"])
    generation = {"image_size": section.pop("image_size")} if "image_size" in section else {}
    asked = {**section, "provider": recorded["provider"], "model": recorded["model"], "base_url": base_url, "key_env": KEY}
    other = {"provider": "simulated", "model": "judge" if not recorded["judge"] else "balanced"}
    models = [{"name": "other", **other}] if recorded["judge"] else [{"name": "recorded", **asked}]
    return parse_config(
        {
            "dataset": {"source": "sample"},
            "generation": generation,
            "models": models,
            "judge": asked if recorded["judge"] else other,
        }
    )


async def play(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], CassettePlayer]:
    """What comes out of a recorded model's exchanges today, as `expected` says it, and the player that answered."""
    for variable in (KEY, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "played-back-from-a-cassette")
    monkeypatch.setattr("unisafe_async.run.probing.PAUSE", 0.0)
    monkeypatch.setattr("unisafe_async.run.probing.LONGEST_PAUSE", 0.0)
    monkeypatch.setattr("unisafe_providers.hosted.jobs.FIRST_PAUSE", 0.0)
    player = CassettePlayer(recorded)
    async with serving(player):
        config = config_of(recorded, player.base_url)
        async with examine(config, judges_of(config)) as found:
            chosen = [one for one in found if not one.section.simulated]
            if any(exchange["asked_for"] != "list" for exchange in recorded["exchanges"]):
                await try_calls(chosen)
            return describe_expected(chosen[0]), player


def find_difference(recorded: Recorded, found: dict[str, Any], player: CassettePlayer) -> str:
    """What came out otherwise than recorded; empty if nothing did."""
    expected = recorded["expected"]
    lines = [
        f"{part}.{name}: recorded {expected[part].get(name)!r}, found {found[part].get(name)!r}"
        for part in ("marks", "probes", "limits")
        for name in sorted(expected[part].keys() | found[part].keys())
        if json.loads(json.dumps(found[part].get(name))) != expected[part].get(name)
    ]
    lines += [f"asked and not recorded: {what}" for what in player.unplayed]
    lines += [f"recorded and not asked: {what}" for what in player.left]
    return "\n".join(lines)
