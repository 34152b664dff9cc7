"""Standard streams as shells, services and other systems hand them over: exit codes stand, and every figure is printed."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import anyio
import forked
import pytest

from unisafe_async import evaluate
from unisafe_async.streams import FORMS, RANGES

BENCH = """
[cache]
path = "run.duckdb"
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "Ünï-模型"
provider = "simulated"
model = "balanced"
takes = ["text", "image"]
gives = ["text", "image"]
[[models]]
name = "B…"
provider = "simulated"
model = "balanced"
takes = ["text", "image"]
gives = ["text", "image"]
backbone = "Ünï-模型"
simulation = { seed = 3 }
"""
SCREENS = ["run", "report --ci", "report --by category --blocks", "compare --backbone", "plan", "runs", "cache stats", "browse"]
LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "no such locale": {"LC_ALL": "xx_YY", "LANG": "xx", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
}
"""What Python makes of a locale it decides when it starts; what an encoding lacks is tried in commands that are forked."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    (folder / "bench.toml").write_text(BENCH, "utf-8")
    anyio.run(evaluate, folder / "bench.toml")
    return folder


def environment(**changes: str) -> dict[str, str]:
    left_out = ("COLUMNS", "FORCE_COLOR", "PYTHONIOENCODING", "LC_ALL", "LANG")
    return {name: value for name, value in os.environ.items() if name not in left_out} | changes


def started(arguments: str, folder: Path, **changes: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a Python of its own."""
    command = [sys.executable, "-m", "unisafe_async.cli", *arguments.split()]
    done = subprocess.run(
        command, cwd=folder, env=environment(**changes), stdin=subprocess.DEVNULL, capture_output=True, timeout=120
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode("utf-8", "replace")
    return done


def unisafe(
    arguments: str, folder: Path, encoding: str = "utf-8", streams: dict[int, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = forked.unisafe(*arguments.split(), cwd=folder, env=environment(), encoding=encoding, streams=streams)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`line` in a shell, where `unisafe` is the command."""
    called = f'unisafe() {{ "{sys.executable}" -m unisafe_async.cli "$@"; }}\n{line}'
    return subprocess.run(["bash", "-c", called], cwd=folder, env=environment(), text=True, capture_output=True, timeout=120)


def figures(words: str) -> list[str]:
    """Every figure of a screen, but for names of runs, times and sizes."""
    told = re.sub(r"\\u[0-9a-f]{4}|\d{8}-\d{6}-[0-9a-f]+|[\d.]+ (?:s|min|MB|MiB)\b|\d+:\d+(?::\d+)?", "", words)
    return re.findall(r"\d[\d,.]*", told)


# ---------------------------------------------------------------- encodings


@pytest.mark.parametrize("screen", SCREENS)
def test_every_figure_is_printed_in_every_encoding(folder: Path, screen: str) -> None:
    usual = unisafe(screen, folder)
    assert figures(usual.stdout)
    for encoding in ("ascii", "cp1252", "latin-1", "cp437"):
        other = unisafe(screen, folder, encoding)
        assert other.returncode == usual.returncode, encoding
        assert figures(other.stdout) == figures(usual.stdout), encoding


@pytest.mark.parametrize("locale", LOCALES)
def test_every_figure_is_printed_in_every_locale(folder: Path, locale: str) -> None:
    usual, other = unisafe("report --ci", folder), started("report --ci", folder, **LOCALES[locale])
    assert other.returncode == usual.returncode
    assert figures(other.stdout.decode(locale if locale == "cp1252" else "ascii")) == figures(usual.stdout)


def test_marks_have_forms_of_their_own_and_columns_stay_in_line(folder: Path) -> None:
    shown = unisafe("report", folder, "ascii").stdout
    assert "# best and o worst of the column" in shown
    assert re.search(r"\d# ", shown)
    assert re.search(r"\d[o] ", shown)
    table = [line for line in shown.partition("Overall")[2].splitlines() if line.startswith(("|", "+"))]
    assert len({len(line) for line in table if "\\u" not in line}) == 1
    marks = ["●", "○", "↑", "↓", "~", "*", "="]
    assert len({FORMS.get(mark, mark) for mark in marks}) == len(marks)
    assert all(len(form) == 1 for form in [*FORMS.values(), *(form for *_, form in RANGES)])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_tables_for_programs_can_be_read_in_every_encoding(folder: Path, encoding: str) -> None:
    told = unisafe("tables -f json", folder, encoding).stdout
    models = {score["model"] for score in json.loads(told)["scores"]}
    assert models == ({"Ünï-模型", "B…"} if encoding == "cp1252" else {"Ünï-模型", "B>"})
    told, usual = unisafe("tables -f csv", folder, encoding).stdout, unisafe("tables -f csv", folder).stdout
    assert len(list(csv.reader(io.StringIO(told)))) == len(list(csv.reader(io.StringIO(usual))))


def test_files_are_utf_8_whatever_the_screen_is(folder: Path, tmp_path: Path) -> None:
    commands = (
        "tables -o {}/t.csv",
        "rows -o {}/r.csv",
        "rows -o {}/r.json",
        "export-official -o {}/off",
        "new-provider my-x --folder {}/n",
    )
    for command in commands:
        assert unisafe(command.format(tmp_path), folder, "ascii").returncode == 0
    assert started(f"report --html {tmp_path}/p.html", folder, **LOCALES["C"]).returncode == 0
    named = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(named) > 12
    assert all(path.read_text("utf-8") is not None for path in named)
    assert "模型" in (tmp_path / "r.csv").read_text("utf-8")


def test_labels_typed_in_another_encoding_are_kept(folder: Path, tmp_path: Path) -> None:
    label = ("label", "-o", str(tmp_path / "l.jsonl"), "--by", "a", "--limit", "1")
    for encoding in ("ascii", "cp1252", "utf-8"):
        typed = "n\nsì é\ns\ns\n".encode("latin-1")
        done = forked.unisafe(*label, cwd=folder, env=environment(), encoding=encoding, typed=typed)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        (tmp_path / "l.jsonl").read_text("utf-8")
        (tmp_path / "l.jsonl").unlink()


def test_a_name_that_no_encoding_has_is_told(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "unisafe_async.cli", "tables", "-o", b"t-\xff.csv"],
        cwd=folder,
        env=environment(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"\\udcff" in done.stdout


# ---------------------------------------------------------------- streams that are closed, full or left


COMMANDS = ("run", "report", "tables", "browse", "rows -o r.csv", "--help", "report nonesuch", "nonesuch")
FULL = "/dev/full"
STREAMS: dict[str, dict[int, str]] = {
    "stdout closed": {1: ""},
    "stdout full": {1: FULL},
    "stderr closed": {2: ""},
    "stdin closed": {0: ""},
    "all closed": {0: "", 1: "", 2: ""},
    "both full": {1: FULL, 2: FULL},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_stream_changes_an_exit_code(folder: Path, command: str) -> None:
    usual = unisafe(command, folder)
    for name, streams in STREAMS.items():
        other = unisafe(command, folder, streams=streams)
        assert other.returncode == usual.returncode, name
        assert ("cut short" in other.stderr) == (name == "stdout full" and bool(usual.stdout)), name


def test_a_reader_that_leaves_changes_no_exit_code(folder: Path) -> None:
    for command in ("report", "report nonesuch", "browse"):
        done = shell(f"unisafe {command} | true; echo ${{PIPESTATUS[0]}}", folder)
        assert done.stdout == f"{2 if command.endswith('nonesuch') else 0}\n"
        assert "Traceback" not in done.stderr
        assert "cut short" not in done.stderr


def test_a_full_disk_behind_the_output_is_said_once(folder: Path) -> None:
    done = unisafe("report", folder, streams={1: FULL})
    assert done.returncode == 0
    assert done.stderr == "unisafe: standard output was cut short: No space left on device\n"


def test_a_run_whose_output_cannot_be_written_keeps_every_row(folder: Path) -> None:
    for streams in ({1: "", 2: ""}, {1: FULL}):
        before = unisafe("runs", folder).stdout.count("202/202")
        assert unisafe("run", folder, streams=streams).returncode == 0
        assert unisafe("runs", folder).stdout.count("202/202") == before + 1
    assert shell("unisafe run | true; echo ${PIPESTATUS[0]}", folder).stdout == "0\n"
    assert unisafe("runs", folder).stdout.count("202/202") == before + 2


def test_output_to_a_reader_that_is_slow_is_whole(folder: Path) -> None:
    """A pipe that does not block, as some parents hand over, is waited for."""
    slow = (
        "import os, subprocess, sys, time\n"
        "here, there = os.pipe(); os.set_blocking(there, False)\n"
        "process = subprocess.Popen([sys.executable, '-m', 'unisafe_async.cli', 'browse'], stdout=there, stderr=subprocess.DEVNULL)\n"
        "os.close(there); time.sleep(1.0); read = open(here, 'rb').read()\n"
        "assert process.wait() == 0; print(len(read.splitlines()))\n"
    )
    done = subprocess.run([sys.executable, "-c", slow], cwd=folder, env=environment(), text=True, capture_output=True)
    assert done.stdout == "203\n", done.stderr
