"""Several runs on one cache: processes, or `evaluate` several times in one, on a cache that is there or not yet."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import pytest
from forked import unisafe
from unisafe_cache import read_file
from vendors import KEY, Reply, openai
from vendors.server import Asked

from unisafe_async import evaluate, parse_config
from unisafe_async.library import Result

ITEMS = 12


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", KEY)


def answered(asked: Asked) -> Reply:
    """A model and a judge in one, who take a moment."""
    judged = "judge" in asked.body["model"]
    words = (
        '{"reason": "It helps.", "verdict": 1}' if judged else f"A friendly sentence about {asked.body['messages'][-1]['content']}"
    )
    return openai.completion(words)


def settings(folder: Path, url: str) -> dict[str, Any]:
    hosted = {"provider": "openai", "key_env": "VENDOR_KEY", "base_url": url, "max_concurrency": 4}
    return {
        "cache": {"path": str(folder / "run.duckdb")},
        "dataset": {"tasks": ["malicious_text_generation"], "limit": ITEMS},
        "models": [{"name": "m", "model": "m", **hosted}],
        "judge": {"model": "a-judge", **hosted},
    }


def paid_again(server: openai.OpenAIServer) -> dict[str, int]:
    asked = Counter(json.dumps(one.body, sort_keys=True) for one in server.asked)
    return {body: times for body, times in asked.items() if times > 1}


def labels(result: Result) -> list[tuple[object, ...]]:
    return sorted((row.item, row.outcome, row.contextual, row.intrinsic) for row in result.rows())


async def test_several_evaluations_at_once_on_a_new_cache_pay_once(tmp_path: Path) -> None:
    results = list[Result]()

    async def one(config: Any) -> None:
        results.append(await evaluate(config))

    async with openai.OpenAIServer(answered) as server:
        config = parse_config(settings(tmp_path, server.url))
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(one, config)
        assert paid_again(server) == {}
    assert [result.unjudged for result in results] == [0] * 4
    assert len({result.run for result in results}) == 4
    assert all(labels(result) == labels(results[0]) for result in results)


async def test_evaluations_in_threads_share_the_cache_as_well(tmp_path: Path) -> None:
    results = list[Result]()

    async with openai.OpenAIServer(answered) as server:
        config = parse_config(settings(tmp_path, server.url))
        threads = [Thread(target=lambda: results.append(anyio.run(evaluate, config))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await anyio.to_thread.run_sync(thread.join)
        assert paid_again(server) == {}
    assert [result.unjudged for result in results] == [0, 0]


async def test_several_processes_at_once_pay_once(tmp_path: Path) -> None:
    codes = list[int]()

    async def one() -> None:
        done = await anyio.to_thread.run_sync(lambda: unisafe("run", "-c", "bench.toml", cwd=tmp_path))
        assert "Traceback" not in done.stderr
        codes.append(done.returncode)

    async with openai.OpenAIServer(answered) as server:
        table = settings(tmp_path, server.url)
        model = table["models"][0]
        lines = [f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table[name].items())
                 for name in ("cache", "dataset", "judge")]  # fmt: skip
        lines.append("[[models]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in model.items()))
        (tmp_path / "bench.toml").write_text("\n".join(lines))
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)
        assert paid_again(server) == {}
    assert codes == [0, 0, 0]
    sql = "SELECT run, count(*) FROM rows WHERE contextual IS NOT NULL AND intrinsic IS NOT NULL GROUP BY run"
    runs = read_file(tmp_path / "run.duckdb", lambda connection: connection.execute(sql).fetchall())
    assert [rows for _, rows in runs] == [ITEMS] * 3
