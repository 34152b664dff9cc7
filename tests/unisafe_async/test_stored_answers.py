"""A cache that an older version filled, and the run that meets it: what it reads anew is said, and what is nothing is asked
again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
from unisafe_cache import read_file
from unisafe_cache.records import READING

from unisafe_async import Result, evaluate, parse_config
from unisafe_async.results.named_categories import count_named_categories
from unisafe_async.results.scores import Where
from unisafe_async.run.plan import plan

MODEL = {
    "provider": "simulated",
    "model": "permissive",
    "simulation": {"refusal": 0.0, "blocked": 0.0, "empty": 0.0, "thoughts": 0.0},
}
BENCH = {
    "dataset": {"source": "sample", "tasks": ["malicious_text_generation"]},
    "judge": {"provider": "simulated", "model": "judge"},
    "models": [{"name": "m", **MODEL}],
}


async def run(folder: Path, **changes: Any) -> Result:
    return await evaluate(parse_config({**BENCH, **changes, "cache": {"path": str(folder / "run.duckdb")}}))


def summary(result: Result) -> dict[str, Any]:
    sql = "SELECT summary FROM runs WHERE run = ?"
    return json.loads(read_file(result.cache, lambda connection: connection.execute(sql, [result.run]).fetchone()[0]))


def grow_old(path: Path) -> None:
    """As an older version would have stored the answers: one with its thoughts, one empty though tokens were counted."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE responses SET reading = NULL, thoughts = NULL, missing = NULL, model = NULL, estimated = NULL")
        first, second = connection.execute("SELECT response FROM rows ORDER BY item LIMIT 2").fetchall()
        connection.execute("UPDATE responses SET text = '<think>So be it.</think>' || text WHERE id = ?", first)
        connection.execute("UPDATE responses SET text = '', tokens_out = 700 WHERE id = ?", second)
        connection.execute("UPDATE runs SET summary = summary::JSON || '{}'")


async def test_the_first_run_says_what_it_read_anew_and_the_next_has_nothing_to_say(tmp_path: Path) -> None:
    before = await run(tmp_path)
    assert (summary(before)["reading"], summary(before)["reread"]) == (READING, {})
    grow_old(before.cache)
    planned = await plan(parse_config({**BENCH, "cache": {"path": str(before.cache)}}))
    assert planned.models[0].calls == 1, "a plan counts what is to be asked again"
    after = await run(tmp_path)
    told = summary(after)
    assert told["endpoints"]["m"]["calls"] == 1
    assert {cause: number for cause, number in told["reread"].items() if cause != "unchanged"} == {
        "thoughts taken off": 1,
        "empty answers with completion tokens": 1,
    }
    last = summary(await run(tmp_path))
    assert (last["endpoints"]["m"]["calls"], last["reread"]) == (0, {})


async def test_an_old_run_keeps_its_rows(tmp_path: Path) -> None:
    before = await run(tmp_path)
    rows = [(row.item, row.outcome, row.contextual, row.intrinsic, row.response) for row in before.rows()]
    grow_old(before.cache)
    await run(tmp_path)
    assert [(row.item, row.outcome, row.contextual, row.intrinsic, row.response) for row in before.rows()] == rows


async def test_named_subcategories_are_counted_by_model(tmp_path: Path) -> None:
    result = await run(tmp_path, models=[{"name": "m", **MODEL}, {"name": "n", **MODEL, "model": "cautious"}])
    with duckdb.connect(str(result.cache)) as connection:
        connection.execute("UPDATE rows SET intrinsic = 1, categories = ''")
        items = [row[0] for row in connection.execute("SELECT DISTINCT item FROM rows ORDER BY item LIMIT 3").fetchall()]
        for model, item, named in (("m", 0, ["Politics"]), ("m", 1, ["Politics", "Religion", "Politics"]), ("n", 2, ["Religion"])):
            connection.execute(
                "UPDATE rows SET intrinsic = 0, categories = ? WHERE model = ? AND item = ?",
                [json.dumps(named), model, items[item]],
            )
    wanted = {("m", "Politics"): 2, ("m", "Religion"): 1, ("n", "Religion"): 1}
    assert read_file(result.cache, lambda connection: count_named_categories(connection, result.run)) == wanted
    only = read_file(result.cache, lambda connection: count_named_categories(connection, result.run, Where(models=("n",))))
    assert only == {("n", "Religion"): 1}
