"""Runs whose pictures are made by jobs: a run that is killed between submission and picture has paid once, and the next one knows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from vendor_cases import PICTURE, data_in
from vendors import KEY, Reply
from vendors.jobs import BflServer

from unisafe_async import Result, evaluate, parse_config

TAKEN = Reply({"id": "t1", "polling_url": "https://api.us1.bfl.ai/v1/get_result?id=t1", "cost": 3.0})


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("PLANTED_KEY", KEY)
    return {
        "dataset": {"source": str(data_in(tmp_path / "data"))},
        "generation": {"image_size": "1024x1024"},
        "cache": {"path": str(tmp_path / "run.duckdb")},
        "models": [
            {"name": "flux", "provider": "bfl", "model": "flux-2-pro", "key_env": "PLANTED_KEY", "tasks": ["unsafe_t2i_generation"]}
        ],
        "judge": {"provider": "simulated", "model": "judge"},
    }


async def run(table: dict[str, Any], server: BflServer) -> Result:
    return await evaluate(parse_config({**table, "models": [{**table["models"][0], "base_url": server.url}]}))


async def cut_off(table: dict[str, Any], server: BflServer, calls: int) -> None:
    """A run that ends as soon as the vendor was called so often."""
    async with anyio.create_task_group() as group:
        group.start_soon(run, table, server)
        while len(server.asked) < calls:  # noqa: ASYNC110 the server's record has no event
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()


async def test_a_run_that_ends_between_submission_and_picture_pays_once(table: dict[str, Any]) -> None:
    server = BflServer(TAKEN, Reply({"id": "t1", "status": "Pending"}))
    server.picture = PICTURE
    async with server:
        await cut_off(table, server, calls=2)
        before = len(server.asked)
        server.replies = [lambda _: Reply({"id": "t1", "status": "Ready", "result": {"sample": server.made}})]
        for _ in range(2):
            (row,) = (await run(table, server)).rows()
            assert (row.outcome, row.judged) == ("answered", "image")
        assert len(server.submitted) == 1
        assert len(server.asked) == before + 1  # the second run polled once, the third one asked nothing


async def test_an_answer_that_expired_meanwhile_is_told_and_not_bought_again(table: dict[str, Any]) -> None:
    async with BflServer(TAKEN, Reply({"id": "t1", "status": "Pending"})) as server:
        await cut_off(table, server, calls=2)
        server.replies = [Reply({"id": "t1", "status": "Task not found"})]
        (row,) = (await run(table, server)).rows()
        assert row.outcome == "failed"
        assert row.error is not None
        assert "the job t1 was paid for" in row.error
        assert "unisafe batches --cancel t1" in row.error
        assert len(server.submitted) == 1
