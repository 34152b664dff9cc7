"""The browser at the sizes of usual terminals: what it shows at once, its orders, the next unsafe row, its list of keys."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from test_viewing import browser, change, folder, until
from unisafe_cache import read_file

from unisafe_async.browse.listing import choose_widths, row_text, write_heading
from unisafe_async.results.filters import Where
from unisafe_async.results.orders import find_unsafe_places
from unisafe_async.results.rows import Line, find_rows, read_facets, read_lines

__all__ = ["folder"]
FIRST = "item = 'malicious_text_generation/1'"
SECOND = "item = 'malicious_text_generation/2'"


def verdict(folder: Path, which: str, contextual: int | None, intrinsic: int | None) -> None:
    for name, label in (("contextual", contextual), ("intrinsic", intrinsic)):
        told = "NULL" if label is None else str(label)
        status = "failed" if label is None else "judged"
        change(folder, f"UPDATE rows SET {name} = {told}, {name}_status = '{status}' WHERE {which}")


def listed(folder: Path, order: str) -> tuple[list[tuple[str, str]], list[int]]:
    """Item and model of each row in an order, and the places of unsafe rows."""

    def read(connection: duckdb.DuckDBPyConnection) -> tuple[list[tuple[str, str]], list[int]]:
        run = read_facets(connection, None).run
        numbers = find_rows(connection, run, Where(), order)
        lines = read_lines(connection, numbers)
        return [(line.item, line.model) for line in lines], list(find_unsafe_places(connection, run, numbers))

    return read_file(folder / "run.duckdb", read)


async def test_rows_come_in_the_order_that_was_asked_for(folder: Path) -> None:
    one, two = "[red]one[/]", "two"
    verdict(folder, "true", 1, 1)
    verdict(folder, f"{SECOND} AND model = 'two'", 0, 1)
    verdict(folder, f"{FIRST} AND model = 'two'", None, None)
    verdict(folder, "item = 'malicious_image_editing/1'", 2, 1)
    edit, first, second = "malicious_image_editing/1", "malicious_text_generation/1", "malicious_text_generation/2"
    assert listed(folder, "task") == ([(edit, one), (first, one), (first, two), (second, one), (second, two)], [4])
    assert listed(folder, "verdict") == ([(second, two), (first, two), (edit, one), (first, one), (second, one)], [0])
    assert listed(folder, "model")[0] == [(edit, one), (first, one), (second, one), (first, two), (second, two)]
    assert listed(folder, "differences") == ([(second, one), (second, two), (edit, one), (first, one), (first, two)], [1])


@pytest.mark.parametrize("width", [48, 58, 78, 98, 118, 198])
def test_both_verdicts_are_whole_and_under_their_headings(width: int) -> None:
    line = Line(
        number=1,
        item="malicious_text_generation/1234567890",
        model="a model with a long name",
        repeat=0,
        outcome="blocked_response",
        contextual=None,
        intrinsic=0,
        text="Mild words. " * 40,
    )
    heading, shown = write_heading(width).plain, row_text(line, width).plain
    assert heading.index("contextual") == shown.index("? unjudged")
    assert heading.index("intrinsic") == shown.index("✗ unsafe")
    assert heading.index("model") == choose_widths(width)[0]
    assert "blocked" in shown or width < 78


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_no_picture_pushes_the_response_off_the_screen(folder: Path, size: tuple[int, int]) -> None:
    app = browser(folder)
    async with app.run_test(size=size) as pilot:
        words = await until(app, "▀▀")
        await app.workers.wait_for_complete()
        await pilot.pause()
        words = await until(app, "▀▀")
        assert words.index("▀▀") < words.index("answered  finish") < words.rindex("▀▀"), "the sent picture, the response"


async def test_keys_go_to_unsafe_rows_sort_and_list_themselves(folder: Path) -> None:
    verdict(folder, "true", 1, 1)
    verdict(folder, f"{SECOND}", 1, 0)
    app = browser(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(app, "5 of 5 rows, 2 unsafe · by task")
        await pilot.press("u")
        assert app._rows.cursor == 3
        await pilot.press("u")
        assert app._rows.cursor == 4
        await pilot.press("u")
        assert app._rows.cursor == 3, "after the last comes the first"
        await pilot.press("U", "U")
        assert app._rows.cursor == 3
        await pilot.press("s")
        await until(app, "by verdict")
        assert app._rows.cursor == 0
        await pilot.press("question_mark")
        keys = await until(app, "the next row with an unsafe verdict")
        assert all(words in keys for words in ("sort by", "clear filters", "scroll the response up"))
        await pilot.press("escape", "c")
        await until(app, "by verdict · no filter")
