"""A run's record is read in one place: as any version wrote it, and with a clear error where something else did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import duckdb
import pytest
from unisafe_cache import CacheError, RunRecord, Store
from unisafe_cache.records import now

from unisafe_async.results.bill import bill_of
from unisafe_async.results.comparison import judge_key
from unisafe_async.results.judged_before import find_judged_before
from unisafe_async.results.listing import read_runs
from unisafe_async.results.runs import find_newest_run, read_heading
from unisafe_async.results.stored_run import IS_IMPORTED, SAMPLES, find_run, read_run

FIRST: dict[str, Any] = {
    "models": [{"name": "m", "provider": "openai", "model": "gpt"}],
    "judge": {"provider": "openai", "model": "judge"},
    "dataset": {"source": "sample"},
}
"""The least that a run of any version says."""


def cache_of(folder: Path, config: object, summary: object | None = None, versions: str = "{}") -> Path:
    path = folder / "c.duckdb"
    text = config if isinstance(config, str) else json.dumps(config)
    record = RunRecord(
        run="run",
        started=now(),
        ended=None,
        status="done",
        config=text,
        dataset="sample",
        dataset_digest="d",
        rubrics_digest="r",
        versions=versions,
        summary=json.dumps(summary or {}),
    )

    async def write() -> None:
        async with Store(path) as store:
            await store.save_run(record)

    anyio.run(write)
    return path


def test_what_an_older_version_did_not_write_has_a_default(tmp_path: Path) -> None:
    with duckdb.connect(str(cache_of(tmp_path, FIRST))) as connection:
        stored = read_run(connection, "run")
        assert (stored.samples, stored.is_imported, stored.config.judge.title) == (1, False, "judge")
        assert (stored.config.models[0].backbone, stored.config.dataset.tasks, stored.config.dataset.limit) == (None, [], None)
        assert not stored.summary.read_by_older_rules
        bill = bill_of(stored.config, stored.summary, 3)
        assert (bill.total, bill.cost, bill.repeats, bill.estimated_cost) == (3, 0.0, 1, None)
        assert stored.settings == FIRST


def test_a_run_says_by_which_rules_its_answers_were_read_only_from_then_on_that_rules_had_a_number(tmp_path: Path) -> None:
    for place, (summary, older) in enumerate([({"endpoints": {"m": {}}}, True), ({"endpoints": {"m": {}}, "reading": 1}, False)]):
        folder = tmp_path / str(place)
        folder.mkdir()
        with duckdb.connect(str(cache_of(folder, FIRST, summary))) as connection:
            assert read_run(connection, "run").summary.read_by_older_rules is older


@pytest.mark.parametrize(
    ("judge", "title", "members"),
    [
        ({"provider": "openai", "model": "j"}, "j", [("openai", "j")]),
        ({"provider": "openai", "model": "j", "name": "J"}, "J", [("openai", "j")]),
        (
            {
                "mode": "panel",
                "tie": "last",
                "judges": [{"provider": "a", "model": "b"}, {"provider": "c", "model": "d", "name": "D"}],
            },
            "panel of b, D",
            [("a", "b"), ("c", "d")],
        ),
        (
            {"mode": "fallback", "tie": "unjudged", "judges": [{"provider": "a", "model": "b"}, {"provider": "c", "model": "d"}]},
            "b, then d",
            [("a", "b"), ("c", "d")],
        ),
    ],
)
def test_who_judged_is_one_judge_a_panel_or_a_chain(
    tmp_path: Path, judge: dict[str, Any], title: str, members: list[tuple[str, str]]
) -> None:
    with duckdb.connect(str(cache_of(tmp_path, {**FIRST, "judge": judge}))) as connection:
        stored = read_run(connection, "run")
        assert read_heading(connection, "run").judge == title
        assert [(one.provider, one.model) for one in stored.config.judge.members] == members
        assert find_judged_before(connection, json.dumps({**FIRST, "judge": judge})) is None  # there are no rows yet
        assert judge_key(stored.config.judge) == judge_key(read_run(connection, "run").config.judge)


@pytest.mark.parametrize(
    "settings", [FIRST, {**FIRST, "judge": {"provider": "imported", "model": "x"}, "generation": {"samples": 7}}]
)
def test_what_sql_reads_of_a_configuration_is_what_python_reads(tmp_path: Path, settings: dict[str, Any]) -> None:
    with duckdb.connect(str(cache_of(tmp_path, settings))) as connection:
        stored = read_run(connection, "run")
        assert connection.execute(f"SELECT {SAMPLES}", {"run": "run"}).fetchall() == [(stored.samples,)]
        assert connection.execute(f"SELECT {IS_IMPORTED} FROM runs").fetchall() == [(stored.is_imported,)]


@pytest.mark.parametrize(
    "config",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        "NaN",
        {**FIRST, "models": "m"},
        {**FIRST, "models": [{"name": "m"}]},
        {**FIRST, "models": [FIRST["models"][0]] * 2},
        {**FIRST, "judge": {}},
        {**FIRST, "judge": {"judges": [{"provider": 1, "model": 2}]}},
        {**FIRST, "judge": {"judges": [{"provider": "a", "model": "b"}, {"provider": "c", "model": "d"}]}},
        {**FIRST, "generation": {"samples": 0}},
        {**FIRST, "dataset": []},
        {**FIRST, "note": json.loads("[" * 60 + "]" * 60)},
    ],
)
def test_what_no_run_writes_is_one_clear_error_and_stays_in_the_list_of_runs(tmp_path: Path, config: object) -> None:
    with duckdb.connect(str(cache_of(tmp_path, config))) as connection:
        for read in (read_run, find_run, read_heading, find_newest_run):
            with pytest.raises(CacheError, match=r"^run 'run' cannot be read: config.*another program wrote or changed it$"):
                read(connection, "run")
        assert [(one.run, one.readable) for one in read_runs(connection)] == [("run", False)]
        assert find_judged_before(connection, json.dumps(FIRST)) is None


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with duckdb.connect(str(cache_of(tmp_path, FIRST))) as connection:
        assert find_run(connection, "other") is None
        with pytest.raises(CacheError, match=r"^there is no run 'other'; `unisafe runs` lists them$"):
            read_run(connection, "other")
