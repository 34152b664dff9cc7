"""The first screen: who is safest, what became of the items, what was not measured and where it fails, before anybody scrolls."""

from __future__ import annotations

import re
from itertools import combinations

import duckdb
import numpy
import pytest
from PIL import ImageColor
from playwright.sync_api import Browser, Page, expect

from tests.unisafe_async.page.conftest import Pages
from unisafe_async.page.plot_frame import PARTS
from unisafe_async.results.outcomes import MARKS
from unisafe_async.screens import answer

OUTSIDE = """
(width) => [...document.querySelectorAll("#overview :is(h1, .figure, .between, .judged, .numbers, .outcomes, .parts li)")]
  .filter((one) => { const box = one.getBoundingClientRect(); return box.width === 0 || box.left < 0 || box.right > width })
  .map((one) => one.textContent)
"""
CUT = """
() => [...document.querySelectorAll(".scroll, .bar nav")].map((one) => ({
  wide: one.scrollWidth > one.clientWidth + 1, said: one.dataset.cut,
  words: one.matches(".scroll") ? getComputedStyle(one, "::after").content : "→",
}))
"""


def opened(browser: Browser, pages: Pages, width: int, scheme: str = "light") -> Page:
    context = browser.new_context(reduced_motion="reduce", viewport={"width": width, "height": 900})
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(pages.bare.as_uri())
    page.wait_for_selector("html[data-ready]")
    return page


@pytest.fixture(scope="module")
def wide(browser: Browser, pages: Pages) -> Page:
    return opened(browser, pages, 1280)


@pytest.fixture(scope="module")
def narrow(browser: Browser, pages: Pages) -> Page:
    return opened(browser, pages, 400)


def count_unsafe(pages: Pages) -> dict[str, tuple[int, int, int]]:
    """Of each model: unsafe items, judged items, all items."""
    judged = "contextual IS NOT NULL AND intrinsic IS NOT NULL"
    unsafe = f"{judged} AND (contextual = 0 OR intrinsic = 0)"
    sql = f"SELECT model, count(*) FILTER ({unsafe}), count(*) FILTER ({judged}), count(*) FROM rows GROUP BY model"
    with duckdb.connect(str(pages.cache), read_only=True) as connection:
        return {row[0]: row[1:] for row in connection.execute(sql).fetchall()}


def test_the_answer_is_on_the_first_screen(wide: Page) -> None:
    for part in ("#answer", "table.lead", "table.lead tbody tr:last-child .outcomes", "table.heat", ".worst-cells >> nth=0"):
        box = wide.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900


def test_the_bars_and_what_was_not_measured_are_those_of_the_cache(wide: Page, pages: Pages) -> None:
    known = count_unsafe(pages)
    lines = wide.locator("table.lead tbody tr")
    assert lines.count() == len(known)
    for line in lines.all():
        name = line.locator("th").inner_text().split("\n")[0]
        unsafe, judged, items = next(numbers for model, numbers in known.items() if model.startswith(name[:8]))
        numbers = [int(found) for found in re.findall(r"\d+", line.locator(".numbers").inner_text())]
        assert (sum(numbers), numbers[-1]) == (judged, unsafe)
        widths = line.locator(".outcomes rect[class^=edge]").evaluate_all(
            "all => all.map(one => parseFloat(one.getAttribute('width')))"
        )
        assert sum(widths) == pytest.approx(100, abs=0.01)
        assert widths[-1] == pytest.approx(unsafe / judged * 100, abs=0.01)
        assert line.locator(".judged .whole").inner_text() == f"{judged} of {items}"
        causes = [int(found) for found in re.findall(r"\d+", " ".join(line.locator(".causes-of").all_inner_texts()))]
        assert sum(causes) == items - judged


def test_a_cell_that_is_named_leads_to_its_items(wide: Page) -> None:
    for line in wide.locator("li:has(a[href*=task])").all()[:1]:
        link = line.locator("a").first
        unsafe = re.search(rf"{re.escape(link.inner_text())} (\d+) of", line.inner_text())
        assert unsafe is not None
        link.click()
        expect(wide.locator("#found")).to_have_text(re.compile(rf"^{unsafe[1]} of "))
    wide.evaluate("scrollTo(0, 0)")


def test_on_a_phone_interval_and_coverage_need_no_scrolling_sideways(narrow: Page) -> None:
    assert narrow.evaluate(OUTSIDE, 400) == []
    line = narrow.locator("table.lead tbody tr").first
    assert re.search(r"\d+\.\d\s+\d+\.\d–\d+\.\d", line.locator(".b-s").inner_text())
    expect(line.locator(".judged .whole")).to_be_in_viewport()


def test_what_a_phone_cuts_off_says_so_and_the_first_column_stays(narrow: Page) -> None:
    parts = narrow.evaluate(CUT)
    assert any(part["wide"] for part in parts)
    for part in parts:
        assert part["said"] == ("right" if part["wide"] else "")
        assert ("→" in part["words"]) or not part["wide"]
    heat = narrow.locator("#categories .scroll")
    name, head = heat.locator("tbody th").first, heat.locator("thead th").first
    before = (name.bounding_box(), head.bounding_box())
    heat.evaluate("one => { one.scrollLeft = one.scrollWidth }")
    expect(heat).to_have_attribute("data-cut", "left")
    assert (name.bounding_box(), head.bounding_box()) == before


@pytest.mark.parametrize("width", [1280, 400])
def test_the_text_of_plots_is_readable(wide: Page, narrow: Page, width: int) -> None:
    page = wide if width == 1280 else narrow
    boxes = page.locator(".plot text").evaluate_all("all => all.map(one => one.getBoundingClientRect().height).filter(Boolean)")
    assert len(boxes) > 20
    assert min(boxes) >= 10  # pixels of a line, so letters of 9 and more


def test_links_above_the_page_lead_somewhere(wide: Page) -> None:
    for link in wide.locator(".bar nav a").all():
        assert wide.locator(f"main {link.get_attribute('href')}").count() == 1


# -------------------------------------------------------- colours

SEEN = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
"""How people who lack a kind of cone see linear RGB: Machado, Oliveira and Fernandes, 2009, severity 1."""
XYZ = ((0.4124564, 0.3575761, 0.180437), (0.2126729, 0.7151522, 0.072175), (0.0193339, 0.119192, 0.9503041))


def to_lab(colour: str, seen: str) -> numpy.ndarray:
    """CIELAB of a colour as somebody sees it."""
    value = numpy.array(ImageColor.getrgb(colour)) / 255
    linear = numpy.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    xyz = numpy.array(XYZ) @ numpy.clip(numpy.array(SEEN[seen]) @ linear, 0, 1) / (0.95047, 1, 1.08883)
    root = numpy.where(xyz > 0.008856, numpy.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return numpy.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_tells_the_parts_of_a_bar_apart(wide: Page, scheme: str) -> None:
    wide.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    read = "part => getComputedStyle(document.documentElement).getPropertyValue('--part-' + part).trim()"
    colours = {part: wide.evaluate(read, part) for part in MARKS}
    for seen in SEEN:
        for one, other in combinations(colours.values(), 2):
            assert numpy.linalg.norm(to_lab(one, seen) - to_lab(other, seen)) > 15  # 2 can be told apart side by side
    if scheme == "light":
        assert colours == PARTS


def test_page_figures_and_terminal_draw_the_same_parts_in_the_same_order(wide: Page) -> None:
    words = [item.split()[0] for item in wide.locator(".parts li:has(svg)").all_inner_texts()]
    assert words == list(MARKS) == list(PARTS) == list(answer.PARTS)
    textures = wide.locator(".parts li rect").evaluate_all("all => all.map(one => one.getAttribute('fill'))")
    assert textures == ["url(#mark-safe)", "url(#mark-refused)", "url(#mark-blocked)", None]
