"""A cache of an earlier version: whoever opens it brings it up to date, and nothing in it is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, fields
from datetime import datetime
from pathlib import Path

import anyio
import duckdb
import pytest
from unisafe_cache import Row, Store, read_file
from unisafe_cache.columns import build_record
from unisafe_cache.file import CacheFile
from unisafe_providers.base import Block, Response

from tests.cache.older_files import CREATED, DRAWING, PROMPT, OlderFile, key_of
from tests.cache.test_store import paid

COLUMNS = "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY table_name, ordinal_position"


def as_reader(path: Path) -> None:
    read_file(path, lambda _: None)


def as_writer(path: Path) -> None:
    file = CacheFile(path)
    file.work(lambda _: None)
    file.close()


def as_run(path: Path) -> None:
    async def opened() -> None:
        async with Store(path):
            pass

    anyio.run(opened)


@pytest.fixture(params=[1, 2, 3, 4])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> OlderFile:
    file = OlderFile(tmp_path / "old.duckdb", request.param)
    file.row("malicious_text_generation/1", file.answer(PROMPT, "words"), 2)
    file.row("unsafe_t2i_generation/1", file.answer(DRAWING, images=(b"pixels",)), 0, 0)
    file.row("unsafe_t2i_generation/2", None, None, None)
    return file


def everything(path: Path) -> dict[str, list[tuple]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        names = ("responses", "images", "rows", "runs")
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall() for name in names}


@pytest.mark.parametrize("open_it", [as_reader, as_writer, as_run])
def test_an_older_file_has_the_tables_of_a_new_one_and_all_that_it_held(
    old: OlderFile, tmp_path: Path, open_it: Callable[[Path], None]
) -> None:
    before = everything(old.path)
    open_it(old.path)
    as_writer(tmp_path / "new.duckdb")
    assert read_file(old.path, lambda c: c.execute(COLUMNS).fetchall()) == read_file(
        tmp_path / "new.duckdb", lambda c: c.execute(COLUMNS).fetchall()
    )
    after = everything(old.path)
    for name, records in before.items():
        assert [record[: len(records[0])] for record in after[name]] == records
        assert all(set(record[len(records[0]) :]) <= {None} for record in after[name])


def test_old_rows_are_rows_whose_new_columns_are_empty(old: OlderFile) -> None:
    rows = read_file(
        old.path, lambda c: [build_record(Row, row) for row in c.execute("SELECT * FROM rows ORDER BY item").fetchall()]
    )
    assert [(row.item, row.contextual, row.intrinsic, row.valid) for row in rows] == [
        ("malicious_text_generation/1", 2, 1, True),
        ("unsafe_t2i_generation/1", 0, 0, True),
        ("unsafe_t2i_generation/2", None, None, False),
    ]
    assert rows[0].created == datetime.fromisoformat(CREATED)
    new = [field.name for field in fields(Row)].index("judged")
    assert {value for row in rows for value in astuple(row)[new:]} == {None}


def test_the_view_of_verdicts_says_of_old_rows_what_it_said(old: OlderFile) -> None:
    verdicts = "SELECT item, question, label FROM verdicts ORDER BY ALL"
    with duckdb.connect(str(old.path), read_only=True) as connection:
        before = connection.execute(verdicts).fetchall()
    assert len(before) == 6
    assert read_file(old.path, lambda connection: connection.execute(verdicts).fetchall()) == before


async def test_an_older_file_takes_new_answers_beside_the_old_ones(old: OlderFile) -> None:
    block = Block("request", (("violence", "high"), ("hate", "")))
    async with Store(old.path) as store:
        new = Response(finish="blocked", block=block, thoughts="planned", model="served-1")
        await store.commit(paid(store, "new", new))
        found = await store.look_up([key_of(PROMPT), key_of(DRAWING), "new"])
        assert await found[key_of(DRAWING)].response.images[0].read() == b"pixels"
    first = found[key_of(PROMPT)].response
    assert (first.text, first.reason, first.block, first.thoughts, first.missing) == ("words", "why", None, "", "")
    assert found["new"].response == new


async def test_rows_and_verdicts_of_a_new_run_stand_in_the_columns_of_their_names(old: OlderFile) -> None:
    row = Row(
        run="new", item="t/1", task="t", category="c", subcategory="s", model="m", sample=0, outcome="answered", error=None, response=7, contextual=0, contextual_status="judged", contextual_reason="a", contextual_raw="", intrinsic=0, intrinsic_status="judged", intrinsic_reason="b", intrinsic_raw="", judge="judge", cached=False,
        created=datetime.fromisoformat(CREATED), judged="image", thoughts=0, thoughts_status="judged", thoughts_reason="plans it", beside_contextual=2, beside_intrinsic=1, beside_status="judged", beside_reason="says no", categories='["Politics"]',
    )  # fmt: skip
    async with Store(old.path) as store:
        await store.add_rows([row])
    names = ", ".join(field.name for field in fields(Row))
    stored = read_file(old.path, lambda c: c.execute(f"SELECT {names} FROM rows WHERE run = 'new'").fetchall())
    assert stored == [astuple(row)]
    verdicts = "SELECT question, label FROM verdicts WHERE run = 'new' ORDER BY question"
    assert read_file(old.path, lambda c: c.execute(verdicts).fetchall()) == [
        ("beside_contextual", 2),
        ("beside_intrinsic", 1),
        ("contextual", 0),
        ("intrinsic", 0),
        ("thoughts", 0),
    ]
