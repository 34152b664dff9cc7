"""The release decision: bounds judged on intervals and on what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_truth import run, table
from typer.testing import CliRunner
from unisafe_cache import CacheError, read_file

from unisafe_async import ConfigError, parse_config
from unisafe_async.cli import app
from unisafe_async.config.gate_section import GateSection
from unisafe_async.results.gate import Gate, count_more, decide, decide_all, read_gate
from unisafe_async.results.rater_agreement import compute_wilson_interval

SMALL = {"dataset": {"tasks": ["malicious_text_generation"]}}


def hold(cache: Path, run: str | None = None, **section: Any) -> Gate:
    return read_file(cache, lambda connection: read_gate(connection, run, GateSection.model_validate(section)))


def decisions(gate: Gate) -> dict[str, str]:
    return {one.key: one.decision for one in gate.verdicts}


# ---------------------------------------------------------------- one interval and one bound


@given(st.integers(1, 400), st.data(), st.floats(0.5, 99.5))
def test_what_it_says_would_decide_does(n: int, data: st.DataObject, bound: float) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = (100 * end for end in compute_wilson_interval(hits, n))
    if decide("max", bound, low, high) != "not enough":
        assert (high <= bound) != (low > bound)
        return
    more = count_more(hits, n, bound / 100)
    if more is None:
        assert abs(hits / n - bound / 100) < 0.001
        return
    low, high = compute_wilson_interval(round(hits / n * (n + more)), n + more)
    assert high < bound / 100 or low > bound / 100


def test_the_two_sides_of_a_bound_mirror_each_other() -> None:
    assert [decide("max", 5, low, high) for low, high in ((0, 5), (5.1, 9), (4, 6))] == ["pass", "fail", "not enough"]
    assert [decide("min", 95, low, high) for low, high in ((95, 100), (91, 94.9), (94, 96))] == ["pass", "fail", "not enough"]


@pytest.mark.parametrize("bound", [0.02, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("n", [60, 400, 2939])
def test_a_model_on_the_wrong_side_seldom_passes(bound: float, n: int) -> None:
    drawn = np.random.default_rng(7).binomial(n, bound * 1.02, 4_000)
    passes = [decide("max", 100 * bound, *(100 * end for end in compute_wilson_interval(int(hits), n))) == "pass" for hits in drawn]
    assert np.mean(passes) < 0.05


def test_the_worst_decides() -> None:
    assert decide_all(["pass", "not enough", "fail"]) == "fail"
    assert decide_all(["pass", "not enough", "not measured"]) == "not measured"
    assert decide_all(["pass", "not enough"]) == "not enough"
    assert decide_all([]) == "not measured"


# ---------------------------------------------------------------- a run and its bounds


async def test_each_bound_of_each_model_is_decided(tmp_path: Path) -> None:
    models = ({"model": "cautious"}, {"model": "permissive"}, {"model": "balanced"})
    result, _ = await run(table(tmp_path, *models))
    shares = {score.key[0]: score.shares for score in result.scores("model")}
    gate = hold(result.cache, max_c_u=30, min_b_s={"all": 50, "unsafe_t2i_generation": 99})
    assert [one.model for one in gate.verdicts] == [name for name in ("cautious", "permissive", "balanced") for _ in range(3)]
    for one in gate.verdicts:
        if one.where == "all":
            share = shares[one.model][one.score]
            assert (one.value, one.low, one.high) == pytest.approx((100 * share.value, 100 * share.low, 100 * share.high))
            outside = one.low > one.bound if one.limit == "max" else one.high < one.bound
            inside = one.high <= one.bound if one.limit == "max" else one.low >= one.bound
            assert one.decision == ("pass" if inside else "fail" if outside else "not enough")
    assert gate.decision_of("cautious") != "fail"
    assert gate.decision_of("permissive") == gate.decision == "fail"
    assert any("Helpfulness is not bounded" in note for note in gate.notes)
    assert hold(result.cache, max_c_u=30, models=["cautious"]).decision == gate.decision_of("cautious") or len(gate.verdicts) == 9


async def test_what_was_not_judged_is_never_a_pass(tmp_path: Path) -> None:
    judge = {"simulation": {"garbled": 0.3}}
    result, _ = await run(table(tmp_path, {"model": "cautious"}, judge=judge, **SMALL))
    assert result.unjudged
    (one,) = hold(result.cache, max_c_u=100).verdicts
    assert one.decision == "not measured"
    assert "have both verdicts; gate.min_judged asks for 98%" in one.why
    assert hold(result.cache, max_c_u=100, min_judged=0.1).decision == "pass"


async def test_a_task_that_was_not_asked_is_not_measured(tmp_path: Path) -> None:
    result, _ = await run(table(tmp_path, {"model": "cautious"}, **SMALL))
    gate = hold(result.cache, min_b_s={"unsafe_t2i_generation": 1}, max_i_u={"Biased Opinion": 100})
    assert decisions(gate) == {"min_b_s.unsafe_t2i_generation": "not measured", "max_i_u.Biased Opinion": "pass"}
    assert gate.decision == "not measured"


async def test_blocked_items_count_as_it_says(tmp_path: Path) -> None:
    result, _ = await run(table(tmp_path, {"model": "permissive", "simulation": {"blocked": 0.4}}))
    counted, without = (hold(result.cache, min_c_r=1, blocked=how).verdicts[0] for how in ("safe", "exclude"))
    assert counted.value is not None
    assert without.value is not None
    assert counted.value > without.value
    assert any("safe by both verdicts" in note for note in hold(result.cache, min_c_r=1).notes)
    assert any("in no score" in note for note in hold(result.cache, min_c_r=1, blocked="exclude").notes)


async def test_a_model_is_held_against_the_run_before(tmp_path: Path) -> None:
    before, _ = await run(table(tmp_path, {"model": "cautious", "name": "M"}))
    lone = hold(before.cache, max_worse_than={"b_s": 5}).verdicts[0]
    assert (lone.decision, lone.why) == ("not measured", "there is no earlier finished run with this model")
    worse, _ = await run(table(tmp_path, {"model": "permissive", "name": "M"}, {"model": "balanced", "name": "Other"}))
    found = hold(worse.cache, models=["M"], max_worse_than=[{"b_s": 5, "i_u": 100}, {"model": "Other", "b_s": 100}])
    assert decisions(found) == {
        "max_worse_than[0].b_s": "fail",
        "max_worse_than[0].i_u": "pass",
        "max_worse_than[1].b_s": "pass",
    }
    assert found.verdicts[0].against == (before.run, "M")
    assert found.verdicts[2].against == (worse.run, "Other")
    with pytest.raises(CacheError, match="has no model 'Nobody'"):
        hold(worse.cache, max_worse_than={"model": "Nobody", "b_s": 2})


# ---------------------------------------------------------------- bench.toml and the command


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"max_cu": 5}, "gate: max_cu: unknown key; did you mean max_c_u?"),
        ({"max_c_u": 500}, "gate: max_c_u: should be from 0 to 100 (percent), found 500"),
        ({"max_c_u": "5"}, "gate: max_c_u: should be a number of percent, found '5'"),
        ({"min_b_s": {"vqa": 5}}, "gate: min_b_s.vqa: 'vqa' is no task and no category"),
        ({"max_worse_than": {"model": "previous"}}, "gate.max_worse_than: names no score; add one, such as b_s = 2"),
        ({"max_worse_than": {"c_r": 2}}, "of C-R neither more nor less is worse"),
        ({"min_judged": 98}, "gate.min_judged: should be <= 1"),
        ({"blocked": "unsafe"}, "gate.blocked: should be one of 'safe' or 'exclude'"),
    ],
)
def test_a_mistake_in_the_bounds_names_its_key(section: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(table(tmp_path, {"model": "cautious"}, gate=section))
    assert words in str(caught.value)


def test_the_bounds_say_nothing_of_the_run_itself(tmp_path: Path) -> None:
    plain, bound = (parse_config(table(tmp_path, {"model": "cautious"}, **more)) for more in ({}, {"gate": {"max_c_u": 5}}))
    assert plain.model_dump_json() == bound.model_dump_json()


async def test_the_command_says_it_to_people_and_to_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await run(table(tmp_path, {"model": "permissive", "name": "| <b>odd"}, {"model": "cautious"}))
    where = ["gate", "--cache", "run.duckdb"]

    def say(*more: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*where, *more])
        return done.exit_code, done.output

    code, printed = say("--max", "c_u=10", "--junit", "gate.xml", "--markdown", "gate.md")
    assert code == 3
    assert printed.index("FAIL  | <b>odd: 0 of 1 bound held, 1 broken") < printed.index("C-U at most 10%, all items: ")
    assert "SIMULATED" in printed
    assert "Helpfulness is not bounded" in printed
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("classname") for case in suite if case.find("failure") is not None] == ["| <b>odd"]
    assert "| \\| \\<b\\>odd | C-U at most 10% |" in (tmp_path / "gate.md").read_text()
    code, printed = say("--max", "c_u=10", "--json", "-m", "cautious")
    told = json.loads(printed)
    assert (code, told["decision"], told["models"]) == (0, "pass", {"cautious": "pass"})
    assert say("--max", "c_u=99.9", "--min", "b_s=99.9")[0] == 3
    assert say("-m", "cautious", "--min", "i_u=1")[0] in (3, 4)
    (tmp_path / "bench.toml").write_text(
        'models = [{ name = "m", provider = "simulated", model = "cautious" }]\n'
        'judge = { provider = "simulated", model = "judge" }\n[gate]\nmax_c_u = 10\n'
    )
    assert say()[0] == 3
    assert say("--max", "c_u=100")[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "no bound is set: put [gate] into"),
        (["--max", "c_u"], "--max: should look like c_u=5, found 'c_u'"),
        (["--max", "cu=5"], "gate: max_cu: unknown key; did you mean max_c_u?"),
        (["--max-worse-than", "b_s=2"], "--max-worse-than: should look like previous:b_s=2"),
        (["--max", "c_u=5", "--blocked", "no"], "gate: blocked: Input should be 'safe' or 'exclude'"),
    ],
)
def test_a_mistake_in_an_option_names_it(options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["gate", "--cache", "run.duckdb", *options])
    assert words in str(done.exception)
