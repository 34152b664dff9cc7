"""Labelling through a real terminal, and the judge's agreement with labels whose figures were worked out by hand."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import forked
import pytest
from terminals import Terminal
from unisafe_cache import read_file

from unisafe_async import agree, evaluate, parse_config
from unisafe_async.calibration import LabelError
from unisafe_async.calibration.agreement import cell_of
from unisafe_async.calibration.labelling import place_of
from unisafe_async.calibration.labels import Label, append_label, read_labels
from unisafe_async.calibration.offering import choose_rows
from unisafe_async.results.filters import Where
from unisafe_async.results.rows import read_detail

BENCH = """
[cache]
path = "run.duckdb"
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "secret-name"
provider = "simulated"
model = "balanced"
takes = ["text", "image"]
gives = ["text", "image"]
"""


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    (tmp_path / "bench.toml").write_text(BENCH)
    await evaluate(tmp_path / "bench.toml")
    return tmp_path


def unisafe(*arguments: str, folder: Path, typed: str = "", columns: int = 400) -> subprocess.CompletedProcess[str]:
    return forked.unisafe(*arguments, cwd=folder, env={**os.environ, "COLUMNS": str(columns)}, typed=typed.encode())


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_person_labels_skips_goes_back_notes_quits_and_goes_on_later(folder: Path) -> None:
    label = ("label", "-o", "labels.jsonl", "--by", "ann", "--task", "malicious_text_generation", "--limit", "4")
    path = folder / "labels.jsonl"
    with Terminal(*label, folder=folder) as terminal:
        screen = terminal.expect("contextual (")
        assert "secret-name" not in screen
        assert "marker says so" not in screen
        assert "1 of 4 responses" in screen
        terminal.press("u")
        terminal.expect("intrinsic (")
        assert not path.exists()
        terminal.press("s")
        terminal.expect("2 of 4 responses")
        (first,) = written(path)
        assert (first["contextual"], first["intrinsic"], first["labeller"], first["note"]) == ("unsafe", "safe", "ann", "")
        terminal.expect("contextual (")
        terminal.press("k")
        terminal.expect("3 of 4 responses")
        terminal.expect("contextual (")
        terminal.press("b")
        terminal.expect("2 of 4 responses")
        terminal.expect("contextual (")
        terminal.press("b")
        terminal.expect("1 of 4 responses")
        terminal.expect("contextual (")
        terminal.press("n")
        terminal.expect("note (one line)")
        terminal.press("hard to say\n")
        terminal.expect("contextual (")
        terminal.press("r")
        terminal.expect("intrinsic (")
        terminal.press("s")
        terminal.expect("2 of 4 responses")
        terminal.expect("contextual (")
        terminal.press("q")
        terminal.expect("2 labels written")
        assert terminal.process.wait(30) == 0
    labels, bad = read_labels(path)
    assert bad == []
    assert [(one.item, one.contextual, one.note) for one in labels] == [(first["item"], 2, "hard to say")]
    with Terminal(*label, folder=folder) as terminal:
        terminal.expect("2 of 4 responses")
        terminal.expect("contextual (")
        terminal.press("\x03")
        terminal.expect("every label so far is kept")
        assert terminal.process.wait(30) == 130


async def test_a_terminal_that_says_no_size_shows_no_picture_and_goes_on(folder: Path) -> None:
    with Terminal(
        "label", "-o", "labels.jsonl", "--by", "ann", "--task", "dual_unsafe_vqa", "--limit", "1", folder=folder
    ) as terminal:
        assert "image that was sent" in terminal.expect("contextual (")
        terminal.press("q")
        terminal.expect("0 labels written")
        assert terminal.process.wait(30) == 0


async def test_two_people_are_asked_for_the_same_responses_through_typed_lines(folder: Path) -> None:
    for who, answers in (("ann", "u\nu\n" * 5), ("bob", "safe\nsafe\n" * 5)):
        done = unisafe("label", "-o", "l.jsonl", "--by", who, "--limit", "5", folder=folder, typed=answers)
        assert done.returncode == 0, done.stderr
        assert "5 labels written" in done.stdout
    labels, _ = read_labels(folder / "l.jsonl")
    assert len(labels) == 10
    assert {one.place for one in labels if one.labeller == "ann"} == {one.place for one in labels if one.labeller == "bob"}
    assert all((one.contextual, one.intrinsic) == ((0, 0) if one.labeller == "ann" else (1, 1)) for one in labels)


async def test_the_sample_is_spread_seeded_and_offers_only_what_came_out(folder: Path) -> None:
    path = folder / "run.duckdb"
    run = read_file(path, lambda connection: str(connection.execute("SELECT run FROM runs").fetchall()[0][0]))

    def drawn(limit: int | None, seed: int) -> list[int]:
        return read_file(path, lambda connection: choose_rows(connection, run, Where(), limit, seed))

    everything = drawn(None, 0)
    silent = read_file(
        path,
        lambda connection: connection.execute(
            "SELECT count(*) FROM rows LEFT JOIN responses ON responses.id = response "
            "WHERE len(images) = 0 AND (text = '' OR task LIKE '%image_editing' OR task LIKE '%t2i%')"
        ).fetchall()[0][0],
    )
    assert silent > 0
    assert len(everything) == len(set(everything)) == 101 - silent
    few = drawn(45, 1)
    details = read_file(path, lambda connection: {number: read_detail(connection, number) for number in everything})
    strata = {(detail.row.task, detail.row.category) for number in few if (detail := details[number])}
    every = {(detail.row.task, detail.row.category) for detail in details.values() if detail}
    assert strata == every
    assert len(few) == 45
    assert drawn(45, 1) == few
    assert drawn(45, 2) != few


def label(row: Any, place: tuple[str, str, int, str], contextual: int, intrinsic: int, who: str) -> Label:
    return Label(
        item=place[0],
        model=place[1],
        repeat=place[2],
        run=row.run,
        response=place[3],
        contextual=contextual,
        intrinsic=intrinsic,
        labeller=who,
    )


async def test_agreement_equals_what_was_worked_out_by_hand(folder: Path) -> None:
    """Of ten text responses the labeller calls three otherwise than the judge; some labels have nothing to be compared with."""
    cache, path = folder / "run.duckdb", folder / "labels.jsonl"
    run = read_file(cache, lambda connection: str(connection.execute("SELECT run FROM runs").fetchall()[0][0]))
    which = Where(tasks=("malicious_text_generation",))
    numbers = read_file(cache, lambda connection: choose_rows(connection, run, which, 10, 0))
    details = read_file(cache, lambda connection: [read_detail(connection, number) for number in numbers])
    wrong = []
    for index, detail in enumerate(details):
        assert detail is not None
        row, place = detail.row, place_of(detail)
        assert row.contextual is not None
        assert row.intrinsic is not None
        contextual = (row.contextual + 1) % 3 if index < 3 else row.contextual
        if index < 3:
            wrong.append(row.item)
        append_label(path, label(row, place, contextual, row.intrinsic, "ann"))
    append_label(
        path,
        Label(
            item="malicious_text_generation/nowhere",
            model="secret-name",
            repeat=0,
            run=run,
            response="0" * 32,
            contextual=0,
            intrinsic=0,
            labeller="ann",
        ),
    )
    append_label(
        path,
        Label(item=wrong[0], model="secret-name", repeat=0, run=run, response="f" * 32, contextual=0, intrinsic=0, labeller="ann"),
    )
    found = agree(path, cache)
    cell = found.cell("contextual")
    assert (cell.n, cell.agreed, cell.accuracy) == (10, 7, 0.7)
    assert (cell.low, cell.high) == pytest.approx((0.3967781, 0.8922087), abs=1e-6)  # Wilson: 7 of 10
    assert found.cell("intrinsic").accuracy == 1.0
    assert found.cell("contextual", "malicious_text_generation") == cell
    assert found.cell("contextual", "dual_unsafe_vqa").accuracy is None
    assert (found.missing, found.changed) == (1, 1)
    assert sorted(one.item for one in found.disagreements) == sorted(wrong)
    assert sum(map(sum, found.matrix("contextual"))) == 10
    assert sum(found.matrix("contextual")[at][at] for at in range(3)) == 7
    done = unisafe("agree", "labels.jsonl", "--list", "2", folder=folder)
    assert done.returncode == 0, done.stderr
    for words in ("70.0", "97.6", "1 not found in the run", "1 of which the run has another response", "and 1 more", "2604.00547"):
        assert words in done.stdout, done.stdout
    narrow = unisafe("agree", "labels.jsonl", "--list", "2", folder=folder, columns=80)
    assert max(map(len, narrow.stdout.splitlines())) <= 80


def test_kappa_of_the_textbook() -> None:
    """Cohen's kappa of 20 + 15 agreements and 5 + 10 disagreements is 0.4: (0.7 - 0.5) / (1 - 0.5)."""
    pairs = [(0, 0)] * 20 + [(0, 1)] * 5 + [(1, 0)] * 10 + [(1, 1)] * 15
    assert cell_of(pairs, (0, 1)).kappa == pytest.approx(0.4)
    assert cell_of([(1, 1)] * 5, (0, 1)).kappa is None


async def test_several_labellers_are_one_majority_and_a_tie_is_said(folder: Path) -> None:
    cache, path = folder / "run.duckdb", folder / "labels.jsonl"
    run = read_file(cache, lambda connection: str(connection.execute("SELECT run FROM runs").fetchall()[0][0]))
    numbers = read_file(cache, lambda connection: choose_rows(connection, run, Where(), 2, 0))
    for number, third in zip(numbers, (True, False), strict=True):
        detail = read_file(cache, lambda connection, number=number: read_detail(connection, number))
        assert detail is not None
        right = detail.row.intrinsic
        assert right is not None
        for who, intrinsic in (("ann", right), ("bob", 1 - right), *((("cy", right),) if third else ())):
            append_label(path, label(detail.row, place_of(detail), 1, intrinsic, who))
    found = agree(path, cache)
    assert found.cell("intrinsic").agreed == found.cell("intrinsic").n == 1
    assert found.tied == {"intrinsic": 1}
    assert found.between["intrinsic"]["ann", "bob"].accuracy == 0.0
    assert found.between["intrinsic"]["ann", "cy"].accuracy == 1.0
    assert found.single["intrinsic"]["bob"].agreed == 0


async def test_a_new_judge_is_compared_with_old_labels_and_unjudged_is_said(folder: Path) -> None:
    cache, path = folder / "run.duckdb", folder / "labels.jsonl"
    run = read_file(cache, lambda connection: str(connection.execute("SELECT run FROM runs").fetchall()[0][0]))
    number = read_file(cache, lambda connection: choose_rows(connection, run, Where(), 1, 0))[0]
    detail = read_file(cache, lambda connection: read_detail(connection, number))
    assert detail is not None
    append_label(path, label(detail.row, place_of(detail), 0, 0, "ann"))
    import tomllib

    table = tomllib.loads(BENCH)
    table["judge"] |= {"model": "judge", "simulation": {"garbled": 1.0, "seed": 5}}
    again = await evaluate(parse_config(table, base=folder))
    found = agree(path, cache, again.run)
    assert found.comparisons == ()
    assert found.unjudged == {"contextual": 1, "intrinsic": 1}
    done = unisafe("agree", "labels.jsonl", "--run", again.run, folder=folder)
    assert done.returncode == 2
    assert "1 unjudged (contextual); 1 unjudged (intrinsic)" in done.stdout


async def test_labels_of_another_run_are_one_error_that_says_what_to_do(folder: Path) -> None:
    cache, path = folder / "run.duckdb", folder / "labels.jsonl"
    run = read_file(cache, lambda connection: str(connection.execute("SELECT run FROM runs").fetchall()[0][0]))
    for number in range(2):
        append_label(
            path,
            Label(
                item=f"malicious_text_generation/no-{number}",
                model="secret-name",
                repeat=0,
                run="20250101-000000-abcd",
                response="",
                contextual=0,
                intrinsic=0,
                labeller="ann",
            ),
        )
    for arguments, told in (
        (["--run", run], (f"of 2 labelled responses none is in run {run}", "given in 20250101-000000-abcd", "leave --run out")),
        ([], ("of 2 labelled responses none is in the runs", "20250101-000000-abcd", "--cache")),
    ):
        done = unisafe("agree", "labels.jsonl", *arguments, folder=folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        for words in ("labels.jsonl: ", *told):
            assert words in done.stderr


async def test_labels_of_what_has_changed_since_are_told_so(folder: Path) -> None:
    cache, path = folder / "run.duckdb", folder / "labels.jsonl"
    run = read_file(cache, lambda connection: str(connection.execute("SELECT run FROM runs").fetchall()[0][0]))
    append_label(
        path,
        Label(
            item="malicious_text_generation/1",
            model="secret-name",
            repeat=0,
            run=run,
            response="f" * 32,
            contextual=0,
            intrinsic=0,
            labeller="ann",
        ),
    )
    done = unisafe("agree", "labels.jsonl", folder=folder)
    assert done.returncode == 2
    assert "of 1 the run has another response" in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "l.jsonl:1: is not JSON"),
        ("[" * 100_000, "l.jsonl:1: is nested too deeply"),
        (
            '{"item": "a/1", "model": "m", "contextual": "bad"}',
            "l.jsonl:1: contextual: should be unsafe (0), safe (1), refusal (2)",
        ),
        ('{"item": "a/1", "model": "m", "intrinsic": 2}', "l.jsonl:1: intrinsic: should be unsafe (0), safe (1), found 2"),
        ('{"item": "one", "model": "m", "intrinsic": 1}', "l.jsonl:1: item: should be task/id"),
        ('{"item": "a/1", "model": "m"}', "l.jsonl:1: contextual, intrinsic: one of them is needed"),
        ("[1]", "l.jsonl:1: should be a JSON object"),
    ],
)
def test_a_line_that_is_no_label_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "bench.toml").write_text(BENCH)
    (tmp_path / "l.jsonl").write_text(line + "\n")
    done = unisafe("agree", "l.jsonl", folder=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_label_after_a_torn_line_is_whole_and_a_missing_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_text('{"item": "a/1", "mod')
    append_label(path, Label(item="a/2", model="m", repeat=0, run="", response="", contextual=0, intrinsic=1, labeller="ann"))
    labels, bad = read_labels(path)
    assert [one.item for one in labels] == ["a/2"]
    assert [one.line for one in bad] == [1]
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels(tmp_path / "none.jsonl")
