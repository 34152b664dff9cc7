"""The view as its readers have it: in Chromium, with answers that would like to do harm, while a run goes on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.unisafe_async.page.conftest import EVIL_ITEM, SHOWN, chromium
from tests.unisafe_async.view.conftest import change, find, name_run
from unisafe_async.calibration.labels import read_labels
from unisafe_async.view.guard import Guard
from unisafe_async.view.rating import LabelBook
from unisafe_async.view.server import Viewer, open_view

QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
PATIENCE = 20_000


@dataclass
class Visit:
    """An open page, all that it asked for or complained of, and the cache behind it."""

    page: Page
    base: str
    cache: Path
    labels: Path
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open_run(self, address: str = "") -> None:
        self.page.goto(f"{self.base}/runs/{name_run(self.cache)}{address}")
        self.page.wait_for_selector("html[data-ready]")

    def change(self, sql: str) -> None:
        change(self.cache, sql)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=QUIET)
        yield running
        running.close()


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """The event loop of the views, beside Playwright's."""
    with start_blocking_portal() as running:
        yield running


@pytest.fixture(scope="module")
def shared(finished: Path, portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    """A view that no test changes: its address, its cache and its labels."""
    with view_of_copy(finished, tmp_path_factory.mktemp("shared"), portal) as view:
        yield view


@pytest.fixture
def visit(shared: tuple[str, Path, Path], browser: Browser) -> Iterator[Callable[..., Visit]]:
    contexts: list[Any] = []

    def opened(view: tuple[str, Path, Path] = shared, *, width: int = 1280, scheme: Any = "light") -> Visit:
        address, cache, labels = view
        context = browser.new_context(reduced_motion="reduce", viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        made = Visit(context.new_page(), address.partition("/?")[0], cache, labels)
        made.page.on("request", lambda request: made.requests.append(request.url))
        made.page.on("console", lambda message: made.complaints.append(message.text))
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        made.page.on("dialog", lambda dialog: (made.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        made.page.goto(address)
        made.page.wait_for_selector("html[data-ready]")
        return made

    yield opened
    for context in contexts:
        context.close()


@contextmanager
def view_of_copy(finished: Path, folder: Path, portal: BlockingPortal, *, blind: bool = False) -> Iterator[tuple[str, Path, Path]]:
    """A view of a copy of the cache, whose run goes on: so no plots are drawn, which takes seconds."""
    cache, labels = Path(shutil.copy(finished, folder / "run.duckdb")), folder / "labels.jsonl"
    change(cache, "UPDATE runs SET status = 'running', ended = NULL")
    viewer = Viewer(cache, folder / "bench.toml", LabelBook(labels, "ann"), blind=blind)
    with portal.wrap_async_context_manager(open_view(viewer, Guard())) as address:
        yield address, cache, labels


Open = Callable[..., Visit]


@pytest.fixture(autouse=True)
def _patient() -> Iterator[None]:
    expect.set_options(timeout=PATIENCE)
    yield
    expect.set_options(timeout=5_000)


def test_from_the_runs_to_an_item_by_keyboard(visit: Open) -> None:
    seen = visit()
    page, keys = seen.page, seen.page.keyboard
    assert "token" not in page.url
    keys.press("/")
    keys.type("gpt-5")
    expect(page.locator("#state")).to_have_text("1 of 1 run, 1 under way")
    page.locator(".run-name").focus()
    keys.press("Enter")
    page.wait_for_selector("html[data-ready] #found")
    items, answers = find(seen.cache, "SELECT count(DISTINCT item), count(*) FROM rows")[0]
    expect(page.locator("#found")).to_have_text(f"{items} items, {answers} answers")
    keys.press("j")
    keys.press("j")
    expect(page.locator(".entry[aria-selected=true]")).to_have_attribute("aria-posinset", "3")
    page.locator("#list").focus()
    keys.press("End")
    expect(page.locator(".entry[aria-selected=true]")).to_have_attribute("aria-posinset", str(items))
    page.wait_for_selector(".entry[aria-selected=true] .words")
    expect(page.locator("#detail h3")).to_have_text(page.locator(".entry[aria-selected=true] .name").inner_text())
    page.select_option("select[name=order]", "judges")
    expect(page.locator(".entry").first).to_contain_text("generation/2")
    page.select_option("select[name=verdict]", "unsafe")
    found = find(seen.cache, "SELECT count(DISTINCT item) FROM rows WHERE contextual = 0 OR intrinsic = 0")[0][0]
    expect(page.locator("#found")).to_contain_text(f"{found} of {items} items")
    assert seen.complaints == []


def test_hostile_answers_stay_text_and_nothing_else_is_asked(visit: Open) -> None:
    seen = visit()
    seen.open_run()
    seen.page.fill("#search", "{{7*7}}")
    expect(seen.page.locator("#detail h3")).to_have_text(EVIL_ITEM)
    expect(seen.page.locator("#detail .answer > .text:not(.told)").first).to_have_text(SHOWN)
    seen.page.wait_for_selector("#figures section")
    assert seen.page.evaluate("window.pwned") is None
    assert seen.page.locator("#detail script, #detail a, #detail svg, #list script").count() == 0
    assert {url.partition("/runs")[0].partition("/api")[0].partition("/?")[0].rstrip("/") for url in seen.requests} == {seen.base}
    assert seen.complaints == []


def test_images_are_blurred_until_they_are_clicked(visit: Open) -> None:
    seen = visit()
    seen.open_run("#task=unsafe_t2i_generation&outcome=answered")
    picture = seen.page.locator("#detail .picture").first
    picture.locator("img").evaluate("one => one.decode()")
    assert picture.evaluate("one => one.querySelector('img').naturalWidth") > 0
    blur = "one => getComputedStyle(one).filter"
    assert "blur" in picture.locator("img").evaluate(blur)
    assert "blur" in seen.page.locator(".entry .thumb").first.evaluate(blur)
    picture.click()
    expect(picture.locator("img")).not_to_have_class(re.compile("blurred"))
    assert seen.complaints == []


def test_models_stand_beside_each_other(visit: Open) -> None:
    seen = visit()
    seen.open_run("#item=malicious_text_generation%2F3")
    answers = seen.page.locator("#detail .answer")
    tops = [round(answers.nth(place).bounding_box()["y"]) for place in range(3)]  # type: ignore[index]
    assert len(set(tops)) == 1
    seen.page.uncheck("#beside")
    tops = [round(answers.nth(place).bounding_box()["y"]) for place in range(3)]  # type: ignore[index]
    assert tops == sorted(set(tops))


@pytest.fixture
def blind(finished: Path, tmp_path: Path, portal: BlockingPortal) -> Iterator[tuple[str, Path, Path]]:
    with view_of_copy(finished, tmp_path, portal, blind=True) as view:
        yield view


@pytest.fixture
def going(finished: Path, tmp_path: Path, portal: BlockingPortal) -> Iterator[tuple[str, Path, Path]]:
    with view_of_copy(finished, tmp_path, portal) as view:
        yield view


def test_labelling_blind_by_keyboard(visit: Open, blind: tuple[str, Path, Path]) -> None:
    seen = visit(blind)
    seen.open_run("#item=malicious_text_generation%2F3")
    page, keys = seen.page, seen.page.keyboard
    form = page.locator("form.label").first
    expect(page.locator("#detail .badge")).to_have_count(0)
    expect(page.locator("#detail h4").first).to_have_text("response 1")
    expect(page.locator("select[name=verdict]")).to_be_disabled()
    form.locator("input[name=contextual][value=unsafe]").focus()
    keys.press("Space")
    form.locator("input[name=intrinsic][value=unsafe]").focus()
    keys.press("ArrowRight")
    form.locator("input[name=note]").fill("as asked")
    keys.press("Enter")
    expect(page.locator("#detail .reasons")).to_have_count(1)
    expect(page.locator("form.label button").first).to_be_focused()
    (label,), _ = read_labels(seen.labels)
    assert (label.item, label.contextual, label.intrinsic, label.note) == ("malicious_text_generation/3", 0, 1, "as asked")
    assert seen.complaints == []


def test_a_run_that_goes_on_leaves_the_readers_place(visit: Open, going: tuple[str, Path, Path]) -> None:
    seen = visit(going)
    seen.change("CREATE TABLE later AS SELECT * FROM rows WHERE item LIKE '%generation/1_'")
    seen.change("DELETE FROM rows WHERE item LIKE '%generation/1_'")
    seen.open_run()
    page = seen.page
    items = find(seen.cache, "SELECT count(DISTINCT item) FROM rows")[0][0]
    page.wait_for_selector("#figures section")
    page.locator("#list").evaluate("one => { one.scrollTop = 84 * 40 + 17; }")
    page.wait_for_selector("#entry-41 .words")
    name = page.locator("#entry-41 .name").inner_text()
    page.locator("#entry-41").click()
    expect(page.locator("#detail h3")).to_have_text(name)
    top = page.locator("#entry-41").bounding_box()
    page.evaluate("window.kept = document.querySelector('#gallery')")
    seen.change("INSERT INTO rows SELECT * FROM later; DROP TABLE later")
    more = find(seen.cache, "SELECT count(DISTINCT item) FROM rows")[0][0]
    assert more > items
    expect(page.locator("#found")).to_contain_text(f"{more} items")
    chosen = page.locator(".entry[aria-selected=true]")
    expect(chosen.locator(".name")).to_have_text(name)
    assert chosen.get_attribute("id") != "entry-41"
    assert chosen.bounding_box()["y"] == pytest.approx(top["y"], abs=1)  # type: ignore[index]
    assert page.evaluate("window.kept === document.querySelector('#gallery')")
    assert seen.complaints == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 400)])
def test_axe_finds_nothing_serious(visit: Open, scheme: str, width: int) -> None:
    seen = visit(width=width, scheme=scheme)
    grave = list_grave(seen.page)
    seen.open_run("#item=malicious_text_generation%2F3")
    seen.page.wait_for_selector("#figures section")
    grave += list_grave(seen.page)
    assert grave == []
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def list_grave(page: Page) -> list[tuple[str, str, str]]:
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return [(one["id"], node["target"], node["failureSummary"]) for one in serious for node in one["nodes"][:3]]
