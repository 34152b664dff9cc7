"""A run whose answers are hostile, and Debian's Chromium to open its page in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import duckdb
import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.unisafe_async.test_comparison import on_file, record, row
from unisafe_async import evaluate, parse_config
from unisafe_async.benchmark.taxonomy import CATEGORIES
from unisafe_async.page.write import write_page, write_plots

EVIL = (
    "<script>window.pwned=1</script></script><img src=x onerror='window.pwned=1'><svg onload=window.pwned=1> "
    "<a href='javascript:window.pwned=1'>a</a> {{7*7}} <!-- ]]> &lt;b&gt; \x1b[31mred\x07 \u202eleft\u2066 \u2028line\u2029 \x00null"
)
SHOWN = EVIL.replace("\x1b", "\u241b").replace("\x07", "\u2407").replace("\x00", "\u2400").replace("\u202e", "\ufffd")
SHOWN = SHOWN.replace("\u2066", "\ufffd")
"""How the page shows it: every control and format character has a stand-in."""
EVIL_THOUGHTS = f"I plan it. {EVIL}"
EVIL_MODEL = "<img src=x onerror=window.pwned=1>{{7*7}}"
EVIL_ITEM = 'malicious_text_generation/"><script>window.pwned=1</script>&item=x#%20'


@dataclass(frozen=True)
class Pages:
    """A finished run and its page, three times: without images, with them inside, and with them beside it.

    `heat` is the page of another run: two models of every level of B-S, one with 40 items a category and one with 10.
    """

    cache: Path
    bare: Path
    embedded: Path
    beside: Path
    images: Path
    heat: Path


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    folder = tmp_path_factory.mktemp("page")
    simulated = {"provider": "simulated", "takes": ["text", "image"]}
    both = {**simulated, "gives": ["text", "image"]}
    settings = {
        "cache": {"path": str(folder / "run.duckdb")},
        "judge": {**simulated, "model": "judge", "simulation": {"judge_blocked": 0.03}},
        "models": [
            {**both, "name": "Unified", "model": "permissive", "backbone": "Language", "utility": 61.2},
            {"provider": "simulated", "name": "Language", "model": "cautious", "utility": 70},
            {**simulated, "name": EVIL_MODEL, "model": "balanced"},
        ],
    }
    anyio.run(evaluate, parse_config(settings))
    cache = folder / "run.duckdb"
    with duckdb.connect(str(cache)) as connection:
        poison(connection)
    written = Pages(
        cache, folder / "bare.html", folder / "embedded.html", folder / "beside.html", folder / "pictures", heat_page(folder)
    )
    write_page(cache, written.bare)
    write_page(cache, written.embedded, embed=True)
    write_page(cache, written.beside, images=written.images)
    return written


@pytest.fixture(scope="session")
def figures(pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the figures of the run as PNG, SVG and PDF: `f-NAME.KIND`."""
    folder = tmp_path_factory.mktemp("figures")
    write_plots(pages.cache, None, folder / "f.png", folder / "f.svg", pdf=folder / "f.pdf")
    return folder


def heat_page(folder: Path) -> Path:
    """A page from hand-made rows: in six categories the share of safe items rises from none to all, and many or few stand behind
    it.
    """
    rows, number = [], 0
    for place, category in enumerate(CATEGORIES):
        for model, items in (("many", 40), ("few", 10)):
            for item in range(items):
                labels = (1, 1) if item < items * place / 5 else (0, 0)
                number += 1
                made = row(number, labels, model=model, category=category)
                rows.append(replace(made, subcategory=CATEGORIES[category][0]))
    (folder / "heat").mkdir()
    anyio.run(on_file, folder / "heat", rows, lambda _: None, record(many=None, few=None))
    return write_page(folder / "heat" / "c.duckdb", folder / "heat.html").file


def poison(connection: duckdb.DuckDBPyConnection) -> None:
    """Put hostile text wherever a model, a judge, a platform or a dataset could: in the answers to one item, and into its name."""
    first = "malicious_text_generation/1"
    requests = json.dumps({"kind": "chat", "parts": [{"text": EVIL}], "sample": 0})
    connection.execute(
        "UPDATE responses SET text = ?, reason = ?, thoughts = ?, missing = ?, model = ?, request = ? "
        "WHERE id IN (SELECT response FROM rows WHERE item = ?)",
        [EVIL, EVIL, EVIL_THOUGHTS, EVIL, EVIL, requests, first],
    )
    connection.execute(
        "UPDATE rows SET thoughts = 0, thoughts_status = 'judged', thoughts_reason = $1, beside_contextual = 2, beside_intrinsic = 1, "
        "beside_status = 'judged', beside_reason = $1, categories = $2 WHERE item = $3",
        [EVIL, json.dumps([EVIL, "Politics"]), first],
    )
    connection.execute(
        "UPDATE rows SET contextual_reason = ?, intrinsic_reason = ?, intrinsic_raw = ?, judge = ?, error = ?, item = ? WHERE item = ?",
        [EVIL, EVIL, EVIL, EVIL, EVIL, EVIL_ITEM, first],
    )


def chromium() -> str:
    """Debian's Chromium. It is installed where that can be done; a machine without it fails the tests and says what to do."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run("apt-get update -qq && apt-get install -y -qq chromium", shell=True, check=False, capture_output=True)
        found = shutil.which("chromium")
    if found is None:
        pytest.fail("the page is tested in Chromium: `apt-get install -y chromium`, or name a browser in the variable CHROMIUM")
    return found


@pytest.fixture(scope="module")
def browser(pages: Pages) -> Iterator[Browser]:
    """It starts after `pages` is made: an event loop of ours and Playwright's cannot run at once."""
    quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=quiet)
        yield running
        running.close()
