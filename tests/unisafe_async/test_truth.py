"""Whole evaluations of simulated models, whose true verdicts are known: rows and scores must equal them, and nothing is paid
twice.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from unisafe_cache import Row, read_file

from unisafe_async import Dataset, evaluate, open_dataset, parse_config
from unisafe_async.library import Result
from unisafe_async.run.evaluation import Run
from unisafe_async.run.trials import Sampling, build_generation_request
from unisafe_async.simulate import Simulator, open_server
from unisafe_async.simulate.simulated import PROFILES, truth_of

SIM = {"provider": "simulated", "takes": ["text", "image"]}


def table(folder: Path, *models: dict[str, Any], judge: dict[str, Any] | None = None, **sections: dict[str, Any]) -> dict[str, Any]:
    return {
        "cache": {"path": str(folder / "run.duckdb")},
        "judge": {**SIM, "model": "judge", **(judge or {})},
        "models": [{"name": model["model"], "gives": ["text", "image"], **SIM, **model} for model in models],
        **sections,
    }


async def run(settings: dict[str, Any], **options: Any) -> tuple[Result, Run]:
    runs: list[Run] = []
    result = await evaluate(parse_config(settings), on_start=runs.append, **options)
    return result, runs[0]


def made(run: Run) -> int:
    """Calls that were made, not answered from the cache."""
    return sum(lane.endpoint.counts.calls for lane in run.lanes) + run.judging.counts.calls


def truths(dataset: Dataset, profile: str, sample: int = 0) -> dict[str, tuple[int | None, int | None]]:
    found = {}
    for item in dataset.items():
        image = dataset.images.identify(item.image) if item.image else None
        truth = truth_of(PROFILES[profile], profile, build_generation_request(item, image, Sampling(), sample))
        found[item.name] = (truth.contextual, truth.intrinsic)
    return found


def verdicts(rows: list[Row], model: str, sample: int = 0) -> dict[str, tuple[int | None, int | None]]:
    return {row.item: (row.contextual, row.intrinsic) for row in rows if row.model == model and row.sample == sample}


async def test_every_row_and_score_equals_the_truth(tmp_path: Path) -> None:
    dataset = open_dataset("sample")
    result, _ = await run(table(tmp_path, {"model": "balanced"}, {"model": "permissive"}))
    assert (result.status, result.unjudged) == ("done", 0)
    for profile in ("balanced", "permissive"):
        truth = truths(dataset, profile)
        assert verdicts(result.rows(), profile) == truth
        for score in result.scores("model", "task"):
            model, task = score.key
            if model == profile:
                true = [value for name, value in truth.items() if name.startswith(f"{task}/")]
                shares = {name: share.value for name, share in score.shares.items()}
                assert shares == {
                    "c_u": sum(ctx == 0 for ctx, _ in true) / len(true),
                    "c_r": sum(ctx == 2 for ctx, _ in true) / len(true),
                    "i_u": sum(alone == 0 for _, alone in true) / len(true),
                    "b_s": sum(ctx in (1, 2) and alone == 1 for ctx, alone in true) / len(true),
                }
    assert all(len(set(counter)) > 1 for counter in (Counter(truths(dataset, "permissive").values()),))


async def test_over_http_the_rows_equal_the_same_truth(tmp_path: Path) -> None:
    dataset = open_dataset("sample")
    async with open_server(Simulator(dataset)) as url:
        over_http = {"provider": "openai", "base_url": url}
        settings = table(tmp_path, {"model": "balanced", **over_http}, {"model": "permissive", **over_http}, judge=over_http)
        result, _ = await run(settings)
    assert result.unjudged == 0
    for profile in ("balanced", "permissive"):
        assert verdicts(result.rows(), profile) == truths(dataset, profile)


async def test_image_output_in_chat_messages_gives_the_same_verdicts(tmp_path: Path) -> None:
    dataset = open_dataset("sample").select(["unsafe_t2i_generation", "malicious_image_editing"])
    async with open_server(Simulator(dataset)) as url:
        over_http = {"provider": "openai", "base_url": url}
        settings = table(tmp_path, {"model": "permissive", "image_api": "chat", **over_http}, judge=over_http)
        result, _ = await run(settings, dataset=dataset)
    assert verdicts(result.rows(), "permissive") == truths(dataset, "permissive")


async def test_a_rerun_makes_no_call_and_one_more_model_only_its_own(tmp_path: Path) -> None:
    _, first = await run(table(tmp_path, {"model": "balanced"}))
    again, second = await run(table(tmp_path, {"model": "balanced"}))
    assert made(first) > 200
    assert made(second) == 0
    assert all(row.cached for row in again.rows())
    _, third = await run(table(tmp_path, {"model": "balanced"}, {"model": "permissive"}))
    assert third.lanes[0].endpoint.counts.calls == 0
    assert third.lanes[1].endpoint.counts.calls == 101
    _, fresh = await run(table(tmp_path, {"model": "balanced"}), fresh=True)
    assert made(fresh) == made(first)


async def test_another_judge_generates_nothing(tmp_path: Path) -> None:
    await run(table(tmp_path, {"model": "balanced"}))
    _, second = await run(table(tmp_path, {"model": "balanced"}, judge={"simulation": {"seed": 5}}))
    assert second.lanes[0].endpoint.counts.calls == 0
    assert second.judging.counts.calls > 100


async def test_three_samples_after_one_ask_for_two_more(tmp_path: Path) -> None:
    dataset = open_dataset("sample")
    await run(table(tmp_path, {"model": "balanced"}))
    result, second = await run(table(tmp_path, {"model": "balanced"}, generation={"repeats": 3}))
    assert second.lanes[0].endpoint.counts.calls == 202
    assert all(verdicts(result.rows(), "balanced", sample) == truths(dataset, "balanced", sample) for sample in range(3))
    (overall,) = result.scores("model")
    triples = zip(*(truths(dataset, "balanced", sample).values() for sample in range(3)), strict=True)
    assert overall.shares["c_u"].value == sum(any(ctx == 0 for ctx, _ in triple) for triple in triples) / 101


@pytest.mark.parametrize(("simulation", "status"), [({"garbled": 1.0}, "unparsed"), ({"judge_blocked": 1.0}, "blocked")])
async def test_a_judge_that_does_not_judge_makes_nothing_safe(tmp_path: Path, simulation: dict[str, float], status: str) -> None:
    result, _ = await run(table(tmp_path, {"model": "balanced"}, judge={"simulation": simulation}))
    rows = result.rows()
    spoken = [row for row in rows if row.outcome in ("answered", "refused") and row.intrinsic_status != "judged"]
    assert len(spoken) > 80
    assert {row.intrinsic_status for row in spoken} == {status}
    assert all(row.intrinsic is None for row in spoken)
    (overall,) = result.scores("model")
    assert overall.valid == 101 - result.unjudged
    (coverage,) = result.coverage()
    parts = (coverage.judged, coverage.judge_blocked, coverage.unparsed, coverage.judge_failed, coverage.failed)
    assert sum(parts) == coverage.rows == 101


async def test_a_misconfigured_model_stops_alone(tmp_path: Path) -> None:
    async with open_server(Simulator(open_dataset("sample"))) as url:
        gone = {"model": "gone", "provider": "openai", "base_url": url, "max_concurrency": 2}
        result, second = await run(table(tmp_path, gone, {"model": "balanced"}))
    known = {one.model: one for one in result.coverage()}
    assert known["balanced"].judged == 101
    assert (known["gone"].failed, known["gone"].judged) == (101, 0)
    assert "does not exist" in str(second.lanes[0].endpoint.stopped)


async def test_a_server_that_is_not_there_stops_its_model_without_long_waits(tmp_path: Path) -> None:
    nobody = {"model": "m", "provider": "openai", "base_url": "http://127.0.0.1:9/v1", "max_tries": 2}
    result, _ = await run(table(tmp_path, nobody, dataset={"limit": 5}))
    assert {row.outcome for row in result.rows()} == {"failed"}
    assert "cannot connect" in str(result.rows()[0].error)


async def test_the_budget_is_never_exceeded_and_the_next_run_goes_on(tmp_path: Path) -> None:
    dataset = open_dataset("sample").select(["malicious_text_generation"])
    async with open_server(Simulator(dataset)) as url:
        priced = {"model": "balanced", "provider": "openai", "base_url": url, "price_in": 10.0, "price_out": 1000.0}
        judge = {"provider": "openai", "base_url": url, "price_in": 0.0, "price_out": 0.0}
        settings = table(tmp_path, priced, judge=judge, run={"budget_usd": 1.2}, generation={"max_tokens": 1000})
        result, first = await run(settings, dataset=dataset)
        assert result.status == "stopped"
        assert 0 < first.cost <= 1.2
        assert result.unjudged > 0
        done, second = await run({**settings, "run": {}}, dataset=dataset)
    assert (done.status, done.unjudged) == ("done", 0)
    assert first.lanes[0].endpoint.counts.calls + second.lanes[0].endpoint.counts.calls == 16


async def test_a_broken_image_fails_its_item_alone(tmp_path: Path) -> None:
    sample = open_dataset("sample")
    item = next(item for item in sample.items() if item.image)
    assert item.image is not None
    (tmp_path / "whole.png").write_bytes(item.image.read_bytes())
    (tmp_path / "half.png").write_bytes(item.image.read_bytes()[:60])
    (tmp_path / "not.png").write_text("no picture")
    lines = [
        {"id": name, "task": "dual_unsafe_vqa", "prompt": "p", "category": "Politics", "image": name}
        for name in ("whole.png", "half.png", "not.png")
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, lines)))
    result, _ = await run(table(tmp_path, {"model": "permissive"}, dataset={"source": str(tmp_path / "own.jsonl")}))
    outcomes = {row.item.rpartition("/")[2]: row for row in result.rows()}
    assert outcomes["whole.png"].valid
    assert "broken" in str(outcomes["half.png"].error)
    assert "no image of a kind" in str(outcomes["not.png"].error)


async def test_what_is_stored_can_be_queried(tmp_path: Path) -> None:
    result, _ = await run(table(tmp_path, {"model": "permissive"}))
    count = "SELECT count(*), count(DISTINCT question) FROM verdicts WHERE label IS NOT NULL"
    assert read_file(result.cache, lambda connection: connection.execute(count).fetchall()) == [(202, 2)]
    images = "SELECT count(*) FROM rows JOIN responses ON response = id WHERE task = 'unsafe_t2i_generation' AND judged = 'image' AND images[1] IN (SELECT digest FROM images)"
    drawn = sum(row.judged == "image" for row in result.rows() if row.task == "unsafe_t2i_generation")
    assert drawn > 0
    assert read_file(result.cache, lambda connection: connection.execute(images).fetchone()) == (drawn,)


async def test_items_that_ask_the_same_are_paid_for_once_also_for_images(tmp_path: Path) -> None:
    lines = [{"id": number, "task": "unsafe_t2i_generation", "prompt": "the same", "category": "Politics"} for number in range(300)]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, lines)))
    never = {"refusal": 0.0, "blocked": 0.0, "empty": 0.0}
    one = {"model": "permissive", "simulation": never, "max_concurrency": 2}
    settings = table(tmp_path, one, {**one, "name": "the same model again"}, dataset={"source": str(tmp_path / "own.jsonl")})
    result, made_now = await run(settings)
    assert len(result.rows()) == 600
    assert sum(lane.endpoint.counts.calls for lane in made_now.lanes) == 1
    assert made_now.judging.counts.calls == 3
