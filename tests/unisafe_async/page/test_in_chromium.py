"""The page as its readers have it: in a browser, offline, with answers that would like to do harm."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.unisafe_async.page.conftest import EVIL_ITEM, EVIL_MODEL, SHOWN, Pages

Open = Callable[..., "Visit"]
UNSAFE = "(contextual = 0 OR intrinsic = 0)"


@dataclass
class Visit:
    """An open page, and all that it asked for or complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)

    @property
    def found(self) -> str:
        return self.page.locator("#found").inner_text()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    contexts = []

    def opened(file: Path, address: str = "", width: int = 1280, scheme: Any = "light") -> Visit:
        context = browser.new_context(reduced_motion="reduce", viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(5_000)
        page = context.new_page()
        made = Visit(page)
        page.on("request", lambda request: made.requests.append(request.url))
        page.on("requestfailed", lambda request: made.blocked.append(f"{request.url}: {request.failure}"))
        page.on("console", lambda message: made.complaints.append(message.text))
        page.on("pageerror", lambda error: made.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (made.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.goto(file.as_uri() + address)
        page.wait_for_selector("html[data-ready]")
        return made

    yield opened
    for context in contexts:
        context.close()


def count(pages: Pages, where: str) -> tuple[int, int]:
    """Items and answers that the cache has."""
    with duckdb.connect(str(pages.cache), read_only=True) as connection:
        found = connection.execute(f"SELECT count(DISTINCT item), count(*) FROM rows WHERE {where}").fetchone()
    assert found is not None
    return found


def test_it_opens_with_every_item_and_asks_for_nothing(pages: Pages, visit: Open) -> None:
    seen = visit(pages.bare)
    items, answers = count(pages, "true")
    assert seen.found == f"{items} items, {answers} answers"
    assert (seen.requests, seen.complaints) == ([pages.bare.as_uri()], [])
    assert 3 < seen.page.locator(".entry").count() < 40 < items


def test_filters_find_what_the_cache_has(pages: Pages, visit: Open) -> None:
    seen = visit(pages.bare)
    total = count(pages, "true")[0]
    wanted = (
        ({"model": "Unified"}, "model = 'Unified'"),
        ({"model": "Unified", "verdict": "unsafe"}, f"model = 'Unified' AND {UNSAFE}"),
        ({"verdict": "refusal", "outcome": "blocked_response"}, "contextual = 2 AND outcome = 'blocked_response'"),
        ({"task": "Dual-Unsafe VQA", "verdict": "safe"}, "task = 'dual_unsafe_vqa' AND contextual > 0 AND intrinsic = 1"),
        ({"category": "Privacy Leak", "verdict": "intrinsic"}, "category = 'Privacy Leak' AND intrinsic = 0"),
        ({"verdict": "unjudged"}, "contextual IS NULL OR intrinsic IS NULL"),
    )
    for filters, where in wanted:
        for name, value in filters.items():
            seen.page.select_option(f"select[name={name}]", value)
        items, answers = count(pages, where)
        assert items > 0
        assert seen.found == f"{items} of {total} items, {answers} answer{'' if answers == 1 else 's'}"
        seen.page.click("button[type=reset]")
        expect(seen.page.locator("#found")).to_have_text(re.compile(rf"^{total} items"))


def test_search_reads_requests_answers_and_reasons(pages: Pages, visit: Open) -> None:
    seen = visit(pages.bare)
    with duckdb.connect(str(pages.cache), read_only=True) as connection:
        found = connection.execute(
            'SELECT item, regexp_extract(request, \'"text":"([^"]{20,60})\', 1) FROM rows JOIN responses ON response = id '
            "WHERE task = 'composite_unsafe_vqa' ORDER BY item LIMIT 1"
        ).fetchone()
    assert found is not None
    item, words = found
    seen.page.fill("#search", words.upper())
    expect(seen.page.locator(".entry").first).to_contain_text(item)
    seen.page.fill("#search", "no text has these words")
    expect(seen.page.locator("#spacer")).to_have_text("Nothing matches.")
    seen.page.fill("#search", "{{7*7}}")
    expect(seen.page.locator("#found")).to_contain_text("1 of ")


def test_images_are_blurred_until_they_are_clicked(pages: Pages, visit: Open) -> None:
    seen = visit(pages.embedded, "#task=Dual-Unsafe+VQA")
    picture, thumb = seen.page.locator("#detail .picture").first, seen.page.locator(".entry[aria-selected=true] .thumb")

    def blur(selector: str) -> str:
        return str(seen.page.eval_on_selector(selector, "one => getComputedStyle(one).filter"))

    assert "blur" in blur("#detail .picture img")
    assert "blur" in blur(".entry[aria-selected=true] .thumb")
    assert picture.evaluate("one => one.querySelector('img').naturalWidth") > 0
    picture.click()
    expect(picture).to_have_attribute("aria-pressed", "true")
    expect(picture.locator("img")).not_to_have_class(re.compile("blurred"))
    expect(thumb).not_to_have_class(re.compile("blurred"))
    assert seen.page.locator(".entry[aria-selected=false] .thumb.blurred").count() > 3
    picture.click()
    expect(picture.locator("img")).to_have_class("blurred")
    assert seen.complaints == []


def test_images_beside_the_page_are_named_by_digest_and_load(pages: Pages, visit: Open) -> None:
    names = sorted(file.name for file in pages.images.iterdir())
    assert len(names) > 20
    assert all(re.fullmatch(r"[0-9a-f]{32}\.(png|jpg|webp|gif|bmp)", name) for name in names)
    seen = visit(pages.beside, "#model=Unified&task=Malicious+Image+Editing&outcome=answered")
    expect(seen.page.locator("#detail .picture")).to_have_count(2)
    for index in range(2):
        image = seen.page.locator("#detail .picture img").nth(index)
        image.evaluate("one => one.decode()")
        assert image.evaluate("one => one.naturalWidth") > 0
    assert {Path(url).parent.name for url in seen.requests[1:]} == {pages.images.name}
    assert seen.complaints == []


def test_without_images_the_page_says_so(pages: Pages, visit: Open) -> None:
    seen = visit(pages.bare, "#task=Dual-Unsafe+VQA")
    expect(seen.page.locator("#detail .absent").first).to_contain_text("not on this page")
    assert seen.page.locator("img").count() == 0


def test_a_link_to_an_item_opens_it_again(pages: Pages, visit: Open) -> None:
    seen = visit(pages.bare)
    seen.page.locator(".entry").nth(3).click()
    name = seen.page.locator("#detail h3").inner_text()
    assert seen.page.url.endswith("#item=" + name.replace("/", "%2F"))
    seen.page.reload()
    seen.page.wait_for_selector("html[data-ready]")
    expect(seen.page.locator("#detail h3")).to_have_text(name)
    expect(seen.page.locator(".entry[aria-selected=true] .name")).to_have_text(name)
    far = visit(pages.bare, "#item=composite_unsafe_vqa%2F7")
    expect(far.page.locator("#detail h3")).to_have_text("composite_unsafe_vqa/7")
    expect(far.page.locator(".entry[aria-selected=true]")).to_be_in_viewport()
    gone = visit(pages.bare, "#item=no%2Fsuch")
    assert gone.found.startswith("This run has no item no/such.")


def test_a_link_takes_the_names_of_tables_and_of_people(pages: Pages, visit: Open) -> None:
    unsafe_pictures = count(pages, f"task = 'unsafe_t2i_generation' AND {UNSAFE}")
    blocked = count(pages, "starts_with(outcome, 'blocked')")
    seen = visit(pages.bare)
    for address, (items, answers) in {
        "#task=unsafe_t2i_generation&verdict=unsafe": unsafe_pictures,
        "#task=Unsafe+T2I+Generation&verdict=not+safe+(by+either)": unsafe_pictures,
        "#task=t2i&verdict=UNSAFE": unsafe_pictures,
        "#category=privacy_leak&model=unified": count(pages, "category = 'Privacy Leak' AND model = 'Unified'"),
        "#outcome=blocked": blocked,
    }.items():
        seen.page.evaluate("address => { location.hash = address }", address)
        expect(seen.page.locator("#found")).to_have_text(re.compile(rf"^{items} of .*, {answers} answers$"))


def test_what_a_link_names_and_the_page_does_not_know_is_said_and_the_rest_holds(pages: Pages, visit: Open) -> None:
    seen = visit(pages.bare, "#task=unsafe_t2v_generation&modell=Unified&verdict=unsafe&verdict=safe")
    items, answers = count(pages, UNSAFE)
    assert "There is no task “unsafe_t2v_generation” here" in seen.found
    assert "There is no filter “modell”" in seen.found
    assert "verdict “safe” is left out" in seen.found
    assert seen.found.endswith(f"{items} of {count(pages, 'true')[0]} items, {answers} answers")
    expect(seen.page.locator("#found")).to_be_in_viewport()
    seen.page.select_option("select[name=model]", "Unified")
    expect(seen.page.locator("#found")).not_to_contain_text("There is no")


def test_a_figure_of_the_heatmap_leads_to_its_items(pages: Pages, visit: Open) -> None:
    seen = visit(pages.bare)
    seen.page.locator(".heat a[href*='model=Unified&category=Privacy']").click()
    items, answers = count(pages, f"model = 'Unified' AND category = 'Privacy Leak' AND {UNSAFE}")
    expect(seen.page.locator("#found")).to_contain_text(f"{items} of ")
    assert seen.found.endswith(f"{answers} answers")
    assert seen.page.locator("#detail .answer").first.locator(".badge").first.inner_text() == "unsafe"


def test_the_keyboard_does_all_of_it(pages: Pages, visit: Open) -> None:
    seen = visit(pages.embedded)
    keys, chosen = seen.page.keyboard, seen.page.locator(".entry[aria-selected=true]")
    keys.press("j")
    keys.press("j")
    expect(chosen).to_have_attribute("aria-posinset", "3")
    keys.press("k")
    expect(chosen).to_have_attribute("aria-posinset", "2")
    keys.press("/")
    expect(seen.page.locator("#search")).to_be_focused()
    keys.type("jk/")
    expect(seen.page.locator("#search")).to_have_value("jk/")
    keys.press("Escape")
    expect(seen.page.locator("#search")).to_have_value("")
    keys.press("Enter")
    expect(seen.page.locator("#list")).to_be_focused()
    keys.press("End")
    expect(chosen).to_have_attribute("aria-posinset", str(count(pages, "true")[0]))
    expect(chosen).to_be_in_viewport()
    assert seen.page.locator("#list").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    keys.press("Enter")
    expect(seen.page.locator("#detail")).to_be_focused()
    keys.press("b")
    expect(seen.page.locator("#detail .picture[aria-pressed=false]")).to_have_count(0)
    keys.press("Escape")
    expect(seen.page.locator("#list")).to_be_focused()
    keys.press("?")
    expect(seen.page.locator("#help")).to_be_visible()
    keys.press("Escape")
    expect(seen.page.locator("#help")).to_be_hidden()


def test_thoughts_are_apart_from_the_answer_until_they_are_opened(pages: Pages, visit: Open) -> None:
    seen = visit(pages.bare)
    seen.page.fill("#search", "I plan it.")
    expect(seen.page.locator(".entry")).to_have_count(1)
    seen.page.locator(".entry").click()
    answer = seen.page.locator("#detail .answer").first
    expect(answer.locator(".thoughts .text")).to_be_hidden()
    answer.locator(".thoughts summary").click()
    expect(answer.locator(".thoughts .text")).to_have_text(re.compile("^I plan it"))
    verdicts = answer.locator(".reasons > div")
    expect(verdicts.filter(has_text=re.compile("^thoughts")).locator(".badge")).to_have_text(["unsafe"])
    expect(verdicts.filter(has_text=re.compile("^words beside")).locator(".badge")).to_have_text(
        ["contextual: refusal", "intrinsic: safe"]
    )
    expect(verdicts.filter(has_text=re.compile("^intrinsic"))).to_contain_text(f"named: {SHOWN[:8]}")
    expect(answer.locator(".text", has_text="nothing to judge: ")).to_have_count(1)
    expect(answer.locator(".told", has_text="served as ")).to_have_count(1)


@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_text_is_shown_and_does_nothing(pages: Pages, visit: Open, width: int) -> None:
    seen = visit(pages.bare, width=width)
    seen.page.fill("#search", "window.pwned")
    expect(seen.page.locator(".entry")).to_have_count(1)
    assert seen.page.locator(".entry .name").inner_text() == EVIL_ITEM
    seen.page.locator(".entry").click()
    detail = seen.page.locator("#detail")
    expect(detail.locator("h3")).to_have_text(EVIL_ITEM)
    texts = detail.locator(".text").evaluate_all("all => all.map(one => one.textContent)")
    assert sum(SHOWN in text for text in texts) >= 9
    expect(detail.locator("h4", has_text=EVIL_MODEL)).to_have_count(1)
    assert detail.locator("script, svg, a, iframe, img").count() == 0
    assert seen.page.locator("main img").count() == 0
    again = visit(pages.bare, seen.page.evaluate("location.hash"), width=width)
    expect(again.page.locator("#detail h3")).to_have_text(EVIL_ITEM)
    for one in (seen, again):
        assert one.page.evaluate("window.pwned") is None
        assert (len(one.requests), one.complaints) == (1, [])


def test_a_script_that_got_in_would_not_run(pages: Pages, visit: Open, tmp_path: Path) -> None:
    planted = tmp_path / "planted.html"
    evil = (
        "<script>window.pwned=1</script><img src='http://192.0.2.1/x.png' onerror='window.pwned=1'><body onload='window.pwned=1'>"
    )
    planted.write_text(pages.bare.read_text("utf-8").replace("<main>", f"<main>{evil}"), "utf-8")
    seen = visit(planted)
    assert seen.page.evaluate("window.pwned") is None
    assert seen.blocked == ["http://192.0.2.1/x.png: csp"]
    assert any("Content Security Policy" in complaint for complaint in seen.complaints)


@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone_nothing_is_wider_than_the_screen(pages: Pages, visit: Open, width: int) -> None:
    seen = visit(pages.embedded, width=width)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width
    expect(seen.page.locator("#detail")).to_be_hidden()
    seen.page.locator(".entry").nth(1).click()
    expect(seen.page.locator("#list")).to_be_hidden()
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width
    seen.page.click("#back")
    expect(seen.page.locator("#list")).to_be_visible()


def test_light_and_dark_follow_the_system_and_the_button(pages: Pages, visit: Open) -> None:
    def paper(page: Page) -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light, dark = visit(pages.bare), visit(pages.bare, scheme="dark")
    assert (paper(light.page), paper(dark.page)) == ("rgb(255, 255, 255)", "rgb(23, 23, 26)")
    ink = light.page.locator("#utility .plot text").first
    before = ink.evaluate("one => getComputedStyle(one).fill")
    light.page.click("#theme")
    assert paper(light.page) == paper(dark.page)
    assert ink.evaluate("one => getComputedStyle(one).fill") != before
    light.page.reload()
    assert paper(light.page) == paper(dark.page)


def test_intervals_appear_on_demand(pages: Pages, visit: Open) -> None:
    seen = visit(pages.bare)
    expect(seen.page.locator(".interval").first).to_be_hidden()
    seen.page.check("#intervals")
    expect(seen.page.locator(".interval").first).to_be_visible()


CELLS = """
() => Object.fromEntries([...document.querySelectorAll("table.heat tbody tr")].map((row) => [row.querySelector("th").innerText,
  [...row.querySelectorAll("td")].map((cell) => ({
  colour: getComputedStyle(cell.querySelector("a")).color,
  part: Number((getComputedStyle(cell).backgroundColor.match(/[\\d.]+/g) ?? [])[3] ?? 1),
  words: cell.innerText,
}))]))
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_cells_of_few_items_are_faint_and_say_their_number_without_hovering(pages: Pages, visit: Open, scheme: str) -> None:
    seen = visit(pages.heat, scheme=scheme, width=400)
    cells = seen.page.evaluate(CELLS)
    few, many = cells["few"], cells["many"]
    soft = seen.page.evaluate("getComputedStyle(document.querySelector('.lede')).color")
    ink = seen.page.evaluate("getComputedStyle(document.body).color")
    assert [cell["colour"] for cell in many] == [ink] * 6
    assert [cell["colour"] for cell in few] == [soft] * 6
    assert all(faint["part"] < 0.4 * full["part"] for faint, full in zip(few, many, strict=True))
    assert [cell["words"].split()[-2:] for cell in few] == [["n", "10"]] * 6
    assert [cell["words"].split()[-2:] for cell in many] == [["n", "40"]] * 6


def test_the_number_of_items_stands_beside_the_intervals(pages: Pages, visit: Open) -> None:
    seen = visit(pages.heat)
    seen.page.check("#intervals")
    cell = seen.page.locator("#tasks tbody tr", has_text="many").locator("td.key").first
    assert cell.inner_text().split()[-2:] == ["n", "240"]


def test_verdicts_have_the_colours_of_the_terminal(pages: Pages, visit: Open) -> None:
    """Safe green, unsafe red, refusal blue-green, unjudged yellow: by which channels are strong."""
    seen = visit(pages.bare)
    colours = {}
    for verdict in ("safe", "unsafe", "refusal", "unjudged"):
        made = f"one = document.createElement('span'), one.className = 'badge {verdict}', document.body.append(one)"
        colour = seen.page.evaluate(f"{made}, getComputedStyle(one).color")
        colours[verdict] = tuple(map(int, re.findall(r"\d+", colour)))
    assert max(range(3), key=colours["unsafe"].__getitem__) == 0
    assert max(range(3), key=colours["safe"].__getitem__) == 1
    assert max(range(3), key=colours["refusal"].__getitem__) == 2
    assert min(range(3), key=colours["unjudged"].__getitem__) == 2
    assert len(set(colours.values())) == 4


def test_tables_over_all_tasks_say_that_the_models_were_asked_different_ones(pages: Pages, visit: Open) -> None:
    seen, same = visit(pages.bare), visit(pages.heat)
    for section in ("#overview", "#categories"):
        expect(seen.page.locator(f"{section} .caution")).to_contain_text("do not compare between models. Nothing is judged of ")
        assert same.page.locator(f"{section} .caution").count() == 0
    last = seen.page.locator("#overview table.lead tbody th").last
    expect(last).to_contain_text("Language")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_axe_finds_nothing_serious_in_the_heatmap(pages: Pages, visit: Open, scheme: str, width: int) -> None:
    seen = visit(pages.heat, width=width, scheme=scheme)
    found = Axe().run(seen.page, context="#categories").response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_axe_finds_nothing_serious(pages: Pages, visit: Open, scheme: str, width: int) -> None:
    seen = visit(pages.embedded, "#task=Dual-Unsafe+VQA&model=Unified", width=width, scheme=scheme)
    seen.page.check("#intervals")
    if width == 390:
        seen.page.locator(".entry").first.click()
    found = Axe().run(seen.page).response["violations"]
    grave = [
        (one["id"], node["target"], node["failureSummary"])
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]
    assert grave == []
