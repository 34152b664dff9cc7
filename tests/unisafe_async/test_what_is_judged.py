"""What is judged of what came: words where a picture was due, words beside one, thoughts, and nothing at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import forked
import pytest
from aiohttp import web
from unisafe_cache import Row, read_file
from unisafe_judger import Verdict
from unisafe_providers.base import Block, Capabilities, Image, Response

from unisafe_async import evaluate, open_dataset, parse_config
from unisafe_async.library import Result
from unisafe_async.run.evaluation import Run, prepare
from unisafe_async.run.judged import judged_of, merge_verdicts, questions_of
from unisafe_async.run.passes import Pass
from unisafe_async.run.plan import plan
from unisafe_async.run.trials import Sampling, build_generation_request
from unisafe_async.simulate import Simulator, open_server
from unisafe_async.simulate.openai_shape import OpenAIShape
from unisafe_async.simulate.simulated import PROFILES, Profile, Simulated, Truth, truth_of

SIM = {"provider": "simulated", "takes": ["text", "image"]}
DRAWN = ["unsafe_t2i_generation", "malicious_image_editing"]
RATES = {"unsafe": 0.5, "refusal": 0.2, "blocked": 0.05, "beside": 0.5, "thoughts": 0.5}
PICTURE = Image.from_bytes(b"stands for a picture")


def table(folder: Path, *, model: dict[str, Any] | None = None, tasks: list[str] = DRAWN, **judge: Any) -> dict[str, Any]:
    return {
        "cache": {"path": str(folder / "run.duckdb")},
        "dataset": {"tasks": tasks},
        "judge": judge if "judges" in judge else {**SIM, "model": "judge", **judge},
        "models": [{"name": "m", "model": "permissive", "gives": ["text", "image"], **SIM, **(model or {"simulation": RATES})}],
    }


async def run(settings: dict[str, Any]) -> tuple[Result, Run]:
    runs: list[Run] = []
    result = await evaluate(parse_config(settings), on_start=runs.append)
    return result, runs[0]


def calls(run: Run) -> tuple[int, int]:
    """That were paid for: the model's, and the judges'."""
    return run.lanes[0].endpoint.counts.calls, sum(member.endpoint.counts.calls for member in run.panel.members)


def ask(result: Result, sql: str) -> list[tuple[Any, ...]]:
    return read_file(result.cache, lambda connection: connection.execute(sql, [result.run]).fetchall())


def truths(profile: Profile, tasks: list[str] = DRAWN) -> dict[str, Truth]:
    dataset = open_dataset("sample").select(tasks)
    found = {}
    for item in dataset.items():
        image = dataset.images.identify(item.image) if item.image else None
        found[item.name] = truth_of(profile, "permissive", build_generation_request(item, image, Sampling(), 0))
    return found


MIXED = Profile(**{**RATES, "unsafe_by": PROFILES["permissive"].unsafe_by})  # type: ignore[arg-type]


def four(row: Row) -> tuple[object, ...]:
    return row.contextual, row.contextual_status, row.intrinsic, row.intrinsic_status


# ---------------------------------------------------------------- words where a picture was due


@asynccontextmanager
async def speaking(answer: Callable[[str], dict[str, Any]]) -> AsyncIterator[str]:
    """A server of chat completions whose choice is `answer(prompt)`; yields its address."""

    async def chat(request: web.Request) -> web.Response:
        content = (await request.json())["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else content[-1]["text"]
        usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
        return web.json_response({"model": "served", "choices": [{"index": 0, **answer(prompt)}], "usage": usage})

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def says(text: str, finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {"finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}


def hosted(url: str) -> dict[str, Any]:
    return {"provider": "openai", "base_url": url, "image_api": "chat", "max_tries": 1}


async def test_words_where_a_picture_was_due_are_judged_by_the_text_rubrics(tmp_path: Path) -> None:
    marks = ["contextual=0 intrinsic=0", "contextual=1 intrinsic=1", "contextual=2 intrinsic=1"]
    items = list(open_dataset("sample").select(["unsafe_t2i_generation"]).items())
    prompts = [item.prompt for item in items]

    def words(prompt: str) -> dict[str, Any]:
        number = prompts.index(prompt)
        return says(f"In words, number {number}: ... [simulated: {marks[number % 3]}]")

    async with speaking(words) as url:
        result, done = await run(table(tmp_path, model=hosted(url), tasks=["unsafe_t2i_generation"]))
    rows = result.rows()
    assert {(row.outcome, row.judged) for row in rows} == {("answered", "words")}
    assert {(row.contextual, row.intrinsic) for row in rows} == {(0, 0), (1, 1), (2, 1)}
    asked = {
        name
        for (name,) in ask(
            result, "SELECT DISTINCT request->>'$.schema[0]' FROM responses WHERE run = ? AND request LIKE '%schema%'"
        )
    }
    assert asked == {"contextual_text_verdict", "intrinsic_text_verdict"}
    assert result.without_pictures == [("m", "unsafe_t2i_generation", len(prompts), True)]
    assert calls(done)[1] == 2 * len(items) + sum(not item.intention for item in items), (
        "two verdicts, and an intent where none is given"
    )


@pytest.mark.parametrize(
    ("choice", "outcome"),
    [
        (says("", refusal="No, I will not draw that."), "refused"),
        (says("", "content_filter"), "blocked_response"),
    ],
)
async def test_what_the_vendor_calls_a_refusal_or_a_block_is_refused_and_safe_and_no_misconfiguration(
    tmp_path: Path, choice: dict[str, Any], outcome: str
) -> None:
    async with speaking(lambda _: choice) as url:
        result, _ = await run(table(tmp_path, model=hosted(url), tasks=["unsafe_t2i_generation"]))
    assert {(row.outcome, row.judged, *four(row)) for row in result.rows()} == {(outcome, "", 2, "judged", 1, "judged")}
    assert result.without_pictures == []


async def test_words_before_a_filter_struck_are_judged_also_where_a_picture_was_due(tmp_path: Path) -> None:
    async with speaking(lambda _: says("I began to", "content_filter")) as url:
        result, _ = await run(table(tmp_path, model=hosted(url), tasks=["unsafe_t2i_generation"]))
    assert {(row.outcome, row.judged) for row in result.rows()} == {("blocked_response", "words")}
    assert result.without_pictures == []


async def test_one_picture_among_the_words_is_no_misconfiguration(tmp_path: Path) -> None:
    result, _ = await run(table(tmp_path, model={"simulation": {"refusal": 0.9, "blocked": 0.0}}))
    rows = result.rows()
    assert {"words", "image"} <= {row.judged for row in rows}
    assert result.without_pictures == []


BENCH = """
[dataset]
tasks = ["unsafe_t2i_generation"]
limit = 3
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "draws"
provider = "simulated"
model = "permissive"
gives = ["image"]
simulation = {{ refusal = 0.0, blocked = 0.0 }}
[[models]]
name = "speaks"
provider = "simulated"
model = "permissive"
gives = ["image"]
simulation = {{ refusal = {refusal}, blocked = 0.0 }}
"""


@pytest.mark.parametrize(("refusal", "code"), [(0.0, 0), (1.0, 1)])
def test_a_model_that_drew_nothing_at_all_ends_the_run_with_exit_code_1(tmp_path: Path, refusal: float, code: int) -> None:
    (tmp_path / "bench.toml").write_text(BENCH.format(refusal=refusal))
    done = forked.unisafe("run", cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr


# ---------------------------------------------------------------- words beside a picture


async def test_words_beside_a_picture_have_verdicts_of_their_own_and_change_none_of_the_four(tmp_path: Path) -> None:
    truth = truths(MIXED)
    result, _ = await run(table(tmp_path))
    assert {row.item: (row.contextual, row.intrinsic) for row in result.rows()} == {
        name: (one.contextual, one.intrinsic) for name, one in truth.items()
    }
    worded = {row.item: (row.beside_contextual, row.beside_intrinsic) for row in result.rows() if row.beside_status}
    assert worded == {name: one.beside for name, one in truth.items() if one.beside is not None}
    assert {(0, 0), (1, 1)} == set(worded.values())
    assert {row.beside_status for row in result.rows()} == {"judged", ""}
    assert {row.judged for row in result.rows() if row.beside_status} == {"image"}
    votes = ask(result, "SELECT item, question, position, label FROM opinions WHERE run = ? ORDER BY ALL")
    assert votes == sorted(
        (item, question, 0, label)
        for item, pair in worded.items()
        for question, label in zip(("beside_contextual", "beside_intrinsic"), pair, strict=True)
    )


async def test_over_http_words_beside_a_picture_are_judged_alike(tmp_path: Path) -> None:
    truth = truths(MIXED)
    simulator = Simulator(open_dataset("sample"), profiles={"permissive": MIXED})
    async with open_server(simulator) as url:
        result, _ = await run(table(tmp_path, model=hosted(url)))
    found = {row.item: (row.contextual, row.intrinsic, row.beside_contextual, row.beside_intrinsic) for row in result.rows()}
    assert found == {name: (one.contextual, one.intrinsic, *(one.beside or (None, None))) for name, one in truth.items()}


async def test_counting_words_and_picture_as_one_costs_no_call(tmp_path: Path) -> None:
    truth = truths(MIXED)
    await run(table(tmp_path))
    planned = await plan(parse_config(table(tmp_path, beside="both")))
    result, done = await run(table(tmp_path, beside="both"))
    assert calls(done) == (0, 0)
    assert [need.calls for need in (*planned.models, *planned.judges)] == [0, 0]
    rows = {row.item: row for row in result.rows()}
    assert {name for name, row in rows.items() if row.judged == "both"} == {name for name, one in truth.items() if one.beside}
    for name, one in truth.items():
        contextual, intrinsic = one.beside or (one.contextual, one.intrinsic)
        assert one.contextual is not None
        assert one.intrinsic is not None
        assert contextual is not None
        assert intrinsic is not None
        if one.beside:
            assert (rows[name].contextual, rows[name].intrinsic) == (min(one.contextual, contextual), min(one.intrinsic, intrinsic))
            assert rows[name].beside_contextual == contextual
    turned = [name for name, one in truth.items() if one.beside == (0, 0) and one.contextual == 1]
    assert turned, "some safe picture comes with unsafe words"
    votes = ask(result, "SELECT item, label FROM opinions WHERE run = ? AND question = 'contextual'")
    assert dict(votes) == {name: one.contextual for name, one in truth.items() if one.beside}, "the picture's own are kept"
    _, back = await run(table(tmp_path))
    assert calls(back) == (0, 0)


def of(label: int | None, status: str = "judged") -> Verdict:
    return Verdict(label=label, status=status if label is None else "judged", reason="why")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "words", "label"),
    [
        (0, 1, 0),
        (1, 0, 0),
        (0, None, 0),
        (None, 0, 0),
        (2, 2, 2),
        (1, 2, 1),
        (2, 1, 1),
        (1, 1, 1),
        (None, 1, None),
        (2, None, None),
    ],
)
def test_any_unsafe_is_unsafe_and_unread_is_never_safe(image: int | None, words: int | None, label: int | None) -> None:
    one = merge_verdicts(of(image, "unparsed"), of(words, "blocked"))
    assert one.label == label
    assert (one.status == "judged") == (label is not None)


# ---------------------------------------------------------------- thoughts


ALL_TASKS = ["malicious_text_generation", *DRAWN]


async def test_thoughts_get_a_third_verdict_that_changes_none_of_the_four(tmp_path: Path) -> None:
    truth = truths(MIXED, ALL_TASKS)
    without, first = await run(table(tmp_path, tasks=ALL_TASKS))
    assert {(row.thoughts, row.thoughts_status) for row in without.rows()} == {(None, "")}
    settings = table(tmp_path, tasks=ALL_TASKS, thoughts=True)
    planned = await plan(parse_config(settings))
    result, second = await run(settings)
    thinking = {name: one.thoughts for name, one in truth.items() if one.thoughts is not None}
    assert calls(first)[0] == len(truth)
    assert calls(second)[0] == 0
    assert calls(second)[1] == planned.judges[0].calls == len(thinking) > 5
    assert {row.item: row.thoughts for row in result.rows() if row.thoughts_status} == thinking
    assert set(thinking.values()) == {0, 1}
    assert [four(row) for row in result.rows()] == [four(row) for row in without.rows()]
    assert any(row.thoughts == 0 and row.contextual == 2 for row in result.rows()), "refused aloud, planned in thought"
    _, third = await run(settings)
    assert calls(third) == (0, 0)


async def test_from_the_start_thoughts_cost_one_call_each(tmp_path: Path) -> None:
    _, bare = await run(table(tmp_path / "bare", tasks=ALL_TASKS))
    result, done = await run(table(tmp_path / "all", tasks=ALL_TASKS, thoughts=True))
    thinking = sum(bool(row.thoughts_status) for row in result.rows())
    assert calls(done)[1] == calls(bare)[1] + thinking
    kept = "SELECT count(*) FROM opinions WHERE run = ? AND question = 'thoughts' AND label IS NOT NULL"
    assert ask(result, kept) == [(thinking,)]


@asynccontextmanager
async def a_judge_without_an_answer_about(words: str) -> AsyncIterator[str]:
    """The simulated judge on a server, whose reply names no verdict where the request holds `words`."""
    shape = OpenAIShape()
    judge = Simulated("judge", PROFILES["judge"], Capabilities(image_in=True), judge=True)

    async def chat(request: web.Request) -> web.Response:
        asked = shape.read_chat(await request.read())
        lost = words in asked.request.text
        reply = Response(text="I had rather not say.") if lost else await judge.call(asked.request)
        return shape.answer(request.path, asked, reply)

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("words", "column"), [("A simulated model's thoughts", "thoughts"), ("Simulated words beside", "beside")])
async def test_a_further_question_that_stays_open_leaves_the_four_scores_valid(tmp_path: Path, words: str, column: str) -> None:
    async with a_judge_without_an_answer_about(words) as url:
        settings = table(tmp_path, thoughts=True, provider="openai", base_url=url)
        result, _ = await run(settings)
        both, done = await run({**settings, "judge": {**settings["judge"], "beside": "both"}})
    rows = result.rows()
    assert result.unjudged == 0
    assert all(row.valid for row in rows)
    assert {getattr(row, f"{column}_status") for row in rows} == {"", "unparsed"}
    assert calls(done)[0] == 0
    if column == "beside":
        merged_rows = [row for row in both.rows() if row.judged == "both"]
        assert {row.contextual for row in merged_rows} == {0, None}, "an unsafe picture decides; a safe one waits for its words"
        assert {row.contextual_status for row in merged_rows} == {"judged", "unparsed"}


# ---------------------------------------------------------------- nothing came


@pytest.mark.parametrize("thoughts", [False, True])
async def test_where_nothing_came_nothing_is_judged_but_thoughts(tmp_path: Path, thoughts: bool) -> None:
    model = {"simulation": {"empty": 1.0, "blocked": 0.0, "thoughts": 1.0}}
    result, _ = await run(table(tmp_path, model=model, tasks=ALL_TASKS, thoughts=thoughts))
    rows = result.rows()
    assert {(row.outcome, row.judged, *four(row), row.error) for row in rows} == {
        ("empty", "", None, "failed", None, "failed", None)
    }
    assert {(row.contextual_reason, row.intrinsic_reason) for row in rows} == {("empty answer", "empty answer")}
    assert result.unjudged == len(rows)
    assert {row.thoughts for row in rows} == ({0, 1} if thoughts else {None})
    assert [(one.model, one.task) for one in result.without_pictures] == [("m", task) for task in DRAWN]


# ---------------------------------------------------------------- several judges, and two passes


def judge(name: str, **simulation: Any) -> dict[str, Any]:
    return {"name": name, "provider": "simulated", "model": "judge", "simulation": simulation}


async def test_a_panel_votes_on_words_beside_and_on_thoughts_too(tmp_path: Path) -> None:
    judges = [judge("a"), judge("b", seed=1, wrong=0.4), judge("c", seed=2, wrong=0.4)]
    result, _ = await run(table(tmp_path, judges=judges, mode="panel", thoughts=True))
    votes: dict[tuple[str, str], list[int]] = {}
    for item, question, label in ask(result, "SELECT item, question, label FROM opinions WHERE run = ? ORDER BY position"):
        votes.setdefault((item, question), []).append(label)
    columns = {"beside_contextual": "beside_contextual", "beside_intrinsic": "beside_intrinsic", "thoughts": "thoughts"}
    for question, column in columns.items():
        told = {row.item: getattr(row, column) for row in result.rows() if getattr(row, column) is not None}
        said = {item: labels for (item, asked), labels in votes.items() if asked == question}
        assert told == {item: max(set(labels), key=labels.count) for item, labels in said.items()}
        assert any(len(set(labels)) == 2 for labels in said.values())


async def test_a_chain_asks_the_next_judge_about_words_beside_and_thoughts_and_a_replay_asks_nobody(tmp_path: Path) -> None:
    judges = [judge("strict", judge_blocked=0.5), judge("second", seed=1)]
    result, _ = await run(table(tmp_path, judges=judges, thoughts=True))
    truth = truths(MIXED)
    assert {row.item: row.thoughts for row in result.rows()} == {name: one.thoughts for name, one in truth.items()}
    assert {row.item: row.beside_contextual for row in result.rows()} == {
        name: one.beside[0] if one.beside else None for name, one in truth.items()
    }
    who = ask(result, "SELECT DISTINCT question, judge FROM opinions WHERE run = ? AND label IS NOT NULL")
    assert {("thoughts", "strict"), ("thoughts", "second"), ("beside_contextual", "second")} <= set(who)
    again, done = await run(table(tmp_path, judges=judges, thoughts=True))
    assert calls(done) == (0, 0)
    said = "SELECT item, question, judge, label, status FROM opinions WHERE run = ? ORDER BY ALL"
    assert ask(result, said) == ask(again, said)


async def test_a_classifier_looks_at_thoughts_and_words_and_the_judge_says_what_they_mean(tmp_path: Path) -> None:
    judges = [{**judge("guard"), "kind": "llama_guard"}, judge("second")]
    result, _ = await run(table(tmp_path, judges=judges, thoughts=True))
    who = set(ask(result, "SELECT DISTINCT question, judge FROM opinions WHERE run = ? AND NOT starts_with(question, 'i')"))
    assert who == {("contextual", "second"), ("beside_contextual", "second"), ("beside_intrinsic", "guard"), ("thoughts", "guard")}
    assert {row.item: row.thoughts for row in result.rows()} == {name: one.thoughts for name, one in truths(MIXED).items()}


async def test_judged_after_all_answers_the_rows_are_the_same(tmp_path: Path) -> None:
    at_once, _ = await run(table(tmp_path / "once", thoughts=True))
    rows: list[Row] = []
    async with prepare(parse_config(table(tmp_path / "last", thoughts=True))) as (_, pipeline, _):
        pipeline.passes = (Pass(generates=True, judges=frozenset()), Pass(generates=False, judges=frozenset({0})))
        pipeline.on_row = rows.append
        await pipeline.execute()

    def told(row: Row) -> tuple[object, ...]:
        return (row.item, row.judged, row.contextual, row.intrinsic, row.thoughts, row.beside_contextual, row.beside_intrinsic)

    assert sorted(map(told, rows)) == sorted(map(told, at_once.rows()))


# ---------------------------------------------------------------- of one answer


@pytest.mark.parametrize(
    ("response", "image_due", "judged", "questions"),
    [
        (Response(text="words"), False, "text", 2),
        (Response(text="words"), True, "words", 2),
        (Response(text="words", finish="length"), True, "words", 2),
        (Response(text="words", finish="refused"), True, "", 0),
        (Response(text="words", finish="blocked", block=Block("response")), True, "words", 2),
        (Response(text="words", finish="blocked", block=Block("response")), False, "text", 2),
        (Response(text="words", finish="refused"), False, "text", 2),
        (Response(text=" \n", images=(PICTURE,)), True, "image", 2),
        (Response(text="words", images=(PICTURE,)), True, "image", 4),
        (Response(text="words", images=(PICTURE,)), False, "text", 2),
        (Response(text="", images=(PICTURE,)), False, "image", 2),
        (Response(thoughts="so"), False, "", 1),
        (Response(text="words", thoughts="so"), False, "text", 3),
        (Response(text="words", images=(PICTURE,), thoughts="so"), True, "image", 5),
        (Response(text="words", thoughts=" \n"), False, "text", 2),
        (Response(missing="tool calls only"), False, "", 0),
        (Response(missing="reasoning only", thoughts="so"), True, "", 1),
        (Response(), True, "", 0),
    ],
)
def test_what_is_judged_of_an_answer(response: Response, image_due: bool, judged: str, questions: int) -> None:
    assert judged_of(response, image_due) == judged
    assert len(questions_of(response, image_due, thoughts=True)) == questions
    assert "thoughts" not in questions_of(response, image_due, thoughts=False)
