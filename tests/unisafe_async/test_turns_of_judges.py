"""Models and judges on devices of this machine: one model at a time has a device, whoever it is, and the verdicts are the same."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import forked_worker
import pytest
from judging_worker import holders
from loopback import Handler, serving
from rich.console import Console
from test_judges import ask, calls, judging
from test_truth import run
from unisafe_cache import Row
from unisafe_providers.local import process

from unisafe_async import evaluate, parse_config
from unisafe_async.run.evaluation import Run
from unisafe_async.run.plan import plan
from unisafe_async.screens.plan import print_plan
from unisafe_async.screens.progress import Progress, describe_turns

ITEMS = 12
HOSTED = {"provider": "simulated", "model": "judge", "takes": ["text", "image"], "simulation": {"guess": 1.0}}


@pytest.fixture(autouse=True)
def judging_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "COMMAND", forked_worker.standing_in("judging_worker"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "digests"))


def local(folder: Path, name: str, device: str = "cpu") -> dict[str, Any]:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "config.json").write_text(json.dumps({"name": name}))
    return {"name": name, "provider": "transformers", "model": str(folder / name), "device": device}


def table(folder: Path, judges: list[dict[str, Any]], *models: str, **together: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    lines = [
        {"id": number, "task": "malicious_text_generation", "category": "Politics", "prompt": f"A question, number {number}?"}
        for number in range(ITEMS)
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {
        "dataset": {"source": str(folder / "items.jsonl")},
        "cache": {"path": str(folder / "run.duckdb")},
        "judge": {"judges": judges, **together},
        "models": [local(folder, name) for name in models or ("model",)],
    }


def loaded(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each model in the order of loading, with those that were alive on the device then."""
    for line in (folder / "loaded").read_text().splitlines() if (folder / "loaded").exists() else ():
        name, *besides = line.split()
        yield name, tuple(besides)


async def test_two_judges_of_a_panel_take_turns_on_the_device_of_the_models(tmp_path: Path) -> None:
    settings = table(
        tmp_path,
        [local(tmp_path, "judge_a"), {**HOSTED, "name": "hosted"}, local(tmp_path, "judge_b")],
        "model",
        "model_2",
        mode="panel",
    )
    result, done = await run(settings)
    assert list(loaded(tmp_path)) == [("model", ()), ("model_2", ()), ("judge_a", ()), ("judge_b", ())]
    assert result.unjudged == 0
    assert ask(result, "SELECT judge, count(*) FROM opinions WHERE run = ? GROUP BY ALL ORDER BY 1") == [
        ("hosted", 4 * ITEMS),
        ("judge_a", 4 * ITEMS),
        ("judge_b", 4 * ITEMS),
    ]
    assert calls(done)["judge_a"] == ITEMS + 4 * ITEMS, "one intent an item, two verdicts of each model"
    assert [row.cached for row in result.rows()] == [False] * 2 * ITEMS, "who was asked in an earlier pass was asked in this run"
    assert done.lanes[0].endpoint.counts.cached == 0
    (tmp_path / "loaded").unlink()
    again, after = await run(settings)
    assert list(loaded(tmp_path)) == []
    assert set(calls(after).values()) == {0}
    assert [(row.item, row.contextual, row.intrinsic) for row in again.rows()] == [
        (row.item, row.contextual, row.intrinsic) for row in result.rows()
    ]
    assert all(row.cached for row in again.rows())


async def test_a_chain_asks_the_second_judge_for_what_the_first_could_not_judge(tmp_path: Path) -> None:
    result, done = await run(table(tmp_path, [local(tmp_path, "half"), local(tmp_path, "judge")]))
    assert list(loaded(tmp_path)) == [("model", ()), ("half", ()), ("judge", ())]
    first, second = judging(result).tallies
    assert result.unjudged == 0
    assert 0 < first.judged < 2 * ITEMS
    assert second.asked == second.judged == first.unparsed
    assert calls(done)["judge"] == second.asked


async def test_an_intent_that_a_later_judge_finds_brings_an_earlier_one_back(tmp_path: Path) -> None:
    result, _ = await run(table(tmp_path, [local(tmp_path, "silent"), local(tmp_path, "judge")]))
    assert list(loaded(tmp_path)) == [("model", ()), ("silent", ()), ("judge", ()), ("silent", ())]
    assert result.unjudged == 0
    assert {row.judge for row in result.rows()} == {"silent"}, "the first judge of the chain that could judge"


async def test_a_judge_that_cannot_be_loaded_is_not_waited_for(tmp_path: Path) -> None:
    gone = {**local(tmp_path, "gone"), "model": str(tmp_path / "nowhere")}
    result, _ = await run(table(tmp_path, [gone, local(tmp_path, "judge")]))
    assert list(loaded(tmp_path)) == [("model", ()), ("judge", ())]
    assert {row.judge for row in result.rows()} == {"judge"}
    assert result.unjudged == 0


async def test_a_judge_that_fails_for_some_responses_leaves_them_to_the_next(tmp_path: Path) -> None:
    """A failure is in no cache: the pass of the next judge has to know of it, and nobody is asked twice."""
    result, done = await run(table(tmp_path, [local(tmp_path, "fails"), local(tmp_path, "judge")]))
    assert list(loaded(tmp_path)) == [("model", ()), ("fails", ()), ("judge", ())]
    first, second = judging(result).tallies
    assert first.failed == second.asked == second.judged > 0
    assert result.unjudged == 0
    assert calls(done)["judge"] == second.asked


async def test_a_hosted_judge_is_not_held_up_by_the_turns_of_the_others(tmp_path: Path) -> None:
    settings = table(tmp_path, [{**HOSTED, "name": "hosted"}, local(tmp_path, "judge")])
    loaded_at_rows: list[int] = []

    def note(_: Row) -> None:
        loaded_at_rows.append(len(list(loaded(tmp_path))))

    result = await evaluate(parse_config(settings), on_row=note)
    assert result.unjudged == 0
    assert set(loaded_at_rows) == {1}, "it judged all, and the judge after it was not even loaded"


async def test_the_plan_and_the_screen_say_who_waits(tmp_path: Path) -> None:
    settings = table(tmp_path, [local(tmp_path, "judge_a"), local(tmp_path, "judge_b")], mode="panel")
    planned = await plan(parse_config(settings))
    assert planned.later == (("judge_a",), ("judge_b",))
    console = Console(file=io.StringIO(), width=200)
    print_plan(console, planned, parse_config(settings))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "judge_a, then judge_b judge after the models on their devices" in said
    runs: list[Run] = []
    told: list[str] = []

    def note(_: Row) -> None:
        told.append(describe_turns(runs[0]))

    await evaluate(parse_config(settings), on_start=runs.append, on_row=note)
    assert set(told) == {""}, "the last judge waits for nobody"
    runs[0].pipeline.now = runs[0].pipeline.passes[1]
    assert describe_turns(runs[0]) == "judge_b needs the same device and comes after"
    runs[0].pipeline.now = runs[0].pipeline.passes[0]
    assert (
        "12 of 12 answered; judge_a and then judge_b need the same device and come after" in Progress(console, runs[0]).plain_line()
    )


async def test_a_cancelled_run_leaves_no_process(tmp_path: Path) -> None:
    settings = table(tmp_path, [local(tmp_path, "judge")])
    async with anyio.create_task_group() as group:

        def stop(_: Row) -> None:
            assert holders(tmp_path) == ["judge"]
            group.cancel_scope.cancel()

        group.start_soon(partial(evaluate, parse_config(settings), on_row=stop))
    assert holders(tmp_path) == []


async def test_what_the_cache_knows_of_a_model_does_not_wait_for_its_turn(tmp_path: Path) -> None:
    judges = [{**HOSTED, "name": "hosted"}]
    await run(table(tmp_path, judges, "model_z"))
    rows: list[str] = []
    await evaluate(parse_config(table(tmp_path, judges, "model_a", "model_z")), on_row=lambda row: rows.append(row.model))
    assert rows == ["model_z"] * ITEMS + ["model_a"] * ITEMS
    assert list(loaded(tmp_path)) == [("model_z", ()), ("model_a", ())]


class Waiting(Handler):
    """A hosted model that answers once `go_on` is set."""

    go_on: threading.Event

    def answer(self, _: bytes) -> tuple[int, bytes]:
        self.go_on.wait(60)
        return 200, b'{"choices": [{"message": {"content": "Late."}, "finish_reason": "stop"}], "usage": {}}'


@pytest.fixture
def waiting() -> Iterator[str]:
    Waiting.go_on = threading.Event()
    with serving(Waiting) as url:
        yield url
        Waiting.go_on.set()


async def test_a_judge_begins_once_its_device_is_free_though_a_hosted_model_still_answers(tmp_path: Path, waiting: str) -> None:
    settings = table(tmp_path, [local(tmp_path, "judge")], "model")
    settings["models"].append({"name": "hosted", "provider": "openai", "base_url": waiting, "model": "m"})
    rows: list[tuple[str, str]] = []

    def note(row: Row) -> None:
        rows.append((row.model, row.item))
        if len(rows) == ITEMS:
            Waiting.go_on.set()

    with anyio.fail_after(60):
        result, done = await run(settings, on_row=note)
    assert [model for model, _ in rows] == ["model"] * ITEMS + ["hosted"] * ITEMS
    assert len(set(rows)) == 2 * ITEMS, "each row once"
    assert result.unjudged == 0
    assert list(loaded(tmp_path)) == [("model", ()), ("judge", ())]
    assert calls(done)["judge"] == ITEMS + 2 * ITEMS + (ITEMS + 1), "the same words of the hosted model are judged alone once"
