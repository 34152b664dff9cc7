"""What is printed at a given width: figures whole, names told apart, sentences whole where there is no terminal."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import forked
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from unisafe_async.benchmark import open_dataset
from unisafe_async.benchmark.check import Check
from unisafe_async.names import shorten_names
from unisafe_async.results.listing import ListedRun
from unisafe_async.screens.console import redraws
from unisafe_async.screens.data import print_check
from unisafe_async.screens.fitting import fit_table
from unisafe_async.screens.listing import print_runs, print_stats

NAMES = (
    "accounts/fireworks/models/llama-v3p1-8b",
    "accounts/fireworks/models/llama-v3p1-70b",
    "openrouter/google/gemini-2.5-flash-lite-preview-09-2025",
    "openrouter/google/gemini-2.5-flash-preview-09-2025",
)
MODEL = """
[[models]]
name = "{name}"
provider = "simulated"
model = "balanced"
takes = ["text", "image"]
gives = ["text", "image"]
simulation = {{ seed = {seed} }}
"""


def printed(width: int) -> Console:
    return Console(file=io.StringIO(), width=width)


def text_of(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def unisafe(*arguments: str, folder: Path, **environment: str) -> str:
    """Standard output of the command in a pipe, where nothing says how wide a screen is."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    done = forked.unisafe(*arguments, cwd=folder, env=inherited | environment)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("screens")
    models = "".join(MODEL.format(name=name, seed=seed) for seed, name in enumerate(NAMES))
    backbone = models.replace("seed = 0 }", f'seed = 0 }}\nbackbone = "{NAMES[1]}"')
    head = '[cache]\npath = "run.duckdb"\n[judge]\nprovider = "simulated"\nmodel = "judge"\n'
    (folder / "bench.toml").write_text(head + backbone)
    unisafe("run", folder=folder)
    return folder


# -------------------------------------------------------- names


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), max_size=6), st.integers(8, 40))
def test_two_names_never_look_the_same_and_fit(names: set[str], width: int) -> None:
    shown = shorten_names(names, width)
    assert list(shown) == list(names)
    assert len(set(shown.values())) == len(names)
    assert max(map(cell_len, shown.values()), default=0) <= width


@pytest.mark.parametrize("width", [12, 14, 18, 22])
def test_what_tells_two_names_apart_is_shown(width: int) -> None:
    shown = shorten_names(NAMES, width)
    assert "8b" in shown[NAMES[0]]
    assert "70b" in shown[NAMES[1]]
    assert "lite" in shown[NAMES[2]]


def test_a_name_that_fits_is_whole_and_an_owner_goes_first() -> None:
    assert shorten_names(NAMES, 60) == {name: name for name in NAMES}
    assert shorten_names(NAMES[:2], 20) == {NAMES[0]: "…/llama-v3p1-8b", NAMES[1]: "…/llama-v3p1-70b"}
    assert set(shorten_names(["openai/gpt-4o-2024-11-20", "azure/gpt-4o-2024-11-20"], 16).values()) == {
        "openai/gpt-4o-2…",
        "azure/gpt-4o-20…",
    }


SCREENS = (
    ["report"],
    ["report", "--ci"],
    ["report", "--by", "category", "--blocks"],
    ["plan"],
    ["compare", "--backbone"],
    ["compare", NAMES[0], NAMES[1]],
)


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("command", SCREENS, ids=" ".join)
def test_models_are_told_apart_on_every_screen_and_no_figure_is_cut(ran: Path, command: list[str], columns: int) -> None:
    shown = unisafe(*command, folder=ran, COLUMNS=str(columns))
    assert max(map(len, shown.splitlines())) <= columns
    models = NAMES[:2] if command[0] == "compare" else NAMES
    for name in models:
        assert any(shorten_names(models, width)[name] in shown for width in range(8, 60)), name
    assert "…" not in re.sub(r"\S*[a-z]\S*…\S*|…\S*[a-z]\S*", "", shown)  # of names alone


def test_the_room_there_is_is_used(ran: Path) -> None:
    shown = unisafe("report", folder=ran, COLUMNS="140")
    overall = shown.partition("Overall")[2].partition("C-U contextual")[0]
    assert all(name in overall for name in NAMES)


# -------------------------------------------------------- lists


LONG = "/data/teams/safety/benchmarks/uni-safebench-november-2026.jsonl"
FIGURES: dict[str, Any] = {"total": 146_950, "cost": 12_345.67, "seconds": 45_300}


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_figures_of_runs_are_whole_however_long_the_names(width: int) -> None:
    console = printed(width)
    figures = {"status": "interrupted", "dataset": LONG, "models": 12, "judged": 146_949, **FIGURES}
    runs = [ListedRun(run=f"imported-0123456789a{at}", **figures) for at in "bc"]
    print_runs(console, runs)
    shown = text_of(console)
    for figure in ("imported-0123456789ab", "imported-0123456789ac", "interrupted", "146,949/146,950", "$12,345.67", "12 h 35 min"):
        assert figure in shown
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("width", [40, 80, 140])
def test_figures_of_the_cache_are_whole_however_long_the_names(width: int, tmp_path: Path) -> None:
    console = printed(width)
    file = tmp_path / "c"
    file.write_bytes(b"")
    rows = [("openai", "https://api.fireworks.ai/inference/v1", name, 1_234_567, 12_345_678_901, 2_345_678_902, 45_679, 12_345.67) for name in NAMES]  # fmt: skip
    print_stats(console, file, rows)
    shown = text_of(console)
    for figure in ("1,234,567", "12,345,678,901", "2,345,678,902", "45,679", "$12,345.67"):
        assert shown.count(figure) == 4


@pytest.mark.parametrize("width", [40, 80, 140])
def test_counts_of_a_dataset_are_whole(width: int) -> None:
    console = printed(width)
    print_check(console, Check(open_dataset("sample"), []))
    shown = text_of(console)
    assert "…" not in shown
    pairs = r"28/1182|28\s+13\s+21\s+19\s+16\s+4\s+101\s+paper\s+1182\s+289\s+523\s+451\s+392\s+102\s+2939"
    assert re.search(pairs, shown)


def test_rows_of_a_table_without_room_become_lines() -> None:
    def build(names: object) -> Table:
        table = Table("Model", "calls made", "cost")
        table.add_row("a", "1,234,567", "$12.34")
        return table

    console = printed(16)
    console.print(fit_table(console, ["a"], build))
    assert text_of(console).split() == ["a", "calls", "made", "1,234,567", "cost", "$12.34"]


def test_that_no_table_fits_shows_at_once() -> None:
    built = []

    def build(names: object) -> Table:
        built.append(names)
        return Table(*(f"a heading that is long {at}" for at in range(9)))

    fit_table(printed(80), [f"{name}-{at}" for name in NAMES for at in range(15)], build)
    assert len(built) <= 3


# -------------------------------------------------------- no terminal


def test_in_a_pipe_a_sentence_stays_in_one_line(ran: Path) -> None:
    again = unisafe("run", folder=ran)
    (line,) = (one for one in again.splitlines() if one.startswith("All 4 models: "))
    assert line.endswith(" s")
    assert "404 from cache, $0.00 (simulated)" in line
    (highest,) = (one for one in again.splitlines() if one.startswith("Highest B-S overall: "))
    assert highest.endswith(".")
    assert len(highest) > 160


def test_in_a_pipe_tables_are_wide_and_colour_changes_nothing(ran: Path) -> None:
    plain = unisafe("report", folder=ran)
    assert all(name in plain.partition("Overall")[0] for name in NAMES)
    coloured = unisafe("report", folder=ran, FORCE_COLOR="1", TERM="xterm-256color")
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_in_a_file_nothing_is_drawn_over_whatever_the_colours(ran: Path) -> None:
    shown = unisafe("run", folder=ran, FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[1;33mSIMULATED" in shown or "\x1b[33mSIMULATED" in shown
    assert re.findall(r"\x1b\[[^m]*?[A-Zac-ln-z]", shown) == []


@pytest.mark.parametrize(("kind", "drawn"), [("xterm-256color", True), ("dumb", False)])
def test_a_dumb_terminal_gets_plain_lines(kind: str, drawn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", kind)
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        assert redraws(Console(file=terminal)) == drawn
    os.close(ours)


@pytest.mark.parametrize("columns", ["0", "²", "-80", "wide"])
def test_columns_that_are_no_number_are_as_if_not_set(ran: Path, columns: str) -> None:
    assert unisafe("runs", folder=ran, COLUMNS=columns, LINES=columns) == unisafe("runs", folder=ran) != ""


def test_in_a_pipe_what_is_indented_is_not_cut(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text(
        json.dumps({"id": 1, "task": "malicious_text_generation", "prompt": "Mild. " * 100 + "End.", "category": "Politics"})
    )
    head = '[dataset]\nsource = "own.jsonl"\n[cache]\npath = "run.duckdb"\n[judge]\nprovider = "simulated"\nmodel = "judge"\n'
    (tmp_path / "bench.toml").write_text(head + MODEL.format(name="sim", seed=1))
    unisafe("run", folder=tmp_path)
    shown = unisafe("show", "malicious_text_generation/1", folder=tmp_path)
    assert f"  {'Mild. ' * 100}End." in shown
