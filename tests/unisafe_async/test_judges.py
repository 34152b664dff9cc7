"""Whole evaluations with several judges: chains, panels, classifiers, and what the report says of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import forked
import pytest
from unisafe_cache import Row, read_file

from unisafe_async import evaluate, parse_config
from unisafe_async.config.bench_toml import ConfigError
from unisafe_async.library import Result
from unisafe_async.results.judging import Judging, compute_cohens_kappa, compute_fleiss_kappa, read_judging
from unisafe_async.results.rows import read_opinions
from unisafe_async.results.stored_run import read_run
from unisafe_async.run.evaluation import Run
from unisafe_async.run.plan import plan

SIM = {"provider": "simulated", "takes": ["text", "image"]}
MODEL = {"name": "m", "model": "permissive", "gives": ["text", "image"], **SIM}
UNREACHABLE = {
    "name": "gone",
    "provider": "openai",
    "model": "x",
    "base_url": "http://127.0.0.1:9/v1",
    "takes": ["text", "image"],
    "max_tries": 1,
}


def judge(name: str, kind: str = "rubric", **simulation: Any) -> dict[str, Any]:
    return {"name": name, "provider": "simulated", "model": "judge", "kind": kind, "simulation": simulation}


def table(folder: Path, *judges: dict[str, Any], dataset: dict[str, Any] | None = None, **together: Any) -> dict[str, Any]:
    return {
        "cache": {"path": str(folder / "run.duckdb")},
        "dataset": dataset or {},
        "judge": {"judges": list(judges), **together},
        "models": [MODEL],
    }


async def run(settings: dict[str, Any]) -> tuple[Result, Run]:
    runs: list[Run] = []
    result = await evaluate(parse_config(settings), on_start=runs.append)
    return result, runs[0]


def judging(result: Result) -> Judging:
    found = read_file(
        result.cache, lambda connection: read_judging(connection, result.run, read_run(connection, result.run).config.judge)
    )
    assert found is not None
    return found


def ask(result: Result, sql: str) -> list[tuple[Any, ...]]:
    return read_file(result.cache, lambda connection: connection.execute(sql, [result.run]).fetchall())


def calls(run: Run) -> dict[str, int]:
    return {endpoint.name: endpoint.counts.calls for endpoint in run.endpoints}


async def verdicts_of_one(folder: Path) -> dict[str, tuple[int | None, int | None]]:
    """What a single judge says of the same model."""
    result, _ = await run({**table(folder), "judge": {**SIM, "model": "judge"}})
    return {row.item: (row.contextual, row.intrinsic) for row in result.rows()}


def report(folder: Path, settings: Path, *arguments: str) -> str:
    done = forked.unisafe("report", "--cache", str(settings), *arguments, cwd=folder, env={"COLUMNS": "140", "PATH": ""})
    assert "Traceback" not in done.stderr
    return done.stdout


# ---------------------------------------------------------------- a chain


async def test_what_the_first_judge_blocks_entirely_the_second_judges(tmp_path: Path) -> None:
    alone = await verdicts_of_one(tmp_path / "alone")
    result, _done = await run(table(tmp_path, judge("strict", judge_blocked=1.0), judge("second")))
    rows = result.rows()
    assert {row.item: (row.contextual, row.intrinsic) for row in rows} == alone
    assert result.unjudged == 0
    asked = [row for row in rows if row.outcome == "answered" or row.contextual_reason.startswith("The response")]
    assert {row.judge for row in asked} == {"second"}
    strict, second = judging(result).tallies
    assert (strict.judged, second.judged) == (0, strict.blocked)
    assert second.judged == second.asked > 100
    text = report(tmp_path, result.cache)
    assert f"strict 0 of {strict.asked} asked ({strict.blocked} blocked); second {second.judged} verdicts" in text


async def test_a_reply_that_stays_garbled_goes_to_the_next_judge_and_the_rest_stays_with_the_first(tmp_path: Path) -> None:
    result, _done = await run(table(tmp_path, judge("first", garbled=0.5, judge_blocked=0.1), judge("second", seed=1)))
    first, second = judging(result).tallies
    assert result.unjudged == 0
    assert first.judged > 20
    assert first.unparsed > 5
    assert second.asked == second.judged == first.blocked + first.unparsed + 0
    both = {row.judge for row in result.rows()}
    assert {"first", "second", "first, second", "second, first"} & both >= {"first", "second"}


async def test_a_cached_chain_asks_nobody_and_says_the_same(tmp_path: Path) -> None:
    settings = table(tmp_path, judge("first", garbled=0.3, judge_blocked=0.2), judge("second", seed=1))
    once, _ = await run(settings)
    again, done = await run(settings)
    assert set(calls(done).values()) == {0}
    told = [(row.item, row.contextual, row.intrinsic, row.judge, row.contextual_reason) for row in again.rows()]
    assert told == [(row.item, row.contextual, row.intrinsic, row.judge, row.contextual_reason) for row in once.rows()]
    opinions = "SELECT item, question, judge, label, status FROM opinions WHERE run = ? ORDER BY ALL"
    assert ask(once, opinions) == ask(again, opinions)
    needs = await plan(parse_config(settings))
    assert [need.calls for need in needs.judges] == [0, 0]


async def test_of_a_chain_only_the_unread_replies_of_verdicts_that_nobody_gave_are_asked_for_again(tmp_path: Path) -> None:
    settings = table(tmp_path, judge("first", garbled=0.5), judge("second", seed=1, judge_blocked=0.5))
    once, _ = await run(settings)
    unread = "SELECT count(*) FROM opinions WHERE run = ? AND judge = 'first' AND status = 'unparsed'"
    missing = sum((row.contextual is None) + (row.intrinsic is None) for row in once.rows())
    assert 0 < missing < ask(once, unread)[0][0]
    _, done = await run(settings)
    made = calls(done)
    assert (made["m"], made["second"]) == (0, 0)
    assert 0 < made["first"] <= 2 * missing


async def test_another_judge_at_the_end_is_asked_only_for_what_is_missing(tmp_path: Path) -> None:
    first = judge("first", judge_blocked=0.3)
    once, _ = await run(table(tmp_path, first, judge("second", seed=1, judge_blocked=0.3)))
    assert once.unjudged > 0
    settings = table(tmp_path, first, judge("second", seed=1, judge_blocked=0.3), judge("third", seed=2))
    planned = await plan(parse_config(settings))
    again, done = await run(settings)
    assert again.unjudged == 0
    made = calls(done)
    without_intent = sum(row.contextual_reason.startswith("first: intent") for row in once.rows())
    assert made["first"] <= without_intent, "the first judge is asked only for verdicts whose intent was missing until now"
    assert 0 < made["third"] < 60
    assert planned.judges[2].calls > 0
    assert planned.judges[0].calls == made["first"]
    assert ask(again, "SELECT count(*) - count(DISTINCT key) FROM responses WHERE ? != ''") == [(0,)]


async def test_a_judge_that_cannot_work_stops_alone_and_the_chain_goes_on(tmp_path: Path) -> None:
    alone = await verdicts_of_one(tmp_path / "alone")
    result, done = await run(table(tmp_path, UNREACHABLE, judge("second")))
    assert {row.item: (row.contextual, row.intrinsic) for row in result.rows()} == alone
    assert list(done.summary()["stopped"]) == ["gone"]  # type: ignore[call-overload]
    assert judging(result).tallies[0].failed > 100


async def test_where_no_judge_can_work_everything_stays_unjudged(tmp_path: Path) -> None:
    other = {**UNREACHABLE, "name": "gone too", "model": "y"}
    result, done = await run(table(tmp_path, UNREACHABLE, other))
    asked = [row for row in result.rows() if row.outcome == "answered"]
    assert asked
    assert {(row.contextual, row.intrinsic, row.intrinsic_status) for row in asked} == {(None, None, "failed")}
    assert all("gone: " in row.intrinsic_reason and "gone too: " in row.intrinsic_reason for row in asked)
    assert set(done.summary()["stopped"]) == {"gone", "gone too"}  # type: ignore[call-overload]


async def test_the_intent_too_comes_from_the_next_judge(tmp_path: Path) -> None:
    result, done = await run(table(tmp_path, judge("strict", judge_blocked=0.4), judge("second", seed=1)))
    intents = ask(result, "SELECT identity, count(*) FROM responses WHERE run = ? AND text LIKE 'A simulated intent%' GROUP BY 1")
    assert len(intents) == 2
    assert result.unjudged == 0
    assert done.endpoints[1].counts.calls > 0


async def test_one_judge_in_the_list_writes_no_opinions_and_equals_the_short_form(tmp_path: Path) -> None:
    alone = await verdicts_of_one(tmp_path / "alone")
    result, _ = await run(table(tmp_path, judge("only")))
    assert {row.item: (row.contextual, row.intrinsic) for row in result.rows()} == alone
    assert {row.judge for row in result.rows()} == {"only"}
    assert ask(result, "SELECT count(*) FROM opinions WHERE run = ?") == [(0,)]


# ---------------------------------------------------------------- a panel


def majority(votes: list[int]) -> int | None:
    label, most = Counter(votes).most_common(1)[0]
    return label if 2 * most > len(votes) else None


@pytest.mark.parametrize("tie", ["unjudged", "unsafe", "last"])
async def test_a_panel_goes_by_more_than_half_of_the_votes_and_ties_by_the_rule(tmp_path: Path, tie: str) -> None:
    judges = [judge("a", wrong=0.3, judge_blocked=0.1), judge("b", seed=1, wrong=0.3), judge("c", seed=2, wrong=0.3, garbled=0.2)]
    result, _done = await run(table(tmp_path, *judges, mode="panel", tie=tie))
    opinions: dict[tuple[str, str], dict[str, int | None]] = {}
    for item, question, name, label in ask(result, "SELECT item, question, judge, label FROM opinions WHERE run = ?"):
        opinions.setdefault((item, question), {})[name] = label
    ties = fewer = 0
    for row in result.rows():
        for question, verdict, status in (
            ("contextual", row.contextual, row.contextual_status),
            ("intrinsic", row.intrinsic, row.intrinsic_status),
        ):
            said = opinions.get((row.item, question))
            if said is None:
                continue
            votes = [label for label in said.values() if label is not None]
            fewer += len(votes) < 3
            if not votes:
                assert verdict is None
                continue
            expected = majority(votes)
            if expected is None:
                ties += 1
                expected = {"unjudged": None, "unsafe": 0 if 0 in votes else None, "last": said["c"]}[tie]
                assert status == ("tied" if expected is None else "judged")
            assert verdict == expected, (row.item, question, said)
    told = judging(result)
    assert (told.tied, told.fewer) == (ties, fewer)
    assert ties > 0
    assert fewer > 0
    asked = [row for row in result.rows() if row.item in {item for item, _ in opinions}]
    assert {row.judge for row in asked} == {"panel of 3"}
    if tie == "unjudged":
        assert "judges tied" in report(tmp_path, result.cache)


async def test_a_failure_is_no_vote(tmp_path: Path) -> None:
    alone = await verdicts_of_one(tmp_path / "alone")
    result, _done = await run(table(tmp_path, UNREACHABLE, judge("b"), judge("blocked", judge_blocked=1.0), mode="panel"))
    assert {row.item: (row.contextual, row.intrinsic) for row in result.rows()} == alone
    told = judging(result)
    assert told.fewer == told.verdicts > 100
    assert told.tied == 0


async def test_another_judge_of_a_panel_is_the_only_one_asked(tmp_path: Path) -> None:
    two = [judge("a", wrong=0.2), judge("b", seed=1, wrong=0.2)]
    first, _ = await run(table(tmp_path, *two, mode="panel"))
    assert first.unjudged > 0
    settings = table(tmp_path, *two, judge("c", seed=2), mode="panel")
    second, done = await run(settings)
    made = calls(done)
    assert (made["a"], made["b"]) == (0, 0)
    assert made["c"] > 50
    assert second.unjudged < first.unjudged
    again, done = await run(settings)
    assert set(calls(done).values()) == {0}
    assert again.unjudged == second.unjudged


async def test_a_panel_that_is_interrupted_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    slow = {**judge("b", seed=1, wrong=0.3, latency=0.02), "max_concurrency": 2}
    settings = table(tmp_path, judge("a", wrong=0.3), slow, judge("c", seed=2), mode="panel")
    runs: list[Run] = []
    seen: list[Row] = []

    def count(row: Row) -> None:
        seen.append(row)
        if len(seen) == 20:
            runs[0].drain()

    first = await evaluate(parse_config(settings), on_start=runs.append, on_row=count)
    assert first.status == "interrupted"
    assert len(first.rows()) < 101
    for row in first.rows():
        assert row.error is None
        assert row.contextual_status in ("judged", "tied")
    second, done = await run(settings)
    assert second.status == "done"
    assert len(second.rows()) == 101
    assert done.endpoints[0].counts.cached > 0
    assert ask(second, "SELECT count(*) - count(DISTINCT key) FROM responses WHERE ? != ''") == [(0,)]


async def test_the_report_shows_kappas_that_equal_the_formula(tmp_path: Path) -> None:
    judges = [judge("a", wrong=0.2), judge("b", seed=1, wrong=0.2), judge("c", seed=2)]
    result, _done = await run(table(tmp_path, *judges, mode="panel"))
    labels: dict[str, dict[str, int]] = {}
    for item, name, label in ask(result, "SELECT item, judge, label FROM opinions WHERE run = ? AND question = 'contextual'"):
        labels.setdefault(item, {})[name] = label
    n = len(labels)
    same = sum(said["a"] == said["b"] for said in labels.values()) / n
    shares = [Counter(said[name] for said in labels.values()) for name in "ab"]
    chance = sum(shares[0][label] * shares[1][label] for label in range(3)) / n**2
    pair = next(one for one in judging(result).agreements if one.judges == ("a", "b") and one.question == "contextual")
    assert pair.verdicts == n
    assert pair.kappa == pytest.approx((same - chance) / (1 - chance))
    assert f"{pair.kappa:.2f}, {pair.same:.0%} of {n}" in report(tmp_path, result.cache)
    shown = read_file(result.cache, lambda connection: read_opinions(connection, result.run, [next(iter(labels))]))
    (said,) = shown.values()
    assert [one.judge for one in said if one.question == "contextual"] == ["a", "b", "c"]


def test_kappas_worked_by_hand() -> None:
    # 20 of 25 and 10 of 15 alike: observed 0.7, expected 0.5 (Cohen's example as on Wikipedia, "Cohen's kappa")
    assert compute_cohens_kappa([[20, 5, 0], [10, 15, 0], [0, 0, 0]]) == pytest.approx(0.4)
    # three judges, four items: P-bar = (1 + 1/3 + 1/3 + 1) / 4 = 2/3, P-e = 0.5 -> 1/3
    assert compute_fleiss_kappa([[3, 0, 0], [2, 1, 0], [1, 2, 0], [0, 3, 0]]) == pytest.approx(1 / 3)
    assert compute_cohens_kappa([[0, 0, 0], [0, 9, 0], [0, 0, 0]]) is None
    assert compute_fleiss_kappa([[0, 3, 0]] * 4) is None
    assert compute_fleiss_kappa([]) is None


# ---------------------------------------------------------------- classifiers


@pytest.mark.parametrize("kind", ["llama_guard", "moderation"])
async def test_a_classifier_before_the_judge_takes_the_intrinsic_verdicts_it_can_give(tmp_path: Path, kind: str) -> None:
    alone = await verdicts_of_one(tmp_path / "alone")
    guard = judge("guard", kind, judge_blocked=0.1)
    result, done = await run(table(tmp_path, guard, judge("second")))
    assert {row.item: (row.contextual, row.intrinsic) for row in result.rows()} == alone
    who = dict(ask(result, "SELECT judge, count(*) FROM opinions WHERE run = ? AND question = 'contextual' GROUP BY 1"))
    assert set(who) == {"second"}
    images = ask(
        result,
        "SELECT DISTINCT opinions.judge FROM opinions JOIN rows USING (run, item, model, sample) "
        "WHERE run = ? AND question = 'intrinsic' AND judged = 'image'",
    )
    assert (("guard",) in images) == (kind == "moderation"), "a text classifier is not asked about images"
    assert judging(result).tallies[0].judged > 30
    again, done = await run(table(tmp_path, guard, judge("second")))
    assert set(calls(done).values()) == {0}
    assert again.unjudged == 0


async def test_an_image_classifier_has_no_vote_on_text(tmp_path: Path) -> None:
    settings = table(tmp_path, judge("a"), judge("b", seed=1), judge("gemma", "shieldgemma"), mode="panel")
    result, _done = await run(settings)
    told = ask(
        result, "SELECT DISTINCT item LIKE '%image%' OR item LIKE 'unsafe_t2i%' FROM opinions WHERE run = ? AND judge = 'gemma'"
    )
    assert told == [(True,)]
    assert judging(result).fewer == 0
    planned = await plan(parse_config(settings))
    assert [need.calls for need in planned.judges] == [0, 0, 0]


PACKAGE = """
from unisafe_judger import Classifier
from unisafe_providers.base import Request, Text

class Lengths(Classifier):
    def __init__(self, *, texts, images, threshold, longest):
        self.longest = longest
    def request(self, response, image):
        if "I can't" in response.text:
            raise ValueError("a response that this package breaks over")
        return Request("chat", (Text(response.text),), labels={"reply": "llama_guard"})
    def label(self, reply):
        if reply != "safe":
            raise KeyError("a reply that this package breaks over")
        return 1, f"at most {self.longest}"
"""


def test_a_package_brings_a_judge_that_the_command_line_uses_and_its_mistakes_end_no_run(tmp_path: Path) -> None:
    (tmp_path / "lengths.py").write_text(PACKAGE)
    info = tmp_path / "lengths-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lengths\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[unisafe.judges]\nlengths = lengths:Lengths\n")
    (tmp_path / "bench.toml").write_text(
        """
        [[judge.judges]]
        name = "mine"
        kind = "lengths"
        kind_options = { longest = 100 }
        provider = "simulated"
        model = "judge"
        takes = ["text"]
        [[judge.judges]]
        provider = "simulated"
        model = "judge"
        [[models]]
        name = "m"
        provider = "simulated"
        model = "permissive"
        """
    )
    environment = {"COLUMNS": "140", "PATH": "", "PYTHONPATH": str(tmp_path)}
    done = forked.unisafe("run", cwd=tmp_path, env=environment)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert "Judges, one after the other: mine " in done.stdout
    assert "not understood)" in done.stdout
    (tmp_path / "bench.toml").write_text((tmp_path / "bench.toml").read_text().replace("longest =", "shortest ="))
    refused = forked.unisafe("run", cwd=tmp_path, env=environment)
    assert refused.returncode == 2
    assert "judge.judges[0].kind: the plugin 'lengths' of lengths 1.0 cannot be made" in refused.stderr


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("judge_section", "words"),
    [
        ({"judges": [judge("g", "llama_guard"), judge("h", "moderation")]}, "judge.judges[0].kind: classifiers give intrinsic"),
        ({**SIM, "model": "judge", "kind": "moderation"}, "judge.kind: classifiers give intrinsic verdicts only"),
        ({"judges": [judge("a"), judge("a", seed=1)]}, "judge.judges[1].name: judges[0] is called 'a' too"),
        ({"judges": [judge("a"), judge("b")]}, "judge.judges[1].model: judges[0] is the same model"),
        ({"judges": []}, "judge.judges: needs at least one entry"),
        ({"judges": [judge("a")], "mode": "panel"}, "judge.judges: a panel needs at least two"),
        ({"judges": [judge("a"), judge("b", seed=1)], "tie": "last"}, 'judge.tie: goes with mode = "panel" only'),
        ({"judges": [judge("a")], "provider": "openai"}, "judge.provider: stands beside `judges`"),
        ({**SIM, "model": "judge", "mode": "panel"}, "judge.mode: goes with several judges only"),
        ({"judges": [judge("a"), judge("b", "lama_guard")]}, "judge.judges[1].kind: 'lama_guard' is no kind of judge"),
        ({"judges": [judge("a"), judge("b", "lama_guard")]}, "did you mean llama_guard?"),
        ({"judges": [judge("a"), {**judge("b", seed=1), "threshold": 0.5}]}, "judge.judges[1].threshold: goes with kind ="),
        ({"judges": [judge("a"), {**judge("b", "shieldgemma"), "provider": "openai", "simulation": None}]}, "on this machine only"),
        ({"judges": [judge("a"), {"provider": "simulated"}]}, "judge.judges[1].model: missing"),
        ({"judges": [judge("a"), {**judge("b", seed=1), "modle": "x"}]}, "judge.judges[1].modle: unknown key; did you mean model?"),
        ({"judges": [judge("a"), judge("b", seed=1)], "mode": "pannel"}, "judge.mode: should be one of"),
        ({"judges": [{**judge("a"), "takes": ["text"]}, judge("g", "moderation")]}, "judge.judges[0].takes: the judge cannot see"),
    ],
)
def test_a_mistake_is_named_with_its_key(judge_section: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config({"judge": judge_section, "models": [MODEL]})
    assert words in str(error.value)
