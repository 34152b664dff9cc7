"""What `compare` says beside its figures: few items are marked, legends are of marks that are there, nothing seems to
contradict.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from unisafe_cache import Row

from tests.unisafe_async.test_comparison import SAFE, T2I, TEXT, UNSAFE, on_file, record, rows
from unisafe_async.results.compared import read_comparison
from unisafe_async.results.scores import Score, Share
from unisafe_async.screens.compare import print_comparison
from unisafe_async.screens.differences import format_signed
from unisafe_async.screens.heatmap import build_heatmap
from unisafe_async.screens.panels import describe_letters

SMALL = "~: fewer than 30 valid items"
APART = "Each interval describes one difference, Holm corrects a family"


async def compared(folder: Path, some: list[Row], *asked: str, width: int = 400, **backbone: str | None) -> str:
    """The screen of `compare A B`, `--backbone` or `--paper`, of so many columns."""
    named = asked[0] if len(asked) == 1 else asked
    known = record(**(backbone or {"a": None, "b": None}))
    found = await on_file(folder, some, lambda c: read_comparison(c, "run", named), known)  # type: ignore[arg-type]
    console = Console(file=io.StringIO(), width=width)
    print_comparison(console, found)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def line(screen: str, beginning: str) -> str:
    return next(one for one in screen.splitlines() if one.strip().startswith(beginning))


async def test_few_pairs_are_marked_as_in_a_report(tmp_path: Path) -> None:
    few = [*rows("a", *[SAFE] * 29, task=T2I), *rows("b", *[UNSAFE] * 29, task=T2I)]
    many = [*rows("a", *[SAFE] * 30), *rows("b", *[UNSAFE] * 30)]
    screen = await compared(tmp_path, [*few, *many], "a", "b")
    assert "~" not in line(screen, "Malicious Text Generation")
    assert line(screen, "Unsafe T2I Generation").count("~") == 2
    assert SMALL in screen


async def test_where_there_are_enough_pairs_nothing_is_said_of_few(tmp_path: Path) -> None:
    screen = await compared(tmp_path, [*rows("a", *[SAFE] * 30), *rows("b", *[UNSAFE] * 30)], "a", "b")
    assert SMALL not in screen
    assert "~" not in screen
    assert "* corrected below 0.05" in screen


async def test_no_star_no_word_of_stars(tmp_path: Path) -> None:
    screen = await compared(tmp_path, [*rows("a", *[SAFE] * 30), *rows("b", *[SAFE] * 30)], "a", "b")
    assert "*" not in screen
    assert APART not in screen


@pytest.mark.parametrize("number", [29, 30])
async def test_few_items_beside_the_paper_and_a_backbone_are_marked(tmp_path: Path, number: int) -> None:
    some = [*rows("bagel", *[SAFE] * number), *rows("base", *[UNSAFE] * number)]
    for place, asked in enumerate(("paper", "backbone")):
        folder = tmp_path / str(place)
        folder.mkdir()
        screen = await compared(folder, some, asked, bagel="base", base=None)
        assert (SMALL in screen, "~100.0" in screen) == (number < 30, number < 30)
        assert "All these" not in screen


async def test_all_these_is_explained_where_it_stands(tmp_path: Path) -> None:
    some = [*rows("bagel", *[SAFE] * 30), *rows("bagel", *[SAFE] * 30, task=T2I)]
    assert "All these: the paper's figures" in await compared(tmp_path, some, "paper", bagel=None)


async def test_an_interval_that_leaves_out_0_beside_a_p_that_is_not_below_the_level_is_explained(tmp_path: Path) -> None:
    """6 of 30 items differ, all one way: p is 2 / 64, which times 3 pairs of models is above the level."""
    a, b = rows("a", *[SAFE] * 30), rows("b", *[UNSAFE] * 6, *[SAFE] * 24)
    screen = await compared(tmp_path, [*a, *b, *rows("c", *[SAFE] * 24, *[UNSAFE] * 6)], "a", "b", a=None, b=None, c=None)
    assert line(screen, "B-S").split()[-5:] == ["+2.7", "to", "+34.8", "0.031", "0.094"]
    assert APART in screen
    assert "That is not proof that they are alike" in screen


async def test_both_p_stand_in_the_table_of_an_ordinary_terminal(tmp_path: Path) -> None:
    one, other = "Sim-Unified-A", "Sim-Unified-B"
    some = [*rows(one, *[SAFE] * 30), *rows(other, *[UNSAFE] * 30)]
    some += [*rows(one, *[SAFE] * 5, task="composite_unsafe_vqa"), *rows(other, *[UNSAFE] * 5, task="composite_unsafe_vqa")]
    screen = await compared(tmp_path, some, one, other, width=80, **{one: None, other: None})
    assert line(screen, "Task").split()[-3:] == ["interval", "p", "Holm"]
    assert line(screen, "Comp. VQA").split()[-2:] == ["0.062", "0.250"]


async def test_nothing_is_said_of_intervals_and_p_that_agree(tmp_path: Path) -> None:
    screen = await compared(tmp_path, [*rows("a", *[SAFE] * 40), *rows("b", *[UNSAFE] * 40)], "a", "b")
    assert APART not in screen


@pytest.mark.parametrize(("share", "shown"), [(-0.0004, "0.0"), (0.0, "0.0"), (-0.0, "0.0"), (0.0006, "+0.1"), (-0.125, "-12.5")])
def test_a_difference_is_never_minus_nothing(share: float, shown: str) -> None:
    assert format_signed(share) == shown


async def test_who_judged_is_said_by_name(tmp_path: Path) -> None:
    screen = await compared(tmp_path, [*rows("a", SAFE), *rows("b", SAFE)], "a", "b")
    assert "run run, judge judge\n" in screen


# -------------------------------------------------------- the report's legend


def score(model: str, b_s: float, valid: int = 40) -> Score:
    share = Share(b_s, 0.0, 1.0)
    return Score(
        key=(model, TEXT),
        items=valid,
        valid=valid,
        shares={"c_u": Share(0.5, 0, 1), "c_r": share, "i_u": Share(0.5, 0, 1), "b_s": share},
    )


def test_the_legend_names_the_marks_that_are_there() -> None:
    one, other, empty = score("a", 0.5), score("b", 0.75), Score(key=("b", TEXT), items=3, valid=0, shares={})
    alike = describe_letters(["a", "b"], {("a", TEXT): one, ("b", TEXT): one}, {("a",): one, ("b",): one}, {})
    assert not any(word in alike for word in ("●", "~", "no such output"))
    assert "● best and ○ worst" in describe_letters(
        ["a", "b"], {("a", TEXT): one, ("b", TEXT): other}, {("a",): one, ("b",): one}, {}
    )
    apart = {("a",): one, ("b",): other}
    assert "●" in describe_letters(["a", "b"], {}, apart, {})
    assert "●" not in describe_letters(["a", "b"], {}, apart, {}, comparable=False)
    assert "- no such output" in describe_letters(["a", "b"], {("a", TEXT): one}, {("a",): one, ("b",): one}, {})
    assert "- no such output" in describe_letters(["b"], {("b", TEXT): empty}, {("b",): empty}, {})
    assert "~" in describe_letters(["a"], {}, {("a",): one}, {("a", "Politics"): score("a", 0.5, 29)})


@pytest.mark.parametrize("name", ["b_s", "c_u", "c_r"])
def test_a_cell_of_few_items_is_fainter_than_one_of_many(name: str) -> None:
    """By the background, which is paler, and the ink, which is grey; `~` stays where there is no colour."""

    def cell(valid: int) -> tuple[str, list[int], list[int]]:
        console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor", legacy_windows=False)
        share = Share(0.9, 0.0, 1.0)
        console.print(
            build_heatmap(
                console,
                "category",
                name,
                ["a"],
                {("a", "Privacy Leak"): Score(key=("a",), items=valid, valid=valid, shares={name: share})},
            )
        )
        printed = console.file.getvalue()  # type: ignore[attr-defined]
        ((ink, ground, words),) = re.findall(r"\x1b\[([\d;]+);48;2;([\d;]+)m([^\x1b]*90.0)", printed)
        return words.strip(), [int(part) for part in ink.split(";")], [int(part) for part in ground.split(";")]

    few, many = cell(29), cell(30)
    assert (few[0], many[0]) == ("~90.0", "90.0")
    assert (many[1], few[1][:2]) == ([30], [38, 2])
    assert sum(abs(part - 247) for part in few[2]) < 0.5 * sum(abs(part - 247) for part in many[2])
