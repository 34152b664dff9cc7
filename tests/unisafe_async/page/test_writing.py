"""Writing the page and the figures: what is refused, what stays out and is said, and what the page claims."""

from __future__ import annotations

import html
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import anyio
import duckdb
import pytest
from PIL import Image as Picture
from typer.testing import CliRunner
from unisafe_providers.base import digest_of

from tests.unisafe_async.page.conftest import Pages
from unisafe_async import ConfigError, UsageError, evaluate, parse_config
from unisafe_async.cli import app
from unisafe_async.page.errors import PageError
from unisafe_async.page.headline import Headline, build_headline
from unisafe_async.page.images import embed_images, store_in
from unisafe_async.page.write import write_page
from unisafe_async.results.comparison import Difference
from unisafe_async.results.ranking import RankedModel, Ranking
from unisafe_async.results.scores import Score, Share


def test_a_file_that_is_no_page_of_ours_is_never_written_over(pages: Pages, tmp_path: Path) -> None:
    mine = tmp_path / "thesis.html"
    mine.write_text("<p>three years of work")
    with pytest.raises(PageError, match="is no page of ours"):
        write_page(pages.cache, mine)
    assert mine.read_text() == "<p>three years of work"
    with pytest.raises(PageError, match="is a folder"):
        write_page(pages.cache, tmp_path)
    with pytest.raises(PageError, match="there is no folder"):
        write_page(pages.cache, tmp_path / "none" / "page.html")
    with pytest.raises(PageError, match="keep one of the two"):
        write_page(pages.cache, tmp_path / "page.html", images=tmp_path / "i", embed=True)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.html"]


def test_a_page_is_replaced_by_a_newer_one_and_nothing_is_left_beside_it(pages: Pages, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    write_page(pages.cache, file)
    write_page(pages.cache, file, embed=True)
    assert "data:image/webp" not in file.read_text("utf-8").partition("</head>")[0]
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def attributes(markup: str) -> set[str]:
    """The names of all attributes that tags in `markup` have, as a browser reads it."""

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.update(name for name, _ in attrs)

    found: set[str] = set()
    Reader().feed(markup)
    return found


def test_nothing_in_the_file_leads_elsewhere(pages: Pages) -> None:
    text = pages.embedded.read_text("utf-8")
    assert "default-src 'none'" in html.unescape(text)
    assert "unsafe-inline" not in text
    markup = text.partition("<main>")[2].partition('<script type="application/json"')[0]
    assert set(re.findall(r'href="([^#"][^"]*)"', markup)) == set()
    assert not {name for name in attributes(markup) if name in ("style", "src") or name.startswith("on")}


def test_an_image_folder_that_is_a_file_is_one_clear_error(pages: Pages, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PageError, match="is a file; name a folder"):
        write_page(pages.cache, tmp_path / "page.html", images=tmp_path / "file")


def test_what_is_no_picture_stays_out(tmp_path: Path) -> None:
    written = io.BytesIO()
    Picture.new("RGB", (900, 300)).save(written, "PNG")
    png = written.getvalue()
    given = [
        (digest_of(data), data) for data in (png, png[:60], b"<svg onload='alert(1)'/>", b"<script>alert(1)</script>", b"GIF89a")
    ]
    small, beside = embed_images(given), store_in(tmp_path / "pictures", tmp_path / "page.html", given)
    assert set(small.data) == {digest_of(png)}
    assert set(beside.names) <= {digest_of(png), digest_of(png[:60])}
    assert beside.base == "pictures"
    assert (tmp_path / "pictures" / f"{digest_of(png)}.png").read_bytes() == png


def test_the_command_writes_and_its_mistakes_are_one_line(pages: Pages, tmp_path: Path) -> None:
    run = CliRunner().invoke
    done = run(app, ["report", "--cache", str(pages.cache), "--html", str(tmp_path / "page.html")])
    assert done.exit_code == 0
    assert "page.html: 0." in done.output
    alone = run(app, ["report", "--cache", str(pages.cache), "--embed"])
    assert isinstance(alone.exception, UsageError)
    lonely = run(app, ["report", "--cache", str(pages.cache), "--columns", "1"])
    assert isinstance(lonely.exception, UsageError)


def test_the_command_writes_the_same_figures_of_the_same_run_byte_for_byte(pages: Pages, figures: Path, tmp_path: Path) -> None:
    files = [f"--{kind}={tmp_path / f'f.{kind}'}" for kind in ("png", "svg", "pdf")]
    done = CliRunner().invoke(app, ["report", "--cache", str(pages.cache), *files])
    assert done.exit_code == 0
    names = {f"f-{name}.{kind}" for name in ("outcomes", "panels", "heatmap", "scatter") for kind in ("png", "svg", "pdf")}
    assert {file.name for file in tmp_path.iterdir()} == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (figures / name).read_bytes(), name


def test_a_dataset_that_is_gone_is_said(tmp_path: Path) -> None:
    lines = '{"id": 1, "task": "malicious_text_generation", "prompt": "p", "category": "Politics"}\n'
    (tmp_path / "own.jsonl").write_text(lines)
    nobody = {"provider": "openai", "base_url": "http://127.0.0.1:9/v1", "max_tries": 1}
    table = {
        "dataset": {"source": str(tmp_path / "own.jsonl")},
        "cache": {"path": str(tmp_path / "run.duckdb")},
        "judge": {"provider": "simulated", "model": "judge"},
        "models": [{**nobody, "name": "m", "model": "m"}],
    }
    anyio.run(evaluate, parse_config(table))
    there = write_page(tmp_path / "run.duckdb", tmp_path / "page.html")
    assert there.lacking == ()
    empty = there.file.read_text("utf-8").partition('<script type="application/json"')[0]
    assert "Nothing has been judged yet." in empty
    assert "0 of 1</span>" in empty
    assert re.findall(r'<section id="(\w+)"', empty) == ["overview", "cost", "gallery", "provenance"]
    assert re.findall(r'<a href="#(\w+)">', empty) == ["overview", "cost", "gallery", "provenance"]
    (tmp_path / "own.jsonl").unlink()
    gone = write_page(tmp_path / "run.duckdb", tmp_path / "page.html")
    assert "the dataset cannot be opened" in gone.lacking[0]


def score(model: str, value: float, valid: int = 200, items: int = 200) -> Score:
    share, rest = Share(value, value - 0.05, value + 0.05), Share(0.1, 0.0, 0.2)
    return Score(key=(model,), items=items, valid=valid, shares={"c_u": rest, "c_r": rest, "i_u": rest, "b_s": share})


def said(given: list[Score], p: float, tasks: tuple[str, ...] = ("dual_unsafe_vqa",), same: bool = True) -> Headline:
    known = {one.key[0]: one for one in given}
    order = sorted(given, key=lambda one: -one.shares["b_s"].value)
    standings = [RankedModel(one.key[0], one.valid, one.items, one.shares["b_s"]) for one in order]
    duels = {
        one.key[0]: Difference(
            task="all",
            score="b_s",
            pairs=150,
            first=0.9,
            second=0.7,
            low=0.1,
            high=0.3,
            only_first=40,
            only_second=10,
            p=p,
            corrected=p,
        )
        for one in order[1:]
    }
    return build_headline(
        [*known, "Unjudged"], known, Ranking(tasks=tasks, same_tasks=same, ranked=tuple(standings) if tasks else ()), duels
    )


@pytest.mark.parametrize(
    ("given", "p", "answer"),
    [
        ([], 1.0, "Nothing has been judged yet."),
        ([score("A", 0.9)], 1.0, "A is safe by both verdicts on 90.0% (95% interval 85.0 to 95.0) of its items."),
        ([score("A", 0.7), score("B", 0.9)], 0.001, "B is safest: B-S 90.0% against 70.0% of A."),
        ([score("A", 0.9), score("B", 0.7)], 0.2, "A scores best, with B-S 90.0%, but not clearly ahead of B (70.0%)."),
        ([score("A", 0.9), score("B", 0.9)], 1.0, "A and B are level: B-S 90.0%."),
    ],
)
def test_the_headline_claims_no_more_than_the_verdicts_carry(given: list[Score], p: float, answer: str) -> None:
    found = said(given, p)
    assert found.answer == answer
    assert "Unjudged: nothing judged" in " ".join(found.notes)


def test_models_that_share_no_task_are_not_ranked() -> None:
    found = said([score("A", 0.9), score("B", 0.7)], 0.001, tasks=())
    assert found.answer.startswith("A has the highest B-S of what it was asked: 90.0%")
    assert "none can be called the safest" in found.notes[0]


def test_models_that_share_no_task_and_are_level_are_both_named() -> None:
    found = said([score("A", 0.9), score("B", 0.9)], 1.0, tasks=())
    assert found.answer == "A and B are level at the highest B-S of what each was asked: 90.0%."


def test_the_headline_says_what_unjudged_items_could_change() -> None:
    notes = " ".join(said([score("A", 0.9, valid=100), score("B", 0.7)], 0.01).notes)
    assert "100 items of A are unjudged and in no score; if all were unsafe its B-S over all its items would be 45.0%." in notes


def test_the_page_holds_only_what_was_chosen(pages: Pages, tmp_path: Path) -> None:
    run = CliRunner().invoke
    chosen = ["--model", "Unified", "--task", "dual_unsafe_vqa"]
    file = tmp_path / "page.html"
    done = run(app, ["report", "--cache", str(pages.cache), "--html", str(file), *chosen])
    assert done.exit_code == 0, done.output
    text = file.read_text("utf-8")
    with duckdb.connect(str(pages.cache), read_only=True) as connection:
        found = connection.execute("SELECT count(*) FROM rows WHERE model = 'Unified' AND task = 'dual_unsafe_vqa'").fetchone()
    assert found is not None
    assert f"Unpacking {found[0]} items" in text
    assert "report.models = Unified; report.tasks = dual_unsafe_vqa" in text


def test_utility_is_a_number_from_0_to_100() -> None:
    judge = {"provider": "simulated", "model": "judge"}
    model = {"name": "m", "provider": "simulated", "model": "cautious", "utility": 161}
    with pytest.raises(ConfigError, match=r"models\[0\]\.utility"):
        parse_config({"judge": judge, "models": [model]})
