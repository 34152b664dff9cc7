"""Figures for papers travel without their page: what is simulated, which run and how many items stand on them and in the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image as Picture
from PIL import ImageColor
from unisafe_cache import read_file

from tests.unisafe_async.page.conftest import Pages
from tests.unisafe_async.test_comparison import SAFE, T2I, TEXT, UNSAFE, on_file, record, rows
from unisafe_async.page import plots
from unisafe_async.page.figures import draw_figure
from unisafe_async.page.inline_svg import inline
from unisafe_async.page.summary import read_summary
from unisafe_async.page.write import write_plots
from unisafe_async.results.scores import Score, Share, Where

NAMES = ("outcomes", "panels", "heatmap", "scatter")
WITH_MARKERS = ("panels", "scatter")


@pytest.fixture(scope="module")
def run(pages: Pages) -> str:
    return read_file(pages.cache, lambda connection: read_summary(connection, None).report.run)


def drawn_words(svg: str) -> str:
    """The texts of a figure whose letters are paths; matplotlib notes each beside its paths."""
    return " ".join(re.findall(r"<!-- (.*?) -->", svg))


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_itself_says_it(figures: Path, run: str, name: str) -> None:
    words = drawn_words((figures / f"f-{name}.svg").read_text("utf-8"))
    assert "SIMULATED: models and judge are simulated; these figures say nothing about any real model." in words
    assert f"Run {run} · dataset sample · judge" in words
    assert re.search(r"Language \(n \d+\)", words) if name != "heatmap" else re.search(r"n \d+ ", words)
    assert re.search(r"\d+ of \d+ judged", words)
    assert "different tasks" in words or "Nothing is judged of" in words


@pytest.mark.parametrize("name", NAMES)
def test_the_file_says_it_where_the_picture_is_cropped(figures: Path, run: str, name: str) -> None:
    with Picture.open(figures / f"f-{name}.png") as picture:
        texts = picture.text  # type: ignore[attr-defined]
    assert texts["Source"] == f"unisafe-async run {run}"
    assert texts["Warning"].startswith("SIMULATED")
    assert texts["Description"].startswith("SIMULATED")
    assert run in texts["unisafe"]
    tree = ElementTree.parse(figures / f"f-{name}.svg")
    metadata = next(element for element in tree.iter() if element.tag.endswith("metadata"))
    said = " ".join("".join(metadata.itertext()).split())
    assert f"unisafe-async run {run}" in said
    assert "SIMULATED" in said


async def test_real_models_are_not_called_simulated(tmp_path: Path) -> None:
    await on_file(tmp_path, rows("a", *[SAFE] * 40), lambda _: None, record(a=None, gone=None))
    files = write_plots(tmp_path / "c.duckdb", None, tmp_path / "f.png", tmp_path / "f.svg")
    assert {file.name for file in files} == {f"f-{name}.{kind}" for name in NAMES[:2] for kind in ("png", "svg")}
    svg = (tmp_path / "f-panels.svg").read_text("utf-8")
    assert "SIMULATED" not in svg
    assert "Nothing is judged of gone." in drawn_words((tmp_path / "f-outcomes.svg").read_text("utf-8"))
    assert "Run run · dataset own · judge" in drawn_words(svg)
    with Picture.open(tmp_path / "f-panels.png") as picture:
        assert "Warning" not in picture.info


async def test_what_a_filter_leaves_out_is_said_below(tmp_path: Path) -> None:
    some = [*rows("a", *[SAFE] * 40), *rows("a", *[UNSAFE] * 3, task=T2I)]
    await on_file(tmp_path, some, lambda _: None, record(a=None))
    write_plots(tmp_path / "c.duckdb", None, None, tmp_path / "f.svg", Where(tasks=(TEXT,)))
    words = drawn_words((tmp_path / "f-panels.svg").read_text("utf-8"))
    assert "Only task malicious_text_generation." in words
    assert "Hollow" not in words


def test_the_bars_say_the_score_and_the_heatmap_the_number_of_items(figures: Path, pages: Pages) -> None:
    summary = read_file(pages.cache, lambda connection: read_summary(connection, None))
    bars, heat = (drawn_words((figures / f"f-{name}.svg").read_text("utf-8")) for name in ("outcomes", "heatmap"))
    for score in summary.report.by_model.values():
        assert f" {score.shares['b_s'].value * 100:.1f}" in bars
    for part in ("safe", "refused", "blocked", "unsafe"):
        assert f" {part} " in bars
    for score in summary.by_category.values():
        assert f" {score.shares['b_s'].value * 100:.1f} n {score.valid} " in f" {heat} "


@pytest.mark.parametrize("columns", [1, 2])
def test_a_figure_has_the_width_and_the_letters_of_a_paper(pages: Pages, columns: Literal[1, 2]) -> None:
    summary = read_file(pages.cache, lambda connection: read_summary(connection, None))
    for name in NAMES:
        figure = draw_figure(summary, name, columns)
        assert figure is not None
        width, height = figure.get_size_inches()
        assert (3.0 <= width <= 3.5) if columns == 1 else (6.3 <= width <= 7.2)
        assert height < 9
        assert find_cut(figure) == []
        assert all(6 <= text.get_fontsize() <= 9 for text in figure.findobj(Text) if text.get_text())


def find_cut(figure: Figure) -> list[str]:
    """The texts that reach beyond the sides of a drawn figure."""
    figure.set_dpi(300)  # as in the file
    FigureCanvasAgg(figure).draw()
    words = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in words]
    return [words for words, box in boxes if box.x0 < -1 or box.x1 > figure.bbox.x1 + 1]


def test_words_of_any_width_stay_inside_the_figure() -> None:
    caption = plots.Caption("W" * 90, ("MW " * 60, "W" * 150, "$x$ \n" * 30))
    figure = plots.draw_panel_dots(["W" * 60, "m"], {("m", TEXT): score(0.5), ("W" * 60, TEXT): score(0.5)}, caption, columns=1)
    assert figure is not None
    assert find_cut(figure) == []


# -------------------------------------------------------- markers


def score(value: float, valid: int = 100) -> Score:
    rest, share = Share(0.1, 0.0, 0.2), Share(value, value, value)
    return Score(key=("m",), items=valid, valid=valid, shares={"c_u": rest, "c_r": rest, "i_u": rest, "b_s": share})


def marker_box(file: Path, top: float = 0.0) -> tuple[int, int]:
    """Width and height in pixels of what is drawn in the first model's colour, from `top` of the picture's height on."""
    with Picture.open(file) as picture:
        shown = numpy.asarray(picture.convert("RGB"))
    shown = shown[int(top * len(shown)) :]
    rows_of, columns = numpy.nonzero((shown == ImageColor.getrgb(plots.SERIES[0])).all(axis=2))
    return int(numpy.ptp(columns)), int(numpy.ptp(rows_of))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_marker_on_the_edge_is_whole(tmp_path: Path, value: float) -> None:
    figure = plots.draw_panel_dots(["m"], {("m", TEXT): score(value)})
    assert figure is not None
    plots.save(figure, tmp_path / "dots.png", "png", "t", {})
    width, height = marker_box(tmp_path / "dots.png", top=1 / 3)  # below the legend
    assert height > 10
    assert abs(width - height) <= 2


@pytest.mark.parametrize(("value", "utility"), [(1.0, 0.0), (1.0, 100.0), (0.0, 100.0), (0.0, 0.0)])
def test_so_it_is_over_utility(tmp_path: Path, value: float, utility: float) -> None:
    figure = plots.draw_scatter({"m": score(value)}, {"m": utility}, {})
    assert figure is not None
    plots.save(figure, tmp_path / "scatter.png", "png", "t", {})
    width, height = marker_box(tmp_path / "scatter.png")
    assert height > 15
    assert abs(width - height) <= 2


@pytest.mark.parametrize("name", WITH_MARKERS)
def test_in_the_page_no_marker_is_clipped(name: Literal["panels", "scatter"]) -> None:
    by_task = {("m", TEXT): score(1.0), ("m", T2I): score(0.0)}
    figure = plots.draw_panel_dots(["m"], by_task) if name == "panels" else plots.draw_scatter({"m": score(1.0)}, {"m": 100.0}, {})
    assert figure is not None
    tree = ElementTree.fromstring(inline(figure, name, "t", "d"))
    markers = [element for element in tree.iter("use") if element.get("fill") == plots.SERIES[0]]
    parents = {child: parent for parent in tree.iter() for child in parent}
    assert len(markers) == (3 if name == "panels" else 1)  # one in the legend
    for marker in markers:
        around = [marker]
        while around[-1] in parents:
            around.append(parents[around[-1]])
        assert not any("clip-path" in element.attrib for element in around)


def test_few_items_are_hollow_and_that_is_said(tmp_path: Path) -> None:
    figure = plots.draw_panel_dots(["m"], {("m", TEXT): score(0.5, valid=29)})
    assert figure is not None
    plots.save(figure, tmp_path / "few.svg", "svg", "t", {})
    svg = (tmp_path / "few.svg").read_text("utf-8")
    assert "Hollow: fewer than 30 valid items." in drawn_words(svg)
    assert f"fill: {plots.HOLLOW}; stroke: {plots.SERIES[0]}" in svg


def test_names_stay_apart_and_below_the_top() -> None:
    assert plots.spread_heights([99.0, 100.0, 100.0], 5.0, 103.0) == [93.0, 98.0, 103.0]
    assert plots.spread_heights([10.0, 11.0, 40.0], 5.0, 103.0) == [10.0, 15.0, 40.0]


async def test_every_model_over_utility_is_named(tmp_path: Path) -> None:
    models = [f"owner/model-{number}" for number in range(6)]
    overall = {model: score(1.0 - number / 200) for number, model in enumerate(models)}
    figure = plots.draw_scatter(overall, dict.fromkeys(models, 100.0), {})
    assert figure is not None
    plots.save(figure, tmp_path / "names.svg", "svg", "t", {})
    words = drawn_words((tmp_path / "names.svg").read_text("utf-8"))
    assert all(f"owner/model-{number} (n 100)" in words for number in range(6))
