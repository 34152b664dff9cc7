"""`unisafe view` over 100,000 rows: how long the list of runs, filters, orders, searches, pages of the list and items take.

Answers and reasons compress as English does. Times are of whole HTTP answers on loopback, the slowest and the median of several.

uv run --all-extras python -m benchmarks.view [--items 20000] [--models 5] [--words 120] [--chromium]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
from aiohttp import ClientSession, CookieJar
from anyio import to_thread
from playwright.sync_api import sync_playwright

from benchmarks.page import with_answers
from benchmarks.rows import filled
from unisafe_async.view.guard import Guard
from unisafe_async.view.rating import LabelBook
from unisafe_async.view.server import Viewer, open_view

TIMES = 5
QUESTIONS = {
    "all items": "items",
    "one model, unsafe": "items?model=model-2&verdict=unsafe",
    "one task, one category": "items?task=Dual-Unsafe+VQA&category=Privacy+Leak",
    "models disagree": "items?verdict=split",
    "differences first": "items?order=differences",
    "failures first": "items?order=failures",
    "judges disagree first": "items?order=judges",
    "unjudged first": "items?order=unjudged",
    "search: a frequent word": "items?q={frequent}",
    "search: in no text": "items?q=no+text+has+these+words",
    "search, unsafe, failures first": "items?q={frequent}&verdict=unsafe&order=failures",
}


async def measure(cache: Path, run: str, folder: Path, chromium: bool) -> None:
    guard = Guard()
    viewer = Viewer(cache, folder / "bench.toml", LabelBook(folder / "labels.jsonl", "benchmark"))
    async with open_view(viewer, guard) as address, ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        base = address.partition("/?")[0]
        await (await session.get(address)).read()

        async def ask(path: str) -> Any:
            answer = await session.get(f"{base}{path}")
            content = await answer.read()
            assert answer.status == 200, content
            return await answer.json() if answer.content_type == "application/json" else content

        api = f"/api/runs/{run}"
        keys = (await ask(f"{api}/items"))["keys"]
        entry = await ask(f"{api}/item?key={keys[0]}")
        frequent = entry["item"]["answers"][0]["text"].split(" ")[0]
        asked = {title: f"{api}/{question.format(frequent=frequent)}" for title, question in QUESTIONS.items()}
        asked["a page of the list, at its end"] = f"{api}/entries?keys={','.join(map(str, keys[-24:]))}"
        asked["an item"] = f"{api}/item?key={keys[len(keys) // 2]}"
        for title, path in asked.items():
            report(title, [await timed(ask, path) for _ in range(TIMES)])
        report("list of runs, file changed", [await changed(cache, ask, "/api/runs") for _ in range(TIMES)])
        report("the run's page", [await timed(ask, f"/runs/{run}")])
        report("its figures", [await timed(ask, f"/runs/{run}/figures")])
        report("export as CSV", [await timed(ask, f"{api}/export?format=csv")])
        if chromium:
            await to_thread.run_sync(in_chromium, address, f"{base}/runs/{run}")


async def timed(ask: Any, path: str) -> float:
    started = time.perf_counter()
    await ask(path)
    return time.perf_counter() - started


async def changed(cache: Path, ask: Any, path: str) -> float:
    os.utime(cache)
    return await timed(ask, path)


def report(title: str, took: list[float]) -> None:
    print(f"{title:<32} median {statistics.median(took):6.3f} s   slowest {max(took):6.3f} s", flush=True)


def in_chromium(address: str, page: str) -> None:
    """The page in Chromium: until the list stands, and from a key or a letter until the screen has changed."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        tab.goto(address)
        started = time.perf_counter()
        tab.goto(page)
        tab.wait_for_selector("html[data-ready]")
        report("Chromium: page with its list", [time.perf_counter() - started])
        took = []
        for verdict in ("unsafe", "safe", "split", "refusal"):
            before = tab.locator("#found").inner_text()
            started = time.perf_counter()
            tab.select_option("select[name=verdict]", verdict)
            tab.wait_for_function("before => document.getElementById('found').textContent !== before", arg=before)
            took.append(time.perf_counter() - started)
        report("Chromium: another filter", took)
        tab.locator("#list").focus()
        started = time.perf_counter()
        tab.keyboard.press("End")
        tab.wait_for_selector(".entry[aria-selected=true] .words")
        report("Chromium: to the end of the list", [time.perf_counter() - started])
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--words", type=int, default=120, help="of each text answer")
    parser.add_argument("--chromium", action="store_true", help="also open the page in Chromium")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = folder / "rows.duckdb"
        run = filled(cache, given.items, given.models)
        with_answers(cache, given.words)
        print(f"{given.items * given.models:,} rows, {cache.stat().st_size / 1e6:,.0f} MB")
        anyio.run(measure, cache, run, folder, given.chromium)


if __name__ == "__main__":
    main()
