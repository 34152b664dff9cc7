"""Keys typed before and after a question, terminals that answer at once, late or never, and a terminal that is closed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import anyio
import forked
import pytest
from terminals import KITTY, SILENT, SIXEL, Terminal
from unisafe_cache import CacheError, read_file

from unisafe_async import evaluate
from unisafe_async.browse.drawing import ANSWER
from unisafe_async.browse.keys import drain, is_readable, read_sent

BENCH = """
[cache]
path = "run.duckdb"
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "m"
provider = "simulated"
model = "balanced"
takes = ["text", "image"]
gives = ["text", "image"]
"""
WITH_IMAGE = "dual_unsafe_vqa"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminals")
    (folder / "bench.toml").write_text(BENCH)
    anyio.run(evaluate, folder / "bench.toml")
    return folder


@pytest.fixture
def labels(folder: Path) -> Iterator[Path]:
    path = folder / "labels.jsonl"
    yield path
    path.unlink(missing_ok=True)


def verdicts(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [(one["contextual"], one["intrinsic"]) for one in map(json.loads, lines)]


def labelling(folder: Path, answers: Mapping[str, str], late: float = 0.0) -> Terminal:
    label = ("label", "-o", "labels.jsonl", "--by", "ann", "--task", WITH_IMAGE, "--limit", "4")
    return Terminal(*label, folder=folder, answers=answers, late=late, sized=True)


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("answers", "late", "gap"),
    [(SILENT, 0.0, 0.0), (KITTY, 0.0, 0.0), (KITTY, 1.3, 0.15), (SIXEL, 0.0, 0.3), (SIXEL, 1.3, 0.05)],
    ids=["silent", "kitty", "kitty, late", "sixel", "sixel, late"],
)
def test_labels_are_those_that_were_typed(folder: Path, labels: Path, answers: Mapping[str, str], late: float, gap: float) -> None:
    with labelling(folder, answers, late) as terminal:
        terminal.expect("contextual (")
        terminal.press("ussuuuss", gap)
        terminal.expect("4 labels written")
        shown = terminal.end()
    assert verdicts(labels) == [("unsafe", "safe"), ("safe", "unsafe"), ("unsafe", "unsafe"), ("safe", "safe")]
    assert shown.count("\x1b[16t") == 1
    assert "Traceback" not in shown


@pytest.mark.parametrize("answers", [SILENT, KITTY, SIXEL], ids=["silent", "kitty", "sixel"])
def test_what_is_typed_before_the_first_question_labels_nothing(folder: Path, labels: Path, answers: Mapping[str, str]) -> None:
    with labelling(folder, answers, 0.2) as terminal:
        terminal.press("us")
        terminal.expect("labels go to")
        terminal.press("uk")
        terminal.expect("\x1b[16t")
        terminal.press("suu")
        terminal.expect("1 of 4 responses")
        terminal.press("q")
        terminal.end()
        assert terminal.echoes()
    assert verdicts(labels) == []


def test_pictures_are_drawn_as_the_terminal_can(folder: Path) -> None:
    item = read_file(
        folder / "run.duckdb",
        lambda connection: connection.execute("SELECT item FROM rows WHERE task = ? ORDER BY item", [WITH_IMAGE]).fetchone(),
    )[0]
    drawn = {}
    for name, answers in (("silent", SILENT), ("kitty", KITTY), ("sixel", SIXEL)):
        with Terminal("show", item, folder=folder, answers=answers, sized=True) as terminal:
            shown = terminal.end()
        drawn[name] = ("\x1bP0;0;0q" in shown, "a=p" in shown, "▄" in shown or "▀" in shown)
    assert drawn == {"silent": (False, False, True), "kitty": (False, True, False), "sixel": (True, False, False)}


# ---------------------------------------------------------------- the browser


@pytest.mark.parametrize(
    ("answers", "late"), [(KITTY, 0.0), (KITTY, 2.0), (SIXEL, 2.0)], ids=["kitty", "kitty, late", "sixel, late"]
)
def test_answers_and_keys_before_the_screen_press_nothing_in_the_browser(
    folder: Path, answers: Mapping[str, str], late: float
) -> None:
    with Terminal("browse", folder=folder, answers=answers, late=late, sized=True) as terminal:
        terminal.press("iq")
        terminal.expect("images blurred")
        terminal.watch(late)
        terminal.press("q")
        shown = terminal.end()
        assert terminal.process.returncode == 0
    assert "images shown" not in shown
    assert "Traceback" not in shown


def test_a_browser_that_is_told_to_end_leaves_the_terminal_as_it_was(folder: Path) -> None:
    with Terminal("browse", folder=folder, answers=SIXEL, sized=True) as terminal:
        terminal.expect("images blurred")
        terminal.process.send_signal(signal.SIGTERM)
        shown = terminal.end()
        assert terminal.echoes()
    assert "\x1b[?1049l" in shown


# ---------------------------------------------------------------- a terminal that is closed


SLOW = BENCH.replace("run.duckdb", "slow.duckdb") + "max_concurrency = 4\nsimulation = { latency = 0.25 }\n[dataset]\nlimit = 40\n"


def run_of(folder: Path) -> tuple[str, int]:
    job = "SELECT status, (SELECT count(*) FROM rows WHERE rows.run = runs.run) FROM runs"
    return read_file(folder / "slow.duckdb", lambda connection: connection.execute(job).fetchone())  # type: ignore[return-value]


def test_a_run_whose_terminal_is_closed_keeps_what_is_under_way(tmp_path: Path) -> None:
    (tmp_path / "slow.toml").write_text(SLOW.replace("concurrency = 4", "concurrency = 1"))
    with Terminal("run", "-c", "slow.toml", folder=tmp_path, sized=True) as terminal:
        terminal.expect("/40")
        terminal.watch(0.6)
        terminal.hang_up()
        terminal.process.send_signal(signal.SIGHUP)
        assert terminal.process.wait(30) == 130
    status, rows = run_of(tmp_path)
    assert status == "interrupted"
    assert rows > 0
    (tmp_path / "slow.toml").write_text(SLOW.replace("concurrency = 4", "concurrency = 32"))
    again = forked.unisafe("run", "-c", "slow.toml", cwd=tmp_path)
    assert f"{rows} from cache" in again.stdout or again.stdout.count("40 judged"), again.stdout


def begun(*arguments: str, folder: Path, ignoring: bool = False) -> subprocess.Popen[str]:
    """The command in the background, whose SIGHUP is ignored as `nohup` has it where told so."""
    what = signal.SIG_IGN if ignoring else signal.SIG_DFL
    command = [sys.executable, "-m", "unisafe_async.cli", *arguments]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGHUP, what)
    )


@pytest.mark.parametrize(("number", "ignoring"), [("SIGTERM", False), ("SIGHUP", False), ("SIGHUP", True)])
def test_a_run_in_the_background_drains_unless_it_was_told_to_outlive_its_terminal(
    tmp_path: Path, number: str, ignoring: bool
) -> None:
    (tmp_path / "slow.toml").write_text(SLOW.replace("concurrency = 4", f"concurrency = {16 if ignoring else 2}"))
    with begun("run", "-c", "slow.toml", folder=tmp_path, ignoring=ignoring) as run:
        while not rows_so_far(tmp_path):
            assert run.poll() is None
            time.sleep(0.02)
        run.send_signal(getattr(signal, number))
        run.communicate(timeout=60)
    assert (run.returncode == 130) == (not ignoring)
    assert run_of(tmp_path)[0] == ("done" if ignoring else "interrupted")


def rows_so_far(folder: Path) -> int:
    try:
        return run_of(folder)[1]
    except (CacheError, TypeError):
        return 0  # neither file nor run yet


def test_a_simulated_server_ends_with_its_terminal(tmp_path: Path) -> None:
    with begun("simulate", "--port", "0", folder=tmp_path) as server:
        assert server.stdout is not None
        assert "simulated models at" in server.stdout.readline()
        server.send_signal(signal.SIGHUP)
        server.communicate(timeout=30)
    assert server.returncode == 0


def test_a_labeller_whose_terminal_is_closed_keeps_the_labels(folder: Path, labels: Path) -> None:
    with labelling(folder, KITTY) as terminal:
        terminal.expect("contextual (")
        terminal.press("us")
        terminal.expect("2 of 4 responses")
        terminal.hang_up()
        assert terminal.process.wait(30) in (0, 130)
    assert verdicts(labels) == [("unsafe", "safe")]


# ---------------------------------------------------------------- what a terminal sends


@pytest.mark.parametrize(
    "sent",
    [
        "\x1b_Gi=31;OK\x1b\\",
        "\x1b[?62;4c",
        "\x1b[6;20;10t",
        "\x1b]11;rgb:0/0/0\x07",
        "\x1b]11;rgb:0/0/0\x1b\\",
        "\x1bOP",
        "\x1b[A",
        "\x1bP1$r0q\x1b\\",
        "\x1b[<0;1;1M",
        "\x1bs",
        "é",
        "模",
        "😀",
    ],
)
def test_a_sequence_is_read_whole_and_the_key_after_it_is_itself(sent: str) -> None:
    here, there = os.pipe()
    try:
        os.write(there, sent.encode() + b"u")
        assert read_sent(here) == sent.encode()
        assert read_sent(here) == b"u"
        os.write(there, b"x" + sent.encode() * 3)
        drain(here)
        assert not is_readable(here)
    finally:
        os.close(here)
        os.close(there)


def test_escape_alone_is_escape() -> None:
    here, there = os.pipe()
    os.write(there, b"\x1b")
    assert read_sent(here) == b"\x1b"
    os.close(there)
    assert read_sent(here) == b""
    os.close(here)


def test_only_answers_are_taken_out_of_what_a_browser_is_sent() -> None:
    keys = "iq\x1b[A\x1b[1;2Rx\x1b[<0;3;4M"
    assert ANSWER.sub("", "i\x1b_Gi=31;OK\x1b\\q\x1b[A\x1b[?62;4c\x1b[1;2R\x1b[6;20;10tx\x1b[<0;3;4M") == keys
