"""The browser's rows as lines: names told apart on a narrow screen, a long run read in few looks at its file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import duckdb
import pytest
from unisafe_cache import read_file

from tests.unisafe_async.test_cli import bench
from unisafe_async import evaluate
from unisafe_async.browse import listing
from unisafe_async.names import shorten_names
from unisafe_async.results.filters import Where
from unisafe_async.results.rows import Line, read_facets

ALIKE = ("gpt-4o-mini 2024", "gpt-4o-mini\t2024")


@pytest.mark.parametrize("width", [26, 40, 80, 140])
def test_what_tells_two_models_apart_is_never_cut(width: int) -> None:
    line = Line(
        number=1,
        item="malicious_text_generation/1234567890",
        model=ALIKE[1],
        repeat=3,
        outcome="answered",
        contextual=1,
        intrinsic=1,
        text="Mild words. " * 40,
    )
    shown = listing.row_text(line, width, ALIKE)
    assert shown.cell_len <= width
    assert any(shorten_names(ALIKE, columns)[ALIKE[1]] in shown.plain for columns in (14, 17))
    assert "#2 " in shown.plain or shown.plain.endswith("#2…")
    assert "0 #3 " in shown.plain


async def test_a_long_run_goes_to_a_pipe_in_few_looks_at_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await evaluate(bench(tmp_path))
    cache = tmp_path / "run.duckdb"
    with duckdb.connect(str(cache)) as connection:
        connection.execute("INSERT INTO rows SELECT rows.* REPLACE (sample + n AS sample) FROM rows, range(1, 100) AS more(n)")
    looks = []

    def counted(*arguments: Any) -> Any:
        looks.append(arguments)
        return read_file(*arguments)

    monkeypatch.setattr(listing, "read_file", counted)
    out = io.StringIO()
    facets = read_file(cache, lambda connection: read_facets(connection, None))
    assert listing.write_list(cache, facets, Where(), out) == 10_100
    lines = out.getvalue().splitlines()
    assert len(set(lines)) == 10_101
    assert all(line.count("\t") == 6 for line in lines)
    assert len(looks) <= 3
