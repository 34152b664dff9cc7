"""A judge that talked nonsense in one run and is mended in the next: what is paid again is what is missing, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unisafe_cache import read_file
from vendors import KEY, Reply, openai
from vendors.server import Asked

from unisafe_async import evaluate, parse_config
from unisafe_async.library import Result
from unisafe_async.run.evaluation import Run
from unisafe_async.run.plan import plan

NONSENSE = "Let me put it this way."
GOOD = '{"reason": "It helps.", "verdict": 1}'
INTENT = "They want a greeting."
ITEMS = 4

Answer = Callable[[str, Asked], str]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", KEY)


def question_of(asked: Asked) -> str:
    """What a judge was asked, by its rubric."""
    system = asked.body["messages"][0]["content"]
    return next((name for name in ("contextual", "intrinsic") if f"{name} safety judge" in system), "intent")


def is_second(asked: Asked) -> bool:
    return "<<<REPLY " in json.dumps(asked.body)


class Bench:
    """A model and a judge behind one server each, whose judge can be changed between runs."""

    def __init__(self, folder: Path, model: openai.OpenAIServer, judge: openai.OpenAIServer) -> None:
        self.folder, self.model, self.judge = folder, model, judge
        self.answers: Answer = lambda question, _: INTENT if question == "intent" else NONSENSE
        judge.replies = [lambda asked: openai.completion(self.answers(question_of(asked), asked))]

    def settings(self, **judge: Any) -> dict[str, Any]:
        hosted = {"provider": "openai", "key_env": "VENDOR_KEY", "max_concurrency": 4}
        return {
            "cache": {"path": str(self.folder / "run.duckdb")},
            "dataset": {"tasks": ["malicious_text_generation"], "limit": ITEMS},
            "models": [{"name": "m", "model": "m", "base_url": self.model.url, **hosted}],
            "judge": {"model": "j", "base_url": self.judge.url, **hosted, **judge},
        }

    async def run(self, **judge: Any) -> tuple[Result, Counter[str]]:
        """A run, and what its judge was asked, by question."""
        before = len(self.judge.asked)
        runs: list[Run] = []
        result = await evaluate(parse_config(self.settings(**judge)), on_start=runs.append)
        return result, Counter(question_of(asked) for asked in self.judge.asked[before:])


@pytest.fixture
async def bench(tmp_path: Path) -> Any:
    def answer(asked: Asked) -> Reply:
        return openai.completion(f"A friendly sentence about {asked.body['messages'][-1]['content']}")

    async with openai.OpenAIServer(answer) as model, openai.OpenAIServer(Reply({})) as judge:
        yield Bench(tmp_path, model, judge)


def labels(result: Result) -> set[tuple[int | None, int | None]]:
    return {(row.contextual, row.intrinsic) for row in result.rows()}


async def test_a_mended_judge_costs_exactly_the_missing_verdicts(bench: Bench) -> None:
    first, asked = await bench.run()
    assert first.unjudged == ITEMS
    assert asked == {"intent": ITEMS, "contextual": 2 * ITEMS, "intrinsic": 2 * ITEMS}
    generations = len(bench.model.asked)
    needs = await plan(parse_config(bench.settings()))
    assert needs.judges[0].calls == 2 * ITEMS
    bench.answers = lambda question, _: INTENT if question == "intent" else GOOD
    second, asked = await bench.run()
    assert (second.unjudged, labels(second)) == (0, {(1, 1)})
    assert asked == {"contextual": ITEMS, "intrinsic": ITEMS}
    assert len(bench.model.asked) == generations
    third, asked = await bench.run()
    assert (third.unjudged, asked) == (0, Counter())
    sql = "SELECT count(*) FROM responses WHERE text = ?"
    kept = read_file(second.cache, lambda connection: connection.execute(sql, [NONSENSE]).fetchall())
    assert kept == [(4 * ITEMS,)], "what could not be read is kept to be shown"


async def test_of_a_judge_that_is_mended_for_one_question_only_the_other_is_asked_again(bench: Bench) -> None:
    bench.answers = lambda question, _: {"intent": INTENT, "intrinsic": GOOD}.get(question, NONSENSE)
    await bench.run()
    _, asked = await bench.run()
    assert asked == {"contextual": 2 * ITEMS}


async def test_a_second_reply_that_can_be_read_is_the_verdict_of_later_runs_too(bench: Bench) -> None:
    bench.answers = lambda question, asked: INTENT if question == "intent" else GOOD if is_second(asked) else NONSENSE
    first, asked = await bench.run()
    assert (first.unjudged, labels(first)) == (0, {(1, 1)})
    assert asked == {"intent": ITEMS, "contextual": 2 * ITEMS, "intrinsic": 2 * ITEMS}
    again, asked = await bench.run()
    assert (again.unjudged, labels(again), asked) == (0, {(1, 1)}, Counter())


async def test_an_intent_that_could_not_be_read_is_asked_for_again(bench: Bench) -> None:
    bench.answers = lambda question, _: "<think>\nThe user" if question == "intent" else GOOD
    first, asked = await bench.run()
    assert (first.unjudged, labels(first)) == (ITEMS, {(None, 1)})
    assert asked["intent"] >= ITEMS
    bench.answers = lambda question, _: INTENT if question == "intent" else GOOD
    second, asked = await bench.run()
    assert (second.unjudged, labels(second)) == (0, {(1, 1)})
    assert asked == {"intent": ITEMS, "contextual": ITEMS}


async def test_switching_structured_output_asks_the_judge_anew_and_no_model(bench: Bench) -> None:
    bench.answers = lambda question, _: INTENT if question == "intent" else GOOD
    await bench.run()
    generations = len(bench.model.asked)
    assert all("response_format" in asked.body for asked in bench.judge.asked if question_of(asked) != "intent")
    before = len(bench.judge.asked)
    result, asked = await bench.run(structured=False)
    assert asked == {"contextual": ITEMS, "intrinsic": ITEMS}
    assert all("response_format" not in asked.body for asked in bench.judge.asked[before:])
    assert (len(bench.model.asked), result.unjudged) == (generations, 0)
    assert (await bench.run())[1] == Counter()


async def test_a_chain_whose_next_judge_has_judged_asks_the_first_no_more(bench: Bench) -> None:
    seats = {"name": "first", "model": "j", "base_url": bench.judge.url, "provider": "openai", "key_env": "VENDOR_KEY"}
    settings = bench.settings()
    settings["judge"] = {
        "judges": [seats, {"name": "second", "provider": "simulated", "model": "judge", "simulation": {"guess": 0.0}}]
    }
    first = await evaluate(parse_config(settings))
    assert (first.unjudged, labels(first)) == (0, {(1, 1)})
    asked = len(bench.judge.asked)
    again = await evaluate(parse_config(settings))
    assert (again.unjudged, labels(again), len(bench.judge.asked)) == (0, {(1, 1)}, asked)
