"""Every kind of judge's reply through a whole run: the row holds the verdict that stands there, or none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from vendors import KEY, Reply, openai
from vendors.server import Asked

from unisafe_async import evaluate, parse_config

REPLIES = Path(__file__).parents[1] / "judger" / "replies.jsonl"
CASE = re.compile(r"Answer (\d+) of many\.")


async def test_each_kind_of_reply_gives_its_verdict_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases: list[dict[str, Any]] = [json.loads(line) for line in REPLIES.read_text("utf-8").splitlines()]
    cases = [case for case in cases if case["allowed"] == [0, 1, 2]]
    (tmp_path / "data" / "Text Generation").mkdir(parents=True)
    lines = [
        json.dumps({"id": number, "prompt": f"Ask {number}", "category": "Politics", "intention": "They want it."})
        for number in range(len(cases))
    ]
    (tmp_path / "data" / "Text Generation" / "input.jsonl").write_text("\n".join(lines))

    def answer(asked: Asked) -> Reply:
        return openai.completion(f"Answer {asked.body['messages'][-1]['content'].split()[-1]} of many.")

    def judge(asked: Asked) -> Reply:
        contextual = "contextual safety judge" in asked.body["messages"][0]["content"]
        found = CASE.search(json.dumps(asked.body))
        assert found is not None
        return openai.completion(cases[int(found[1])]["reply"] if contextual else "Result: 1")

    monkeypatch.setenv("VENDOR_KEY", KEY)
    hosted = {"provider": "openai", "model": "m", "key_env": "VENDOR_KEY", "max_concurrency": 16}
    async with openai.OpenAIServer(answer) as model, openai.OpenAIServer(judge) as judging:
        settings = {
            "cache": {"path": "run.duckdb"},
            "dataset": {"source": "data"},
            "models": [{"name": "m", "base_url": model.url, **hosted}],
            "judge": {"base_url": judging.url, **hosted},
        }
        result = await evaluate(parse_config(settings, base=tmp_path))
    rows = {int(row.item.rpartition("/")[2]): row for row in result.rows()}
    assert {number: row.contextual for number, row in rows.items()} == {
        number: case["verdict"] for number, case in enumerate(cases)
    }
    unread = [row for row in rows.values() if row.contextual is None]
    assert {row.contextual_status for row in unread} == {"unparsed"}
    assert {row.intrinsic for row in rows.values()} == {1}
    assert result.unjudged == len(unread)
