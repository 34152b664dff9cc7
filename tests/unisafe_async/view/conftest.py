"""A run whose answers are hostile, with several judges that disagree, and the view of its cache over HTTP."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import duckdb
import pytest
from aiohttp import ClientSession, CookieJar
from unisafe_cache import read_file
from unisafe_cache.file import CacheFile

from tests.unisafe_async.page.conftest import EVIL_MODEL, poison
from unisafe_async import evaluate, parse_config
from unisafe_async.view.guard import ASKED, Guard
from unisafe_async.view.rating import LabelBook
from unisafe_async.view.server import Viewer, open_view

TOKEN = "the-token-of-this-test"
SENT = {ASKED: "1"}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of a finished run."""
    folder = tmp_path_factory.mktemp("view")
    simulated = {"provider": "simulated", "takes": ["text", "image"]}
    settings = {
        "cache": {"path": str(folder / "run.duckdb")},
        "run": {"name": "nightly", "tags": ["ci", "gpt-5"], "note": "a first try"},
        "judge": {**simulated, "model": "judge", "simulation": {"judge_blocked": 0.05}},
        "models": [
            {**simulated, "gives": ["text", "image"], "name": "Unified", "model": "permissive", "utility": 61.2},
            {"provider": "simulated", "name": "Language", "model": "cautious"},
            {**simulated, "name": EVIL_MODEL, "model": "balanced"},
        ],
    }
    anyio.run(evaluate, parse_config(settings))
    with duckdb.connect(str(folder / "run.duckdb")) as connection:
        poison(connection)
        connection.execute(
            "INSERT INTO opinions SELECT run, item, model, sample, 'contextual', votes.judge, place, label, 'judged', 'because', '' "
            "FROM (SELECT * FROM rows WHERE item LIKE '%generation/2' AND model = 'Language'), "
            "(VALUES ('first', 0, 0), ('second', 1, 1)) AS votes(judge, place, label)"
        )
    return folder / "run.duckdb"


@pytest.fixture
def cache(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, for tests that change it."""
    return Path(shutil.copy(finished, tmp_path / "run.duckdb"))


@dataclass
class Reader:
    """Somebody who reads the view with the token's cookie."""

    session: ClientSession
    base: str
    run: str

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        """Status and content, JSON if it is; `path` may hold {run}."""
        return await self._ask("GET", path, **options)

    async def post(self, path: str, content: object, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        return await self._ask("POST", path, data=json.dumps(content), headers=SENT if headers is None else headers)

    async def _ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        url = self.base + path.format(run=self.run)
        async with self.session.request(method, url, allow_redirects=False, **options) as answer:
            return answer.status, await answer.json() if answer.content_type == "application/json" else await answer.read()


Open = Callable[..., AbstractAsyncContextManager[Reader]]


@pytest.fixture
def read(tmp_path: Path) -> Open:
    """Opens the view of a cache for a reader; labels go to `labels.jsonl` of the test's folder."""

    @asynccontextmanager
    async def opened(cache: Path, *, blind: bool = False, entered: bool = True) -> AsyncIterator[Reader]:
        viewer = Viewer(cache, tmp_path / "bench.toml", LabelBook(tmp_path / "labels.jsonl", "ann"), blind=blind)
        async with open_view(viewer, Guard(TOKEN)) as address, ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
            reader = Reader(session, address.partition("/?")[0], name_run(cache))
            if entered:
                await reader.get(f"/?token={TOKEN}")
            yield reader

    return opened


def name_run(cache: Path) -> str:
    return str(find(cache, "SELECT run FROM runs ORDER BY started")[0][0])


def find(cache: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    return read_file(cache, lambda connection: connection.execute(sql, list(values)).fetchall())


def change(cache: Path, sql: str, *values: object) -> None:
    """Write to the file as a run beside the view does, in its turn."""
    file = CacheFile(cache)
    file.work(lambda connection: connection.execute(sql, list(values) or None), "close")
