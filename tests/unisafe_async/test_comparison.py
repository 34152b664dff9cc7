"""Comparisons from hand-made rows: pairs, exact tests, backbones, the paper's figures, who is safest, filters, blocks."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from unisafe_cache import Answer, Paid, Row, RunRecord, Store
from unisafe_cache.records import add_answers, add_rows, now
from unisafe_providers.base import Block, Request, Response, Text

from unisafe_async.results.blocks import BlockCount, count_blocks
from unisafe_async.results.comparison import backbones, paired
from unisafe_async.results.coverage import describe_parts
from unisafe_async.results.paired_tests import compute_mcnemar_exact, correct_by_holm, estimate_paired_interval
from unisafe_async.results.paper import OVERALL, published
from unisafe_async.results.ranking import ranking
from unisafe_async.results.scores import Where, coverage, scores

T = TypeVar("T")
TEXT, T2I = "malicious_text_generation", "unsafe_t2i_generation"
SAFE, UNSAFE, REFUSED, UNJUDGED = (1, 1), (0, 0), (2, 1), (None, None)
Labels = tuple[int | None, int | None]


def row(item: int, labels: Labels, *, model: str = "a", run: str = "run", task: str = TEXT, sample: int = 0, **more: Any) -> Row:
    status = "judged" if labels[0] is not None else "failed"
    return Row(
        run=run, item=f"{task}/{item}", task=task, category=more.get("category", "Politics"), subcategory="S", model=model, sample=sample, outcome=more.get("outcome", "answered"), error=None,
        response=more.get("response"), contextual=labels[0], contextual_status=status, contextual_reason="", contextual_raw="", intrinsic=labels[1], intrinsic_status=status, intrinsic_reason="", intrinsic_raw="", judge="judge", cached=False, created=now(),
    )  # fmt: skip


def rows(model: str, *labels: Labels, **more: Any) -> list[Row]:
    return [row(number, each, model=model, **more) for number, each in enumerate(labels)]


def record(run: str = "run", digest: str = "d", judge: str = "judge", **backbone: str | None) -> RunRecord:
    models = [{"name": name, "provider": "openai", "model": name, "backbone": of} for name, of in backbone.items()]
    config = json.dumps({"judge": {"model": judge, "provider": "openai"}, "models": models, "dataset": {"source": "sample"}})
    return RunRecord(
        run=run,
        started=now(),
        ended=now(),
        status="done",
        config=config,
        dataset="own",
        dataset_digest=digest,
        rubrics_digest="r",
        versions="{}",
        summary="{}",
    )


async def on_file(folder: Path, some: Iterable[Row], job: Callable[[duckdb.DuckDBPyConnection], T], *records: RunRecord) -> T:
    async with Store(folder / "c.duckdb") as store:
        for one in records or (record(a=None, b=None),):
            await store.save_run(one)
        await store.add_rows(list(some))
        return await store.query(job)


# -------------------------------------------------------- two models


async def test_differences_count_the_items_that_both_sides_have(tmp_path: Path) -> None:
    a = rows("a", SAFE, SAFE, REFUSED, UNSAFE, UNJUDGED, SAFE)
    b = rows("b", UNSAFE, UNSAFE, SAFE, UNSAFE, SAFE)
    found = await on_file(tmp_path, [*a, *b], lambda connection: paired(connection, ("run", "a"), ("run", "b")))
    b_s = found.of(TEXT, "b_s")
    assert b_s is not None
    assert (b_s.pairs, b_s.first, b_s.second, b_s.only_first, b_s.only_second) == (4, 0.75, 0.25, 2, 0)
    c_r = found.of(TEXT, "c_r")
    assert c_r is not None
    assert (c_r.first, c_r.second, c_r.difference) == (0.25, 0.0, 0.25)
    assert (found.only_first, found.only_second) == ({TEXT: 1}, {TEXT: 1})
    assert [(flip.item, flip.first_safe) for flip in found.flips] == [(f"{TEXT}/0", True), (f"{TEXT}/1", True)]


async def test_the_other_way_round_every_sign_turns(tmp_path: Path) -> None:
    a, b = rows("a", SAFE, UNSAFE, REFUSED, SAFE), rows("b", UNSAFE, SAFE, SAFE, UNSAFE)
    one, other = await on_file(
        tmp_path, [*a, *b], lambda c: (paired(c, ("run", "a"), ("run", "b")), paired(c, ("run", "b"), ("run", "a")))
    )
    for there, back in zip(one.differences, other.differences, strict=True):
        assert there.difference == -back.difference
        assert (there.low, there.high) == (pytest.approx(-back.high), pytest.approx(-back.low))
        assert there.p == back.p


async def test_several_tasks_have_a_row_for_all_of_them_and_one_task_has_none(tmp_path: Path) -> None:
    some = [*rows("a", SAFE, SAFE), *rows("b", SAFE, UNSAFE), *rows("a", SAFE, task=T2I), *rows("b", UNSAFE, task=T2I)]
    found = await on_file(
        tmp_path,
        some,
        lambda c: [paired(c, ("run", "a"), ("run", "b"), Where(tasks=tasks)) for tasks in ((), (TEXT,))],
    )
    assert found[0].tasks == (TEXT, T2I)
    assert found[0].overall["b_s"].pairs == 3
    assert found[0].overall["b_s"].task == OVERALL
    assert found[1].overall["b_s"].task == TEXT
    assert len(found[1].differences) == 4


async def test_samples_become_one_verdict_before_they_are_paired(tmp_path: Path) -> None:
    a = [row(1, SAFE), row(1, UNSAFE, sample=1)]
    b = [row(1, SAFE, model="b"), row(1, SAFE, model="b", sample=1)]
    found = await on_file(tmp_path, [*a, *b], lambda c: paired(c, ("run", "a"), ("run", "b")))
    assert [(flip.first, flip.second) for flip in found.flips] == [((0, 0), (1, 1))]


async def test_across_runs_items_that_were_asked_otherwise_are_left_out(tmp_path: Path) -> None:
    """Two data sets may both have an item 1; it is a pair only where the request is the same."""

    def job(connection: duckdb.DuckDBPyConnection) -> Any:
        asked = {1: "the same", 2: "the same too", 3: "one prompt", 4: "another prompt", 5: "the same"}
        paid = [
            Paid(
                key=str(id_),
                identity="i",
                request=Request(kind="chat", parts=(Text(words),)).canonical.decode(),
                answer=Answer(id_, Response(text="yes")),
                run="r",
            )
            for id_, words in asked.items()
        ]
        add_answers(connection, paid, {})
        add_rows(connection, [row(1, SAFE, run="old", response=1), row(2, SAFE, run="old", response=3)])
        add_rows(connection, [row(1, UNSAFE, run="new", response=5), row(2, SAFE, run="new", response=4)])
        return paired(connection, ("new", "a"), ("old", "a"))

    found = await on_file(tmp_path, [], job, record("old", "d1", a=None), record("new", "d2", judge="other", a=None))
    assert (found.asked_otherwise, found.overall["b_s"].pairs) == (1, 1)
    assert not found.same_judge


async def test_nothing_in_common_compares_nothing(tmp_path: Path) -> None:
    some = [*rows("a", SAFE), *rows("b", SAFE, task=T2I)]
    found = await on_file(tmp_path, some, lambda c: paired(c, ("run", "a"), ("run", "b")))
    assert (found.tasks, found.differences, found.overall) == ((), (), {})


# -------------------------------------------------------- tests and intervals


@given(st.integers(0, 300), st.integers(0, 300))
def test_p_is_mcnemar_s_exact_one(only_first: int, only_second: int) -> None:
    theirs = mcnemar([[5, only_first], [only_second, 5]], exact=True).pvalue
    assert compute_mcnemar_exact(only_first, only_second) == pytest.approx(theirs if only_first + only_second else 1.0)


@pytest.fixture(scope="module")
def little_garbage() -> Iterator[None]:
    """statsmodels collects garbage at each call; of what other tests have imported there is none."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_garbage")
@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_many_tests_are_corrected_as_by_statsmodels(values: list[float]) -> None:
    assert correct_by_holm(values) == pytest.approx(list(multipletests(values, method="holm")[1]))


def test_the_interval_is_bonett_and_price_s() -> None:
    """The example of ci.prop.ps in the R package statpsych, by the first author: f01 = 4, f10 = 26 of 48."""
    assert estimate_paired_interval(26, 4, 48) == (pytest.approx(0.2548067, abs=1e-6), pytest.approx(0.6251933, abs=1e-6))


# -------------------------------------------------------- backbones, the paper, who is safest


async def test_unification_costs_what_the_shared_task_says(tmp_path: Path) -> None:
    unified = [*rows("u", *[UNSAFE] * 20, SAFE), *rows("u", UNSAFE, task=T2I)]
    some = [*unified, *rows("base", *[SAFE] * 21), *rows("v", SAFE)]
    known = record(u="owner/BASE", v="never run", base=None)
    first, second = await on_file(tmp_path, some, lambda c: backbones(c, "run"), known)
    assert first.paired is not None
    b_s = first.paired.overall["b_s"]
    assert (first.backbone, b_s.pairs, b_s.difference, b_s.told_apart) == ("base", 21, pytest.approx(-20 / 21), True)
    assert first.not_shared == (T2I,)
    assert (second.paired, second.why) == (None, "never run is no model of this run")


async def test_a_backbone_of_another_run_is_pointed_to(tmp_path: Path) -> None:
    some = [*rows("u", SAFE), *rows("Base-7B", SAFE, run="earlier")]
    (found,) = await on_file(tmp_path, some, lambda c: backbones(c, "run"), record(u="base 7b"), record("earlier"))
    assert "unisafe compare 'u' 'earlier:Base-7B'" in found.why


async def test_the_paper_s_figures_stand_beside_models_of_the_same_name(tmp_path: Path) -> None:
    """Published for Bagel: B-S 0.514 of text, 0.636 of T2I (published_results.csv)."""
    some = [*rows("owner/bagel", SAFE, UNSAFE), *rows("owner/bagel", SAFE, task=T2I), *rows("mine", SAFE)]
    found = await on_file(tmp_path, some, lambda c: published(c, "run"))
    assert {one.their_name for one in found} == {"Bagel"}
    b_s = {one.task: one for one in found if one.score == "b_s"}
    assert (b_s[TEXT].theirs, b_s[TEXT].ours.value, b_s[TEXT].inside) == (0.514, 0.5, True)
    assert b_s[OVERALL].theirs == pytest.approx((2 * 0.514 + 0.636) / 3)
    assert b_s[OVERALL].valid == 3


async def test_the_safest_is_named_on_tasks_that_all_were_asked(tmp_path: Path) -> None:
    some = [*rows("a", *[SAFE] * 9, UNSAFE), *rows("b", *[SAFE] * 8, UNSAFE, UNSAFE), *rows("b", *[SAFE] * 90, task=T2I)]
    found = await on_file(tmp_path, some, lambda c: ranking(c, "run"))
    assert (found.tasks, found.same_tasks, found.overlaps) == ((TEXT,), False, True)
    assert [(one.model, one.b_s.value) for one in found.ranked] == [("a", 0.9), ("b", 0.8)]


async def test_intervals_that_do_not_meet_are_said_to_be_apart(tmp_path: Path) -> None:
    found = await on_file(tmp_path, [*rows("a", *[SAFE] * 40), *rows("b", *[UNSAFE] * 40)], lambda c: ranking(c, "run"))
    assert (found.same_tasks, found.overlaps) == (True, False)


# -------------------------------------------------------- filters and blocks


async def test_filters_choose_rows(tmp_path: Path) -> None:
    some = [row(1, SAFE), row(2, UNSAFE, category="Religion"), row(3, SAFE, task=T2I), row(1, UNSAFE, model="b")]
    where = Where(models=("a",), tasks=(TEXT,), categories=("Religion",))
    found, covered = await on_file(tmp_path, some, lambda c: (scores(c, "run", ("model",), where), coverage(c, "run", where)))
    assert [(one.key, one.valid, one.shares["c_u"].value) for one in found] == [(("a",), 1, 1.0)]
    assert [(one.model, one.rows) for one in covered] == [("a", 1)]


async def test_an_item_is_the_platform_s_block_only_when_all_its_samples_were(tmp_path: Path) -> None:
    def job(connection: duckdb.DuckDBPyConnection) -> Any:
        blocks = {
            1: Response(text="", finish="blocked", block=Block("request", {"hate": "high"})),
            2: Response(text="It begins", finish="blocked", block=Block("response", {"hate": "low", "sexual": "high"})),
            3: Response(text="", finish="blocked"),
        }
        add_answers(
            connection,
            [Paid(key=str(id_), identity="i", request="{}", answer=Answer(id_, one), run="r") for id_, one in blocks.items()],
            {},
        )
        some = [
            row(1, REFUSED, outcome="blocked_request", response=1),
            row(1, REFUSED, outcome="refused", sample=1),
            row(2, REFUSED, outcome="blocked_response", response=2),
            row(2, REFUSED, outcome="blocked", sample=1, response=3),
            row(3, SAFE),
            row(3, SAFE, sample=1),
        ]
        add_rows(connection, some)
        return scores(connection, "run", ("model",)), coverage(connection, "run"), count_blocks(connection, "run")

    (score,), (covered,), reasons = await on_file(tmp_path, [], job)
    assert (score.valid, score.shares["c_r"].value, score.stopped) == (3, pytest.approx(2 / 3), 1)
    assert (covered.blocked, covered.blocked_requests, covered.blocked_responses, covered.cut) == (3, 1, 1, 1)
    assert describe_parts(covered, 6) == (
        "6 items: 6 judged (3 blocked by the platform: 1 request, 1 response, 1 at an unknown stage; "
        "1 cut off and judged on the part that came out)"
    )
    assert reasons == [
        BlockCount(model="a", stage="request", category="hate", severity="high", rows=1),
        BlockCount(model="a", stage="response", category="hate", severity="low", rows=1),
        BlockCount(model="a", stage="response", category="sexual", severity="high", rows=1),
        BlockCount(model="a", stage="unknown", category="", severity="", rows=1),
    ]
