"""Tables and rows, read back by readers that know nothing of what wrote them."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import duckdb
import forked
import pytest
from unisafe_cache import read_file

from tests.interchange.conftest import HOSTILE, Bench
from unisafe_async.interchange.cells import find_beyond_pdflatex, to_csv_cell, to_latex_cell, to_markdown_cell
from unisafe_async.interchange.rows import WRITERS
from unisafe_async.interchange.tables import format_csv, format_json, format_latex, format_markdown, read_table, to_parquet
from unisafe_async.results.provenance import read_provenance, to_html_comment, to_lines
from unisafe_async.results.scores import Score, scores

SHARES = ("c_u", "c_r", "i_u", "b_s")


def newest(bench: Bench) -> str:
    return read_file(bench.cache, lambda connection: str(connection.execute("SELECT run FROM runs").fetchone()[0]))


def truth(bench: Bench, *by: str) -> dict[tuple[str, ...], Score]:
    run = newest(bench)
    return {score.key: score for score in read_file(bench.cache, lambda connection: scores(connection, run, by))}


def table(bench: Bench, *by: str, intervals: bool = False):
    return read_file(bench.cache, lambda connection: read_table(connection, None, by or ("model", "task"), intervals=intervals))


def uncommented(text: str, mark: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(mark)]


def shown(name: str) -> str:
    """A model's name as a spreadsheet may hold it."""
    return f"'{name}" if name == HOSTILE else name


def test_csv_holds_every_score_and_its_interval(finished: Bench) -> None:
    text = format_csv(table(finished, intervals=True))
    found = {(line["model"], line["task"]): line for line in csv.DictReader(io.StringIO(text))}
    expected = truth(finished, "model", "task")
    assert len(found) == len(expected) == 14
    for (model, task), score in expected.items():
        line = found[shown(model), task]
        assert (int(line["items"]), int(line["valid"])) == (score.items, score.valid)
        for name in SHARES:
            share = score.shares[name]
            assert (float(line[name]), float(line[f"{name}_low"]), float(line[f"{name}_high"])) == (
                share.value,
                share.low,
                share.high,
            )
    assert any(score.valid < score.items for score in expected.values())


def test_json_and_parquet_hold_the_same_scores(finished: Bench, tmp_path: Path) -> None:
    chosen = table(finished, "category", "model")
    document = json.loads(format_json(chosen))
    to_parquet(chosen, tmp_path / "t.parquet")
    columns = ["category", "model", "items", "valid", *SHARES]
    rows = duckdb.sql(f"SELECT {', '.join(columns)} FROM '{tmp_path / 't.parquet'}'").fetchall()
    assert [tuple(score[column] for column in columns) for score in document["scores"]] == rows
    expected = truth(finished, "category", "model")
    assert {row[:2]: row[4:] for row in rows} == {
        key: tuple(score.shares[name].value for name in SHARES) for key, score in expected.items()
    }
    stored = duckdb.sql(
        f"SELECT value FROM parquet_kv_metadata('{tmp_path / 't.parquet'}') WHERE decode(key) = 'unisafe'"
    ).fetchall()[0]
    assert json.loads(stored[0]) == document["provenance"]
    assert document["provenance"]["filters"] == {"report.by": ["category", "model"]}


def test_latex_has_the_papers_two_panels_with_the_best_in_bold(finished: Bench) -> None:
    text = format_latex(table(finished))
    panels = re.findall(r"\\begin\{table\*\}.*?\\end\{table\*\}", text, re.S)
    expected = truth(finished, "model", "task")
    assert len(panels) == 2
    for panel, titles in zip(panels, (("Malicious Text", "T2I", "Editing"), ("Dual", "Image", "Text", "Composite")), strict=True):
        spec = re.search(r"\\begin\{tabular\}\{(l?r+|lr+)\}", panel)
        assert spec is not None
        body = re.search(r"\\midrule\n(.*?)\\bottomrule", panel, re.S).group(1).strip().splitlines()
        assert len(body) == 2
        for line in body:
            assert len(re.split(r"(?<!\\)&", line)) == len(spec.group(1)) == 1 + 4 * len(titles)
            assert line.endswith(r"\\")
        assert all(f"{title}" in panel for title in titles)
        assert r"\toprule" in panel
    generation = panels[0]
    line = next(line for line in generation.splitlines() if line.startswith("{Sim-B}"))
    cells = [cell.strip().removeprefix("\\") for cell in line.split("&")[1:5]]
    for cell, name in zip(cells, SHARES, strict=True):
        mine = round(expected["Sim-B", "malicious_text_generation"].shares[name].value * 100, 1)
        other = round(expected[HOSTILE, "malicious_text_generation"].shares[name].value * 100, 1)
        best = {"c_u": mine <= other, "i_u": mine <= other, "b_s": mine >= other, "c_r": False}[name]
        assert cell.startswith("textbf{") is best
        assert f"{mine:.1f}" in cell


def test_a_hostile_name_stays_text_in_latex_and_markdown(finished: Bench) -> None:
    latex = "\n".join(uncommented(format_latex(table(finished)), "%"))
    assert latex.count(r"\end{table*}") == 2
    assert r"\char34{}x\char34{}" in latex, "LaTeX's own encoding has no \\textquotedbl"
    assert r"\end{table}" not in latex
    assert not re.search(r"(?<!\\)[$#%]", latex)
    for line in latex.splitlines():
        assert line.replace(r"\{", "").replace(r"\}", "").count("{") == line.replace(r"\{", "").replace(r"\}", "").count("}")
    markdown = format_markdown(table(finished))
    assert markdown.count("<!--") == markdown.count("-->") == 1
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    widths = {len(re.split(r"(?<!\\)\|", line)) - 2 for line in rows}
    assert widths == {13, 17}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "\n=1"])
def test_no_spreadsheet_runs_a_cell(text: str) -> None:
    assert str(to_csv_cell(text)).startswith("'")


def test_cells_keep_ordinary_text_and_show_control_characters() -> None:
    assert to_csv_cell("a - b = c") == "a - b = c"
    assert to_csv_cell("two\nlines") == "two\nlines"
    assert to_csv_cell("\x1b[31mred\x00\u202e") == "\u241b[31mred\u2400\ufffd"
    assert to_csv_cell(-0.5) == -0.5
    assert to_latex_cell("50% of \\input{x} & #1\x1b\n^^M") == (
        r"50\% of \textbackslash{}input\{x\} \& \#1? \textasciicircum{}\textasciicircum{}M"
    )
    assert find_beyond_pdflatex("Émile – “Łódź” 50 € …") == ""
    assert find_beyond_pdflatex("模型 Ω 模") == "模型Ω"
    assert to_markdown_cell("a|b\n<script>[x](y)") == r"a\|b &lt;script&gt;\[x\]\(y\)"


def test_rows_hold_every_response_in_every_format(finished: Bench, tmp_path: Path) -> None:
    run = newest(finished)
    for ending, write in WRITERS.items():
        path = tmp_path / f"rows.{ending}"
        assert read_file(finished.cache, lambda connection, write=write, path=path: write(connection, run, path)) == 404
    sql = "SELECT item, rows.model, sample, contextual, intrinsic, text FROM rows LEFT JOIN responses ON id = response"
    expected = {row[:3]: row[3:] for row in read_file(finished.cache, lambda connection: connection.execute(sql).fetchall())}
    document = json.loads((tmp_path / "rows.json").read_text())
    assert {
        (row["item"], row["model"], row["sample"]): (row["contextual"], row["intrinsic"], row["response"])
        for row in document["rows"]
    } == expected
    assert document["provenance"]["run"] == run
    read = duckdb.sql(f"SELECT item, model, sample, contextual, intrinsic, response FROM '{tmp_path / 'rows.parquet'}'").fetchall()
    assert {row[:3]: row[3:] for row in read} == expected
    with (tmp_path / "rows.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 404
    for line in lines:
        name = line["model"].removeprefix("'")
        contextual, _, text = expected[line["item"], name, int(line["sample"])]
        assert line["contextual"] == ("" if contextual is None else str(contextual))
        assert not line["response"].startswith(("=", "+", "-", "@"))
        assert "\x1b" not in line["response"]
        assert ("\u241b" in line["response"]) is ("\x1b" in text)


HASHES = '# a heading\n## another, "quoted"\n# 1, 2, 3\n#\n\n=1+1'


def test_every_line_of_csv_is_data_also_where_a_response_has_lines_that_begin_with_a_hash(finished: Bench, tmp_path: Path) -> None:
    with duckdb.connect(str(finished.cache)) as connection:
        connection.execute("UPDATE responses SET text = ?", [HASHES])
    done = forked.unisafe("rows", "-o", "rows.csv", "--cache", str(finished.cache), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rows.csv.provenance.json" in done.stdout
    assert (tmp_path / "rows.csv").read_text().startswith('"run","item"')
    read = duckdb.sql(f"SELECT response, contextual, simulated FROM read_csv('{tmp_path / 'rows.csv'}')")
    assert [str(kind) for kind in read.types] == ["VARCHAR", "BIGINT", "BIGINT"]
    found = read.fetchall()
    assert len(found) == 404
    assert {response for response, _, _ in found} == {HASHES}
    assert {simulated for _, _, simulated in found} == {1}
    record = json.loads((tmp_path / "rows.csv.provenance.json").read_text())
    assert record["run"] == newest(finished)
    assert record["simulated"] == [HOSTILE, "Sim-B", "judge"]


def test_scores_as_csv_are_the_same_in_a_pipe_and_in_a_file_with_their_provenance_apart(finished: Bench, tmp_path: Path) -> None:
    arguments = ("tables", "--format", "csv", "--cache", str(finished.cache))
    piped, filed = forked.unisafe(*arguments, cwd=tmp_path), forked.unisafe(*arguments, "-o", "t.csv", cwd=tmp_path)
    assert piped.returncode == filed.returncode == 0
    assert piped.stdout == (tmp_path / "t.csv").read_text()
    assert piped.stdout.startswith('"model","task","items","valid","c_u"')
    assert "SIMULATED" in piped.stderr
    assert "t.csv.provenance.json" in filed.stdout
    record = json.loads((tmp_path / "t.csv.provenance.json").read_text())
    assert record == json.loads(format_json(table(finished)))["provenance"]
    read = duckdb.sql(f"SELECT items, b_s, run, simulated FROM read_csv('{tmp_path / 't.csv'}')")
    assert [str(kind) for kind in read.types] == ["BIGINT", "DOUBLE", "VARCHAR", "BIGINT"]
    assert {row[2:] for row in read.fetchall()} == {(newest(finished), 1)}


def test_only_what_is_simulated_is_called_so_in_csv(finished: Bench) -> None:
    chosen = table(finished)
    real_judge = replace(chosen, provenance=replace(chosen.provenance, simulated=("Sim-B",)))
    marks = {line["model"]: line["simulated"] for line in csv.DictReader(io.StringIO(format_csv(real_judge)))}
    assert marks == {shown(HOSTILE): "0", "Sim-B": "1"}


OLD_COLUMNS = (
    "run item task category subcategory model sample outcome error contextual contextual_status contextual_reason intrinsic "
    "intrinsic_status intrinsic_reason judge cached response images finish finish_reason stage categories tokens_in tokens_out cost "
    "latency identity created"
)
"""What programs of users read by place: new columns come after these."""


def test_rows_say_what_was_thought_what_stood_beside_and_who_served_in_columns_at_the_end(finished: Bench, tmp_path: Path) -> None:
    with duckdb.connect(str(finished.cache)) as connection:
        connection.execute("UPDATE responses SET thoughts = '=a plan', missing = 'half', model = 'served-1', estimated = true")
        connection.execute(
            "UPDATE rows SET thoughts = 0, thoughts_status = 'judged', beside_contextual = 2, categories = '[\"Politics\"]'"
        )
    for ending, write in WRITERS.items():
        path = tmp_path / f"rows.{ending}"
        read_file(finished.cache, lambda connection, write=write, path=path: write(connection, newest(finished), path))
    first = json.loads((tmp_path / "rows.json").read_text())["rows"][0]
    columns = list(first)
    assert columns[: len(OLD_COLUMNS.split())] == OLD_COLUMNS.split()
    assert duckdb.sql(f"SELECT * FROM '{tmp_path / 'rows.parquet'}'").columns == columns
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert next(csv.reader(lines)) == columns
    wanted = {"response_thoughts": "=a plan", "thoughts": 0, "beside_contextual": 2, "named_categories": '["Politics"]'}
    wanted |= {"missing": "half", "served_model": "served-1", "estimated": True}
    assert {name: first[name] for name in wanted} == wanted
    assert next(csv.DictReader(lines))["response_thoughts"] == "'=a plan", "a spreadsheet runs nothing that a model thought"


def test_provenance_says_what_was_and_was_not_measured(finished: Bench) -> None:
    record = read_file(finished.cache, lambda connection: read_provenance(connection, newest(finished)))
    assert record.rows == 404
    assert record.judged < 404
    assert record.judged + sum(record.unjudged.values()) == 404
    assert {"judge not understood", "judge blocked"} <= set(record.unjudged)
    assert [party.name for party in record.models] == [HOSTILE, "Sim-B"]
    assert record.models[0].identity.startswith("simulated|balanced|")
    assert record.judges[0].identity.startswith("simulated|judge|")
    assert record.simulated == (HOSTILE, "Sim-B", "judge")
    assert all("\n" not in line for line in to_lines(record))
    comment = to_html_comment(record)
    assert comment.count("-->") == 1
    assert comment.endswith("-->\n")
