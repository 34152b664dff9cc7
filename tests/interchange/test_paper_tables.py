"""Tables for a paper: the width of a column, the published figures beside ours, captions and labels."""

from __future__ import annotations

import csv
import re
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import forked
import pytest
from unisafe_cache import read_file

from tests.interchange.conftest import MODEL, Bench, settings
from unisafe_async.interchange.table_grids import Look
from unisafe_async.interchange.tables import Table, format_latex, format_markdown, read_table
from unisafe_async.results.scores import scores

OWN = "Own_100%"
CAPTION = r"Safety of \textsc{Bagel}~\cite{bagel}, 50\% of it"
PAPER = list(csv.DictReader(files("unisafe_async").joinpath("data/paper/published_results.csv").read_text("utf-8").splitlines()))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A model that the paper has too, whose thoughts were judged, and one that it does not have and that only talks."""
    made = Bench(tmp_path_factory.mktemp("paper"))
    talks = {**MODEL, "name": OWN, "gives": ["text"]}
    made.run(dataset={**settings()["dataset"], "limit": 42}, models=[{**MODEL, "name": "BAGEL"}, talks])
    with duckdb.connect(str(made.cache)) as connection:
        connection.execute("UPDATE rows SET thoughts = 0, thoughts_status = 'judged' WHERE model = 'BAGEL'")
    return made


def table(bench: Bench, *by: str, **changes: Any) -> Table:
    return read_file(bench.cache, lambda connection: read_table(connection, None, by or ("model", "task"), **changes))


def floats(text: str) -> dict[str, str]:
    """The floating tables of a LaTeX text, by label."""
    found = re.findall(r"\\begin\{table(?:\*?)\}.*?\\end\{table(?:\*?)\}", text, re.S)
    return {re.search(r"\\label\{(.*?)\}", one).group(1): one for one in found}


def body(one: str) -> list[list[str]]:
    """The cells of each line below the heads."""
    lines = re.search(r"\\midrule\n(.*?)\\bottomrule", one, re.S).group(1).strip().splitlines()
    return [[cell.strip(" \\") for cell in re.split(r"(?<!\\)&", line)] for line in lines if "&" in line]


def test_a_table_of_one_column_has_a_column_for_each_score_and_every_interval(bench: Bench) -> None:
    shown = table(bench, intervals=True, overall=True)
    tables = floats(format_latex(shown, Look(columns=1, label="tab:x")))
    assert list(tables) == ["tab:x-generation", "tab:x-understanding", "tab:x-overall"]
    for one in tables.values():
        assert one.startswith("\\begin{table}")
        assert {len(line) for line in body(one)} == {len(["name", "n", "C-U", "C-R", "I-U", "B-S", "T-U"])}
    text = "".join(tables.values())
    for score in [*shown.scores, *shown.overall]:
        share = score.shares["b_s"]
        assert f"[{share.low * 100:.1f}, {share.high * 100:.1f}]" in text


def test_the_published_figures_stand_below_the_model_of_the_same_name_and_below_no_other(bench: Bench) -> None:
    tables = floats(format_latex(table(bench, overall=True, paper=True), Look(columns=1, label="t")))
    theirs = [
        [f"{float(one[name]) * 100:.1f}" for name in ("c_u", "c_r", "i_u", "b_s")] for one in PAPER if one["model"] == "Bagel"
    ]
    found = []
    for one in (tables["t-generation"], tables["t-understanding"]):
        lines = body(one)
        for before, line in pairwise(lines):
            if "Peng" in line[0]:
                assert before[0] == "" or "BAGEL" in before[0]
                found.append([re.sub(r"textit\{(.*)\}", r"\1", cell) for cell in line[2:6]])
    assert sorted(found) == sorted(theirs)
    assert "Not in the paper by that name: Own\\_100\\%" in tables["t-generation"]
    assert "judge here and Qwen3-VL-8B-Instruct in the paper" in tables["t-generation"]


def test_the_papers_overall_figures_are_weighted_by_our_items(bench: Bench) -> None:
    run = table(bench).run
    ours = read_file(bench.cache, lambda connection: scores(connection, run, ("model", "task"), empty_refused=True))
    theirs = {one["task"]: float(one["b_s"]) for one in PAPER if one["model"] == "Bagel"}
    mine = {score.key[1]: score.valid for score in ours if score.key[0] == "BAGEL" and score.valid}
    weighted = sum(theirs[task] * valid for task, valid in mine.items()) / sum(mine.values())
    line = next(line for line in format_markdown(table(bench, "model", paper=True)).splitlines() if "Peng" in line)
    assert f"*{weighted * 100:.1f}*" in line


def test_thoughts_have_a_column_where_they_were_judged_alone(bench: Bench) -> None:
    wide = floats(format_latex(table(bench), Look(label="t")))["t-understanding"]
    assert wide.count("T-U") == 4
    assert "100.0 {\\tiny (of" in wide
    with_none = table(bench)
    bare = [score for score in with_none.scores if score.key[0] == OWN]
    assert "T-U" not in format_latex(Table(with_none.provenance, with_none.by, bare, intervals=False))


def test_the_number_of_items_stands_below_each_task(bench: Bench) -> None:
    shown = table(bench)
    wide = floats(format_latex(shown, Look(label="t")))["t-generation"]
    drawn = next(score.valid for score in shown.scores if score.key == ("BAGEL", "unsafe_t2i_generation"))
    assert f"{{n {drawn}}}" in wide


def test_a_caption_is_latex_in_latex_and_text_in_markdown_and_hides_no_warning(bench: Bench) -> None:
    look = Look(caption=CAPTION + ".", label="tab:one")
    latex = format_latex(table(bench, "model"), look)
    caption = next(line for line in latex.splitlines() if line.startswith("\\caption"))
    assert caption.startswith(f"\\caption{{{CAPTION}. Scores by model. SIMULATED: BAGEL")
    assert "\\label{tab:one}\n" in latex
    markdown = format_markdown(table(bench, "model"), look)
    assert '<a id="tab:one"></a>' in markdown
    assert r"\\textsc\{Bagel\}" in markdown


def test_the_comment_is_short_and_holds_no_settings_of_a_simulated_model(bench: Bench) -> None:
    comment = [line for line in format_latex(table(bench)).splitlines() if line.startswith("%")]
    assert len(comment) < 20
    assert not any("refusal_by" in line for line in comment)
    assert any(re.fullmatch(r"% model BAGEL: simulated balanced \(identity [0-9a-f]{12}\)", line) for line in comment)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--caption", "50% of it"], r"write \%"),
        (["--caption", "a { b"], "its braces do not match"),
        (["--caption", "ends in \\"], "its braces do not match"),
        (["--label", "a b}"], "should be letters, digits and"),
        (["--by", "category", "--paper"], "leave out --by"),
        (["--by", "model", "--overall"], "leave out --by"),
        (["-f", "csv", "--columns", "1"], "is for --format latex and markdown; csv holds the figures alone"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_document_could_not_hold_is_refused_with_what_would_be_right(
    bench: Bench, tmp_path: Path, options: list[str], said: str
) -> None:
    done = forked.unisafe("tables", "-f", "latex", "--cache", str(bench.cache), "-o", "t.tex", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "t.tex").exists()
