"""A run in the hands of a Python user: frames, scores, earlier runs, and loops and threads that somebody else made."""

from __future__ import annotations

import asyncio
import csv
import inspect
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import duckdb
import pandas as pd
import pytest
from typer.testing import CliRunner

import unisafe_async
from unisafe_async import CacheError, Result, evaluate, load, open_dataset, parse_config
from unisafe_async.cli import app
from unisafe_async.simulate import Simulator, open_server

JUDGE = {"provider": "simulated", "model": "judge", "simulation": {"garbled": 0.15}}
DRAWS = {"provider": "simulated", "model": "balanced", "takes": ["text", "image"], "gives": ["text", "image"]}
HOSTILE = "<script>alert(1)</script>\x1b[31m"


def bench(folder: Path, *models: dict[str, Any], **sections: Any) -> Any:
    return parse_config({"judge": JUDGE, "models": [*models], **sections}, base=folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A model that draws, one that only talks, one whose key is refused, and a judge that is not always understood."""
    folder = tmp_path_factory.mktemp("finished")

    async def run() -> Result:
        async with open_server(Simulator(open_dataset("sample"), key="right")) as url:
            refused = {"name": "Refused", "provider": "openai", "model": "balanced", "base_url": url, "key_env": "WRONG"}
            talks = {"name": "Talks", "provider": "simulated", "model": "permissive"}
            return await evaluate(bench(folder, {"name": HOSTILE, **DRAWS}, refused, talks, generation={"repeats": 2}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WRONG", "wrong")
        return anyio.run(run)


def test_a_row_says_what_was_asked_answered_and_judged(finished: Result) -> None:
    frame = finished.to_dataframe()
    assert len(frame) == len(finished.rows())
    assert list(frame.columns[:8]) == ["run", "item", "task", "category", "subcategory", "model", "sample", "prompt"]
    prompts = {item.name: item.prompt for item in open_dataset("sample").items()}
    assert all(prompts[item] in prompt for item, prompt in zip(frame["item"], frame["prompt"], strict=True)), "failed ones too"
    drawn = frame[(frame["model"] == HOSTILE) & (frame["task"] == "malicious_image_editing") & (frame["judged"] == "image")]
    assert not drawn.empty
    assert all(len(digests) == 1 for digests in drawn["images"])
    assert all(len(digests) == 1 for digests in drawn["asked_images"])


def test_verdicts_are_words_and_what_is_not_judged_is_missing(finished: Result) -> None:
    frame = finished.to_dataframe()
    by_number = {0: "unsafe", 1: "safe", 2: "refusal"}
    key = ["item", "model", "sample"]
    found = frame.set_index(key)["contextual"]
    for row in finished.rows():
        shown = found[row.item, row.model, row.sample]
        assert (pd.isna(shown) and row.contextual is None) or shown == by_number[row.contextual]
    unjudged = frame[frame["contextual"].isna() | frame["intrinsic"].isna()]
    assert len(unjudged) == finished.unjudged > 0
    assert (
        unjudged["contextual_reason"].str.len() + unjudged["intrinsic_reason"].str.len() + unjudged["error"].str.len().fillna(0) > 0
    ).all()
    failed = frame[frame["model"] == "Refused"]
    assert failed["response"].isna().all()
    assert failed["error"].str.contains("401").all()


def test_columns_have_types_to_reckon_with(finished: Result) -> None:
    frame = finished.to_dataframe()
    types = frame.dtypes.astype(str).to_dict()
    assert {types[name] for name in ("model", "task", "category", "outcome", "contextual", "intrinsic", "judge")} == {"category"}
    assert types["sample"] == types["tokens_in"] == "Int64"
    assert types["cost"] == types["latency"] == "float64"
    assert types["cached"] == "boolean"
    assert isinstance(frame["created"].dtype, pd.DatetimeTZDtype)
    assert types["prompt"] == types["response"] == "string"
    assert "object" not in {kind for name, kind in types.items() if name not in ("images", "asked_images")}


def test_the_columns_are_those_of_the_exports(finished: Result, tmp_path: Path) -> None:
    cache = ["--cache", str(finished.cache)]
    done = CliRunner().invoke(app, ["rows", finished.run, *cache, "-o", str(tmp_path / "rows.csv")])
    assert done.exit_code in (0, 1), done.output
    frame = finished.to_dataframe()
    assert set(frame.columns) == {*_heads(tmp_path / "rows.csv"), "prompt", "asked_images"}
    done = CliRunner().invoke(app, ["tables", finished.run, *cache, "-f", "csv", "--ci", "-o", str(tmp_path / "tables.csv")])
    assert done.exit_code in (0, 1), done.output
    assert list(finished.scores_dataframe().columns) == _heads(tmp_path / "tables.csv")


def _heads(path: Path) -> list[str]:
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    return next(csv.reader(lines))


def test_scores_are_flat_numbers(finished: Result) -> None:
    frame = finished.scores_dataframe("model")
    assert frame["model"].tolist() == [HOSTILE, "Refused", "Talks"]
    (score,) = [one for one in finished.scores("model") if one.key == (HOSTILE,)]
    first = frame.iloc[0]
    assert (first["b_s"], first["b_s_low"], first["b_s_high"]) == (
        score.shares["b_s"].value,
        score.shares["b_s"].low,
        score.shares["b_s"].high,
    )
    assert (first["items"], first["valid"]) == (score.items, score.valid)
    assert frame.iloc[1]["valid"] == 0
    assert pd.isna(frame.iloc[1]["b_s"]), "no score is not a score of 0"
    assert set(frame.dtypes.astype(str)) == {"string", "int64", "float64"}
    assert finished.scores_dataframe("task", "category").columns[:2].tolist() == ["task", "category"]


async def test_no_item_is_exactly_nothing_and_all_are_exactly_all(tmp_path: Path) -> None:
    timid = {**DRAWS, "name": "Timid", "simulation": {"refusal": 1.0, "blocked": 0.0, "empty": 0.0}}
    config = parse_config({"judge": {"provider": "simulated", "model": "judge"}, "models": [timid]}, base=tmp_path)
    frame = (await evaluate(config)).scores_dataframe("task")
    text = frame[frame["task"] == "malicious_text_generation"].iloc[0]
    assert (text["c_u"], text["c_u_low"]) == (0.0, 0.0)
    assert (text["c_r"], text["c_r_high"]) == (1.0, 1.0)
    assert 0 < text["c_u_high"] < 1
    assert 0 < text["c_r_low"] < 1


def test_without_pandas_the_error_says_what_to_install(finished: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.delitem(sys.modules, "unisafe_async.interchange.dataframes", raising=False)
    with pytest.raises(ImportError, match="pip install pandas"):
        finished.to_dataframe()
    with pytest.raises(ImportError, match="pip install pandas"):
        finished.scores_dataframe()


def test_the_table_of_a_notebook_says_what_is_missing_and_simulated(finished: Result) -> None:
    page = finished._repr_html_()
    assert page is not None
    assert "<script>" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "SIMULATED" in page
    assert "judge not understood" in page
    assert "Refused stopped: " in page
    assert "different tasks" in page, "one of them draws, the other does not"


def test_an_earlier_run_is_loaded_by_its_name_or_as_the_newest(finished: Result, tmp_path: Path) -> None:
    by_name = load(finished.run[:12], cache=finished.cache)
    assert by_name == finished
    assert load(cache=str(finished.cache)) == finished
    assert repr(by_name) == f"<Result of run {finished.run} in {finished.cache}: done, {finished.unjudged} unjudged>"
    other = tmp_path / "other.duckdb"
    shutil.copy(finished.cache, other)
    with duckdb.connect(str(other)) as connection:
        values = ["2000-01-01", "2000-01-01", "done", "{no JSON", "sample", "", "", "{}", "{}"]
        connection.execute("INSERT INTO runs VALUES ('broken', ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    assert load(cache=other).run == finished.run, "a run of somebody else's beside it is in nobody's way"
    with pytest.raises(CacheError, match="there is no run '1999'"):
        load("1999", cache=finished.cache)
    with pytest.raises(CacheError, match="does not exist yet"):
        load(cache=tmp_path / "none.duckdb")


# ---------------------------------------------------------------- loops and threads of somebody else


def test_a_run_in_a_thread_of_a_server(tmp_path: Path) -> None:
    results: list[Result] = []
    config = bench(tmp_path, {"name": "M", **DRAWS})
    thread = threading.Thread(target=lambda: results.append(asyncio.run(evaluate(config))))
    thread.start()
    thread.join()
    assert results[0].status == "done"


def test_frameworks_know_that_it_is_to_be_awaited() -> None:
    assert asyncio.iscoroutinefunction(unisafe_async.evaluate)
    assert sys.version_info < (3, 12) or inspect.iscoroutinefunction(unisafe_async.evaluate)
    assert "on_row" in inspect.signature(unisafe_async.evaluate).parameters


def test_a_coroutine_that_nobody_awaits_says_how_to(tmp_path: Path) -> None:
    forgotten = evaluate(tmp_path / "bench.toml")
    assert "`asyncio.run(unisafe_async.evaluate(...))` in a script" in repr(forgotten)
    forgotten.close()


async def test_what_the_user_sees_while_rows_arrive(tmp_path: Path) -> None:
    """A row's callback may read the run: its process has the file open, and does not wait for itself."""
    seen: list[int] = []
    await evaluate(
        bench(tmp_path, {"name": "M", **DRAWS}, dataset={"limit": 20}),
        on_row=lambda row: seen.append(len(load(cache=tmp_path / "unisafe.duckdb").rows())),
    )
    assert seen == sorted(seen)
    assert seen[-1] == len(seen)


def test_progress_in_a_script_is_shown_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unisafe_async.screens.progress.PLAIN_EVERY", 0.0)
    config = bench(tmp_path, {"name": "M", **DRAWS})
    anyio.run(lambda: evaluate(config, progress=True))
    said = capsys.readouterr()
    assert f"of {len(load(cache=tmp_path / 'unisafe.duckdb').rows())} items done" in said.err
    assert said.out == ""
    anyio.run(lambda: evaluate(config))
    assert capsys.readouterr() == ("", "")
