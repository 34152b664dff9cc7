"""What a report says beside its scores: what is unjudged and why, what came instead of answers, who served and who judged."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console
from unisafe_cache import Answer, Paid, Row, RunRecord, Store, read_file
from unisafe_cache.records import add_answers
from unisafe_providers.anatomy import CUT_OFF, EMPTY, ONLY_THOUGHTS
from unisafe_providers.base import Request, Response, Text

from tests.unisafe_async.test_comparison import SAFE, T2I, TEXT, UNJUDGED, UNSAFE, record, row
from unisafe_async.results.bill import Bill
from unisafe_async.results.causes import fold_message
from unisafe_async.results.compared import read_comparison
from unisafe_async.results.report import read_report
from unisafe_async.screens.compare import print_comparison
from unisafe_async.screens.report import print_report

STARTED = datetime(2026, 10, 12)


def run_of(name: str = "run", **more: Any) -> RunRecord:
    """A run of model `a` at an endpoint; `summary`, `judge`, `model`, `rubrics` and `started` as given."""
    models = [{"name": one, "provider": "openai", "model": more.get("model", one)} for one in more.get("models", ("a",))]
    judge = {"model": more.get("judge", "judge"), "provider": "openai"}
    config = {"judge": judge, "models": models, "dataset": {"source": "own.jsonl"}}
    summary = {"endpoints": {"a": {}}, "reading": 1, **more.get("summary", {})}
    rubrics = more.get("rubrics", "r")
    started = more.get("started", STARTED)
    return RunRecord(
        run=name,
        started=started,
        ended=started,
        status="done",
        config=json.dumps(config),
        dataset="own",
        dataset_digest="d",
        rubrics_digest=rubrics,
        versions="{}",
        summary=json.dumps(summary),
    )


def unjudged(number: int, status: str, reason: str, *, raw: str = "", **more: Any) -> Row:
    """A row whose two verdicts are missing for one reason."""
    both = {"contextual_status": status, "contextual_reason": reason, "intrinsic_status": status, "intrinsic_reason": reason}
    return replace(row(number, UNJUDGED, **more), **both, contextual_raw=raw)


def failed(number: int, error: str) -> Row:
    return replace(row(number, UNJUDGED, outcome="failed"), error=error.replace("ITEM", f"{TEXT}/{number}"))


def answered(number: int, response: Response, **more: Any) -> tuple[Row, Paid]:
    """A row with its stored answer."""
    paid = Paid(
        key=str(number),
        identity="openai|at|a",
        request=Request(kind="chat", parts=(Text("x"),)).canonical.decode(),
        answer=Answer(number, response),
        run="run",
    )
    labels = more.pop("labels", SAFE)
    columns = {name: more.pop(name) for name in ("outcome", "judged", "thoughts", "thoughts_status") if name in more}
    return replace(row(number, labels, response=number, **more), **columns), paid


def planned(one: RunRecord, rows: Sequence[Row]) -> RunRecord:
    """The run with as many rows due of each model as there are."""
    summary = json.loads(one.summary)
    due = Counter(row.model for row in rows if row.run == one.run)
    return replace(one, summary=json.dumps({"planned": due} | summary))


async def screen(
    folder: Path, rows: Sequence[Row], paid: Sequence[Paid] = (), *runs: RunRecord, name: str | None = None, width: int = 500
) -> str:
    """The report of a file with these rows."""
    path = folder / "c.duckdb"
    async with Store(path) as store:
        for one in runs or (run_of(),):
            await store.save_run(planned(one, rows))
        await store.add_rows(list(rows))
        await store.query(lambda connection: add_answers(connection, paid, {}))
    return printed(path, lambda connection: read_report(connection, name), print_report, width)


def printed(path: Path, read: Callable[[duckdb.DuckDBPyConnection], Any], show: Callable[[Console, Any], None], width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(console, read_file(path, read))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


# -------------------------------------------------------- coverage


async def test_coverage_tells_what_came_instead_of_an_answer_and_its_parts_add_up(tmp_path: Path) -> None:
    told = [
        answered(1, Response(text="words"), task=T2I, judged="words"),
        answered(2, Response(text="x", thoughts="hm")),
        answered(3, Response(), labels=(2, 1), outcome="empty"),
        answered(4, Response(missing=ONLY_THOUGHTS), labels=UNJUDGED, outcome="empty"),
        answered(5, Response(missing=ONLY_THOUGHTS), labels=UNJUDGED, outcome="empty"),
        answered(6, Response(missing=CUT_OFF, finish="length"), labels=UNJUDGED, outcome="empty"),
        answered(7, Response(text="ok")),
    ]
    shown = await screen(tmp_path, [one for one, _ in told], [paid for _, paid in told])
    assert (
        "7 items: 4 judged (1 answered in words instead of a picture; 1 with thoughts (set apart); "
        "1 empty answer counted as a refusal), 3 with nothing to judge "
        "(2 only thoughts, as in reasoning_content, 1 cut off at max_tokens);" in shown
    )


async def test_words_beside_a_picture_have_a_line_of_their_own_and_leave_the_scores(tmp_path: Path) -> None:
    beside = {"beside_status": "judged", "beside_intrinsic": 1}
    rows = [replace(row(number, SAFE, task=T2I), beside_contextual=number % 2, **beside) for number in range(4)]
    shown = await screen(tmp_path, rows)
    assert "a: words beside the picture: unsafe 2 of 4 (contextual), 0 of 4 (intrinsic)" in shown
    assert "4 with words beside the picture" in shown
    assert "100.0" in next(one for one in shown.partition("Overall")[2].splitlines() if one.startswith(" a "))


# -------------------------------------------------------- thoughts


async def test_thoughts_have_a_column_only_where_they_were_judged(tmp_path: Path) -> None:
    """Of an item that was asked twice, one unsafe thought is enough; an item without a verdict of its thoughts does not count."""
    thinking = {"thoughts_status": "judged"}
    rows = [replace(row(1, SAFE), thoughts=1, **thinking), replace(row(1, SAFE, sample=1), thoughts=0, **thinking)]
    rows += [replace(row(number, SAFE), thoughts=1, **thinking) for number in range(2, 9)]
    rows += [replace(row(9, SAFE), thoughts_status="failed"), row(10, SAFE)]
    shown = await screen(tmp_path, rows, width=160)
    assert shown.count("12.5 (of 8)") == 2  # its task, and overall
    assert "T-U thoughts judged unsafe" in shown
    plain = tmp_path / "plain"
    plain.mkdir()
    assert "T-U" not in await screen(plain, [row(1, SAFE)])


@pytest.mark.parametrize("width", [80, 124])
async def test_thoughts_have_their_interval_like_scores(tmp_path: Path, width: int) -> None:
    rows = [replace(row(number, SAFE), thoughts=int(number > 0), thoughts_status="judged") for number in range(10)]
    await screen(tmp_path, rows)
    console = Console(file=io.StringIO(), width=width)
    print_report(console, read_file(tmp_path / "c.duckdb", read_report), intervals=True)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, shown.splitlines())) <= width
    assert "1.8-40.4" in shown  # Wilson, 1 of 10
    assert "(of 10)" in shown


# -------------------------------------------------------- unjudged, by cause


async def test_what_failed_alike_is_one_cause_whatever_its_numbers_and_ids(tmp_path: Path) -> None:
    rows = [failed(number, f"HTTP 503 (req_{number}8f3a9c0d): ITEM, try again in {number}.5 s") for number in range(12)]
    shown = await screen(tmp_path, [*rows, failed(20, "image cannot be decoded"), row(21, SAFE)])
    below = shown.partition("Unjudged, and in no score: ")[2]
    assert [one.split()[0] for one in below.splitlines() if " a failed: " in one] == ["12", "1"]
    assert "remove the cause and run the same command again; it asks only for these" in below
    assert f"unisafe show {TEXT}/" in below
    assert "SELECT" not in below


async def test_the_judge_s_own_words_stand_where_it_was_not_understood(tmp_path: Path) -> None:
    """The most frequent reply, cut, and harmless."""
    reply = "[red]Neither\x1b[2J one " + "nor the other " * 20
    rows = [unjudged(number, "unparsed", "the judge's reply names no verdict", raw=reply) for number in range(3)]
    rows.append(unjudged(9, "unparsed", "the judge's reply names no verdict", raw="Hm."))
    rows.append(unjudged(10, "unparsed", "the judge's reply was cut off at max_tokens", raw="Well, let me"))
    shown = await screen(tmp_path, rows)
    (said,) = (one.strip() for one in shown.splitlines() if "it said most often (3 of 4)" in one)
    assert "[red]Neither\u241b[2J one nor the other" in said
    assert "\x1b" not in shown
    assert said.endswith('…"')
    assert len(said) < 140
    assert "the next run asks it again" in shown
    assert "raise judge.max_tokens" in shown


async def test_what_a_stopped_model_cost_is_one_cause(tmp_path: Path) -> None:
    wrong = "HTTP 401: the key is wrong; check OPENAI_API_KEY"
    needs = "HTTP 400: no pictures here"
    rows = [failed(number, wrong) for number in range(5)] + [failed(7, needs)]
    summary = {"stopped": {"a": wrong}, "stopped_for": {"a": {"images out": needs}}}
    shown = await screen(tmp_path, rows, (), run_of(summary=summary))
    assert f"a stopped: {wrong}\n" in shown
    assert "5  a stopped, as told above" in shown
    assert shown.count(wrong) == 1, "its reason is told once"
    assert f"1  a stopped: {needs}" in shown


@pytest.mark.parametrize(
    ("status", "reason", "advice"),
    [
        ("blocked", "content filter", "another judge"),
        ("tied", "the judges are tied: x unsafe, y safe", "judge.tie"),
        ("absent", "", "the imported file has no verdict"),
        ("failed", "HTTP 500", "asks only for these"),
    ],
)
async def test_each_cause_says_what_to_do(tmp_path: Path, status: str, reason: str, advice: str) -> None:
    shown = await screen(tmp_path, [unjudged(1, status, reason)])
    assert advice in shown.partition("Unjudged, and in no score")[2]


async def test_an_answer_with_nothing_to_judge_says_what_to_mend(tmp_path: Path) -> None:
    told = [
        answered(at, Response(missing=words), labels=UNJUDGED, outcome="empty")
        for at, words in enumerate((CUT_OFF, EMPTY, ONLY_THOUGHTS))
    ]
    shown = await screen(tmp_path, [one for one, _ in told], [paid for _, paid in told])
    for words in ("raise generation.max_tokens", "if it stays empty", "reasoning parser"):
        assert words in shown


async def test_rare_causes_are_counted_together(tmp_path: Path) -> None:
    letters = "abcdefghijkl"
    shown = await screen(tmp_path, [failed(at, f"cause {letter}") for at, letter in enumerate(letters)])
    assert "and 4 of 4 other causes, each rarer" in shown


def test_messages_that_differ_in_what_is_of_one_call_alone_are_alike() -> None:
    same = [
        "Rate limit: try in 7m12s (request id: req_011CSxyz9, https://x.example/1)",
        "Rate limit: try in 3m2s (request id: req_0aaBBc1, https://x.example/2?k=1)",
    ]
    assert len({fold_message(one) for one in same}) == 1
    ids = [f"error 3f2504e0-4f89-11d3-9a0c-0305e82c330{digit}" for digit in "12"]
    assert len({fold_message(one) for one in ids}) == 1
    assert fold_message("the key is wrong") != fold_message("the model is wrong")


# -------------------------------------------------------- marks and quiet lines


async def test_a_model_that_drew_nothing_is_said_loudly(tmp_path: Path) -> None:
    told = [answered(number, Response(text="A fine picture."), task=T2I, judged="words") for number in range(5)]
    shown = await screen(tmp_path, [one for one, _ in told], [paid for _, paid in told])
    assert "NO PICTURES: a answered all 5 items of Unsafe T2I Generation in words" in shown
    assert "probably misconfigured" in shown


async def test_nothing_at_all_is_not_called_words(tmp_path: Path) -> None:
    told = [answered(number, Response(missing="empty answer"), task=T2I) for number in range(2)]
    shown = await screen(tmp_path, [one for one, _ in told], [paid for _, paid in told])
    assert "NO PICTURES: a answered all 2 items of Unsafe T2I Generation with nothing at all" in shown
    assert "in words" not in shown


async def test_a_run_from_before_the_rules_of_reading_is_marked_once(tmp_path: Path) -> None:
    old = run_of()
    shown = await screen(tmp_path, [row(1, SAFE)], (), replace(old, summary=json.dumps({"endpoints": {"a": {}}})))
    assert shown.count("read by older rules") == 1
    new = tmp_path / "new"
    new.mkdir()
    assert "older rules" not in await screen(new, [row(1, SAFE)])


async def test_a_run_that_the_same_judge_would_judge_otherwise_now_is_marked(tmp_path: Path) -> None:
    later = run_of("later", rubrics="others", started=STARTED + timedelta(days=1))
    shown = await screen(tmp_path, [row(1, SAFE), row(1, SAFE, run="later")], (), run_of(), later, name="run")
    assert "Judged by different rubrics than run later: not comparable without judging again" in shown
    newest = printed(tmp_path / "c.duckdb", lambda connection: read_report(connection, "later"), print_report, 300)
    assert "different rubrics" not in newest
    asked = ("run:a", "later:a")
    beside = printed(tmp_path / "c.duckdb", lambda connection: read_comparison(connection, None, asked), print_comparison, 300)
    assert "Judged by different rubrics: not comparable without judging again" in beside


async def test_compared_sides_that_were_read_differently_are_named(tmp_path: Path) -> None:
    old = replace(run_of("old"), summary=json.dumps({"endpoints": {"a": {}}}))
    await screen(tmp_path, [row(1, SAFE), row(1, UNSAFE, run="old")], (), run_of(), old, name="run")
    asked = ("old:a", "run:a")
    shown = printed(tmp_path / "c.duckdb", lambda connection: read_comparison(connection, None, asked), print_comparison, 300)
    assert "old:a was read by older rules" in shown
    assert "run:a was read" not in shown


async def test_who_served_is_said_where_it_is_another_name_or_changed(tmp_path: Path) -> None:
    names = ["gpt-4o-2024-11-20"] * 3 + ["gpt-4o-2025-01-20"]
    told = [answered(at, Response(text="x", model=name)) for at, name in enumerate(names)]
    shown = await screen(tmp_path, [one for one, _ in told], [paid for _, paid in told], run_of(model="gpt-4o"))
    assert "a: served as gpt-4o-2024-11-20 (3), gpt-4o-2025-01-20 (1)" in shown
    alike = tmp_path / "alike"
    alike.mkdir()
    one, paid = answered(1, Response(text="x", model="GPT-4o"))
    assert "served as" not in await screen(alike, [one], [paid], run_of(model="openai/gpt-4o"))


async def test_ages_are_said_where_models_answers_are_more_than_a_day_apart(tmp_path: Path) -> None:
    told = [answered(at, Response(text="x"), model="ab"[at % 2]) for at in range(4)]
    await screen(tmp_path, [one for one, _ in told], [paid for _, paid in told], run_of(models=("a", "b")))
    assert "Answers are not of one age" not in reported(tmp_path)
    with duckdb.connect(str(tmp_path / "c.duckdb")) as connection:
        connection.execute("UPDATE responses SET created = ?", [STARTED])
        connection.execute("UPDATE responses SET created = ? WHERE id = 3", [datetime(2026, 11, 26)])
    assert "Answers have different ages: a of 12 Oct 2026; b from 12 Oct 2026 to 26 Nov 2026" in reported(tmp_path)


def reported(folder: Path) -> str:
    return printed(folder / "c.duckdb", read_report, print_report, 300)


async def test_a_judge_of_the_judged_model_s_own_family_is_named(tmp_path: Path) -> None:
    kin = run_of(judge="Qwen3-VL-8B", model="Qwen/Qwen2.5-VL-7B")
    assert "The judge Qwen3-VL-8B is of the same family (Qwen) as a: judges favour their own" in await screen(
        tmp_path, [row(1, SAFE)], (), kin
    )
    other = tmp_path / "other"
    other.mkdir()
    assert "same family" not in await screen(other, [row(1, SAFE)], (), run_of(judge="gpt-4o", model="Qwen2.5-VL-7B"))


async def test_stored_answers_that_were_read_anew_are_counted(tmp_path: Path) -> None:
    counted = run_of(summary={"reread": {"thoughts taken off": 9, "empty answers": 3, "unchanged": 50}})
    shown = await screen(tmp_path, [row(1, SAFE)], (), counted)
    assert "12 stored answers were read by newer rules: thoughts taken off 9, empty answers 3 (asked again)" in shown


@pytest.mark.parametrize(
    ("bill", "said"),
    [
        (Bill(total=1, cost=0.03, seconds=1.0), "$0.03"),
        (
            Bill(total=1, cost=0.03, seconds=1.0, estimated=12, estimated_cost=0.01),
            "$0.03, of which $0.01 estimated (12 calls whose endpoint reported no usage)",
        ),
        (Bill(total=1, cost=0.03, seconds=1.0, estimated=1), "$0.03 (estimated for 1 call whose endpoint reported no usage)"),
    ],
)
def test_a_bill_says_what_of_it_is_estimated(bill: Bill, said: str) -> None:
    assert bill.price == said


# -------------------------------------------------------- beside the paper, and what the judge named


async def test_beside_the_paper_an_empty_answer_is_a_refusal_and_is_counted(tmp_path: Path) -> None:
    """Its rule 4; everywhere else an empty answer of an endpoint is unjudged."""
    bagel = run_of(models=("bagel",))
    told = [answered(at, Response(missing=EMPTY), model="bagel", labels=UNJUDGED, outcome="empty") for at in range(10)]
    told += [answered(at, Response(text="x"), model="bagel", labels=UNSAFE) for at in range(10, 40)]
    shown = await screen(tmp_path, [one for one, _ in told], [paid for _, paid in told], bagel)
    assert "10 with nothing to judge (empty)" in shown
    beside = printed(tmp_path / "c.duckdb", lambda connection: read_comparison(connection, None, "paper"), print_comparison, 300)
    assert "10 empty answers counted as refusals and safe, as in the paper (rule 4)" in beside
    assert "25.0" in next(one for one in beside.splitlines() if " C-R " in one)
    assert "Rubrics: ours, digest r;" in beside


async def test_what_the_judge_named_is_broken_down(tmp_path: Path) -> None:
    rows = [replace(row(at, UNSAFE), categories='["Politics", "Self-harm"]' if at else "") for at in range(4)]
    await screen(tmp_path, rows)
    shown = printed(tmp_path / "c.duckdb", lambda connection: read_report(connection, None, "named"), print_report, 120)
    below = shown.partition("Named by the intrinsic judge")[2]
    assert "75.0" in next(one for one in below.splitlines() if "Politics" in one)
    assert "75.0" in next(one for one in below.splitlines() if "Self-harm" in one)


async def test_a_record_without_a_summary_is_not_called_old(tmp_path: Path) -> None:
    """Imported verdicts: nobody was asked, so nothing was read by any rules."""
    config = json.loads(record(a=None).config) | {"dataset": {"source": "own"}}
    shown = await screen(tmp_path, [row(1, SAFE)], (), replace(record(a=None), config=json.dumps(config)))
    assert "older rules" not in shown
