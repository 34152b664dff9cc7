"""The page of 3,000 items x 5 models: how long it takes to write, how large it is, and how soon Chromium has it open.

The baseline is the obvious way: the same rows as plain JSON in the page, and an element for every answer at once.

uv run --all-extras python -m benchmarks.page [--items 3000] [--models 5] [--words 220]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import duckdb
from playwright.sync_api import Browser, sync_playwright

from benchmarks.rows import filled
from unisafe_async.page.write import write_page

RUNS = 5
NAIVE = """<!doctype html><meta charset=utf-8><div id=all></div><script type="application/json" id=data>{data}</script>
<script>
for (const row of JSON.parse(document.getElementById("data").textContent)) {{
  const card = document.createElement("article");
  for (const [name, value] of Object.entries(row)) {{
    const line = document.createElement("p");
    line.textContent = name + ": " + value;
    card.append(line);
  }}
  document.getElementById("all").append(card);
}}
document.body.offsetHeight;
document.documentElement.dataset.ready = "true";
</script>"""


def with_answers(path: Path, words: int) -> None:
    """Answers and reasons that compress as English does: 4,000 made-up words, drawn by Zipf's law, each text its own."""
    draw = random.Random(7)
    letters = "etaoinshrdlucmfwypvbgk"
    vocabulary = ["".join(draw.choices(letters, range(22, 0, -1), k=draw.randint(2, 9))) for _ in range(4_000)]
    weights = [1 / (rank + 2) for rank in range(len(vocabulary))]

    def text(length: int) -> str:
        return " ".join(draw.choices(vocabulary, weights, k=length))

    with duckdb.connect(str(path)) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM responses WHERE text <> '' AND finish = 'stop'").fetchall()]
        connection.execute("CREATE TEMP TABLE texts (id BIGINT, text VARCHAR, reason VARCHAR, other VARCHAR)")
        appender = connection.appender("texts")
        appender.append_rows([(one, text(words), text(30), text(30)) for one in ids])
        appender.flush()
        connection.execute("UPDATE responses SET text = texts.text FROM texts WHERE texts.id = responses.id")
        connection.execute(
            "UPDATE rows SET contextual_reason = texts.reason, intrinsic_reason = texts.other FROM texts WHERE texts.id = response"
        )


def naive(path: Path, file: Path) -> None:
    with duckdb.connect(str(path), read_only=True) as connection:
        cursor = connection.execute(
            "SELECT item, rows.model, outcome, contextual, contextual_reason, intrinsic, intrinsic_reason, text, request "
            "FROM rows LEFT JOIN responses ON response = id"
        )
        names = [column[0] for column in cursor.description or ()]
        records = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    file.write_text(NAIVE.format(data=json.dumps(records).replace("<", "\\u003c")), "utf-8")


def opened(browser: Browser, file: Path) -> float:
    """Seconds from asking for the page until every item is there and the list is drawn; median of fresh contexts."""
    took = []
    for _ in range(RUNS):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        started = time.perf_counter()
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]")
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        took.append(time.perf_counter() - started)
        context.close()
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=3_000)
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--words", type=int, default=220, help="of each text answer")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = folder / "rows.duckdb"
        filled(cache, given.items, given.models)
        with_answers(cache, given.words)
        ours, plain = folder / "page.html", folder / "plain.html"
        write_page(cache, ours)  # matplotlib is imported and its fonts are known
        started = time.perf_counter()
        write_page(cache, ours)
        ours_took = time.perf_counter() - started
        started = time.perf_counter()
        naive(cache, plain)
        plain_took = time.perf_counter() - started
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
            for title, file, took in (("page", ours, ours_took), ("plain JSON, all at once", plain, plain_took)):
                size, seconds = file.stat().st_size / 1e6, opened(browser, file)
                print(f"{title:<24} written in {took:5.2f} s  {size:6.2f} MB  open in {seconds:5.2f} s (median of {RUNS})")
            browser.close()


if __name__ == "__main__":
    main()
