"""The moderation endpoint over a real connection: what is sent, what is read, and a whole evaluation that it takes part in.

Bodies as in OpenAI's API reference, "Create moderation" (and the openai package's types/moderation*.py).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from unisafe_cache import read_file
from unisafe_providers.base import Capabilities, Image, Misconfigured, RateLimited, Rejected, Request, Response, Text, Transient
from unisafe_providers.hosted.moderation import OpenAIModeration

from unisafe_async import evaluate, parse_config
from unisafe_async.run.evaluation import Run

Reply = Callable[[dict[str, Any]], tuple[int, Any]]


def answer(flagged: bool, **scores: float) -> dict[str, Any]:
    named = {name.replace("_", "/"): score for name, score in scores.items()}
    result = {
        "flagged": flagged,
        "categories": {name: score > 0.5 for name, score in named.items()},
        "category_scores": named,
        "category_applied_input_types": {name: ["text"] for name in named},
    }
    return {"id": "modr-1", "model": "omni-moderation-latest", "results": [result]}


@asynccontextmanager
async def serving(reply: Reply) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    bodies: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.headers["authorization"] == "Bearer a-key-of-mine"
        body = json.loads(await request.read())
        bodies.append(body)
        status, content = reply(body)
        if isinstance(content, str):
            return web.Response(text=content, status=status)
        return web.json_response(content, status=status)

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/moderations", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", bodies
    finally:
        await runner.cleanup()


async def asked(reply: Reply, request: Request) -> tuple[Response, list[dict[str, Any]]]:
    async with serving(reply) as (url, bodies):
        provider = OpenAIModeration("omni-moderation-latest", url, "a-key-of-mine", Capabilities(image_in=True))
        assert "a-key-of-mine" not in provider.identity
        async with provider:
            return await provider.call(request), bodies


async def test_text_goes_out_and_scores_come_back() -> None:
    found, bodies = await asked(
        lambda _: (200, answer(True, violence=0.91, harassment=0.1)), Request(kind="chat", parts=(Text("A mild text."),))
    )
    assert bodies == [{"model": "omni-moderation-latest", "input": "A mild text."}]
    assert json.loads(found.text) == {"flagged": True, "scores": {"violence": 0.91, "harassment": 0.1}}


async def test_an_image_goes_out_as_a_data_url() -> None:
    picture = Image.from_bytes(b"\x89PNG mild")
    _, bodies = await asked(lambda _: (200, answer(False, sexual=0.01)), Request(kind="chat", parts=(picture,)))
    (part,) = bodies[0]["input"]
    assert part["type"] == "image_url"
    assert part["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (429, {"error": {"message": "Too Many Requests", "code": "rate_limit_exceeded"}}, RateLimited),
        (401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, Misconfigured),
        (400, {"error": {"message": "Invalid image"}}, Rejected),
        (500, "oops", Transient),
        (200, "<html>", Transient),
        (200, {"results": []}, Transient),
        (200, {"results": [{"flagged": "false", "category_scores": {}}]}, Transient),
        (200, {"results": [{"flagged": False}]}, Transient),
    ],
)
async def test_what_goes_wrong_has_its_name_and_is_never_a_verdict(status: int, body: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await asked(lambda _: (status, body), Request(kind="chat", parts=(Text("A mild text."),)))


@pytest.mark.parametrize("threshold", [None, 0.2])
async def test_an_evaluation_takes_intrinsic_verdicts_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: float | None
) -> None:
    monkeypatch.setenv("MODERATION_KEY", "a-key-of-mine")

    def flags(body: dict[str, Any]) -> tuple[int, Any]:
        text = body["input"] if isinstance(body["input"], str) else ""
        return 200, answer("does what was asked" in text, violence=0.3)

    async with serving(flags) as (url, bodies):
        moderation = {
            "name": "openai", "kind": "moderation", "provider": "openai", "model": "omni-moderation-latest",
            "base_url": url, "key_env": "MODERATION_KEY",
        } | ({"threshold": threshold} if threshold else {})  # fmt: skip
        sim = {"provider": "simulated", "takes": ["text", "image"]}
        settings = {
            "cache": {"path": str(tmp_path / "run.duckdb")},
            "run": {"budget_usd": 1.0},
            "judge": {"judges": [moderation, {**sim, "model": "judge"}]},
            "models": [{"name": "m", "model": "permissive", "gives": ["text", "image"], **sim}],
        }
        result = await evaluate(parse_config(settings))
        sent = len(bodies)
        runs: list[Run] = []
        await evaluate(parse_config(settings), on_start=runs.append)
        assert len(bodies) == sent > 5, "a cached rerun asks nobody"
    sql = "SELECT item, label, status FROM opinions WHERE run = ? AND judge = 'openai'"
    opinions = read_file(result.cache, lambda connection: connection.execute(sql, [result.run]).fetchall())
    rows = {row.item: row for row in result.rows()}
    assert len(opinions) > 50
    assert all(status == "judged" and rows[item].intrinsic == label for item, label, status in opinions)
    assert {label for _, label, _ in opinions} == ({0, 1} if threshold is None else {0})
    assert any("images" in item or "unsafe_t2i" in item for item, _, _ in opinions)
    assert result.unjudged == 0
