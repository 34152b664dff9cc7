"""The checks for one GPU: they run on a CPU in tiny, none stops the others, and nothing is left of them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import forked_gpu_check
import forked_worker
import pytest
from living import still_alive

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import running
from benchmarks.gpu.place import Place
from benchmarks.gpu.running import Check, Outcome, run_checks
from benchmarks.gpu.table import describe_machine, write_table

ROOT = Path(__file__).resolve().parents[2]
QUICK = "lost device,turns,memory given back"


def odd(name: str, limit_s: float = 60.0, **how: bool) -> Check:
    return Check(name=name, where=f"odd_gpu_checks:{name}", limit_s=limit_s, **how)


def play(folder: Path, *checks: Check, seconds: float = 60.0) -> dict[str, Outcome]:
    place = Place(device="cpu", small=True, folder=folder / "place")
    place.folder.mkdir()
    outcomes = anyio.run(run_checks, checks, place, time.monotonic() + seconds, 2, lambda outcome: None)
    return {outcome.check.name: outcome for outcome in outcomes}


def sleepers(folder: Path) -> list[int]:
    """Processes that odd checks started and that still run."""
    started = [int(line) for line in (folder / "sleepers").read_text().split()]
    assert started
    return still_alive(started)


def test_the_checks_run_on_a_cpu_with_tiny_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(running, "COMMAND", forked_worker.standing_in(forked_gpu_check.__name__))
    code = command.main(["--device", "cpu", "--small", "--only", QUICK, "--table", str(tmp_path / "table.md")])
    printed, table = capsys.readouterr().out, (tmp_path / "table.md").read_text()
    assert code == 0, printed
    lines = [line for line in printed.splitlines() if line.startswith("ok")]
    assert len(lines) == 1 + len(QUICK.split(",")), printed
    assert "15 of 15 others answered" in printed
    assert "at most 1 process with a model at once" in printed
    assert table in printed
    assert "WRONG" not in table
    assert [path.name for path in tmp_path.iterdir()] == ["table.md"], "no other file is left"


def test_a_check_that_goes_wrong_stops_no_other(tmp_path: Path) -> None:
    checks = [odd("crashes"), odd("hangs", 0.5), odd("fails"), odd("wrong"), odd("lacks"), odd("fine", alone=True)]
    found = play(tmp_path, *checks)
    assert {name: outcome.mark for name, outcome in found.items()} == {
        "crashes": "WRONG",
        "hangs": "WRONG",
        "fails": "WRONG",
        "wrong": "WRONG",
        "lacks": "--",
        "fine": "ok",
    }
    assert found["crashes"].words == "its process ended with 3; its last words: last words"
    assert found["hangs"].words.startswith("not done after 2 s")
    assert found["fails"].words == "ValueError: no such thing"
    assert found["lacks"].words == "bitsandbytes is not installed"
    assert sleepers(tmp_path) == []
    table = write_table(list(found.values()), Place(device="cpu", small=False, folder=tmp_path))
    assert "| a \\| figure | 1 s |" in table
    assert "| wrong | **WRONG**: 2 of 3 answered |" in table
    assert "| lacks | not checked: bitsandbytes is not installed |" in table


def test_a_check_that_leaves_a_process_behind_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ENDING_S", 0.2)
    found = play(tmp_path, odd("leaves"))
    assert (found["leaves"].mark, found["leaves"].words) == ("WRONG", "all is well; it left 1 processes")
    assert sleepers(tmp_path) == []


def test_no_check_is_begun_when_the_time_is_over(tmp_path: Path) -> None:
    found = play(tmp_path, odd("fine"), odd("hangs", alone=True), seconds=1.0)
    assert {outcome.words for outcome in found.values()} == {"no time was left"}


def test_a_check_that_went_wrong_is_in_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "DEVICE", odd("fine"))
    monkeypatch.setattr(command, "CHECKS", (odd("fine"), odd("wrong")))
    assert command.main(["--device", "cpu", "--small"]) == 1
    monkeypatch.setattr(command, "CHECKS", (odd("fine"), odd("lacks")))
    assert command.main(["--device", "cpu", "--small"]) == 0


def test_without_the_device_no_check_is_made(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "DEVICE", odd("wrong"))
    monkeypatch.setattr(command, "CHECKS", (odd("fine"),))
    assert command.main(["--device", "cpu", "--small"]) == 1
    assert "fine" not in capsys.readouterr().out


def test_a_stop_ends_what_was_started_and_removes_what_was_written(tmp_path: Path) -> None:
    code = (
        "import sys; from benchmarks.gpu import __main__ as command; from benchmarks.gpu.running import Check;"
        "command.DEVICE = Check(name='fine', where='odd_gpu_checks:fine', limit_s=60);"
        "command.CHECKS = (Check(name='hangs', where='odd_gpu_checks:hangs', limit_s=60),);"
        "sys.exit(command.main(['--device', 'cpu', '--small']))"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    os.mkfifo(tmp_path / "sleepers")
    told = os.open(tmp_path / "sleepers", os.O_RDONLY | os.O_NONBLOCK)
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert select.select([told], [], [], 60)[0], "the check has started"
        sleeper = int(os.read(told, 100))
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # as `timeout` does
        printed, _ = process.communicate(timeout=60)
    os.close(told)
    assert process.returncode == 130, printed
    assert still_alive([sleeper]) == []
    assert [path.name for path in tmp_path.iterdir()] == ["sleepers"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "cpu"], "put --small too"),
        (["--device", "cpu", "--small", "--table", "nowhere/table.md"], "there is no folder nowhere"),
        (["--only", "sped"], "--only: there is no check 'sped'; there are: large model,"),
    ],
)
def test_what_cannot_be_asked_is_said(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)
    assert words in capsys.readouterr().err


def test_the_table_names_the_card_and_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(device="cuda:1", small=False, folder=tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_machine(place).startswith("cuda:1, of which nvidia-smi says nothing; torch ")
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'NVIDIA L4, 23034, 580.1'\necho 'NVIDIA H100, 81559, 580.1'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert describe_machine(place).startswith("NVIDIA H100 (81559 MiB), driver 580.1; torch ")


def test_the_script_says_what_it_needs() -> None:
    done = subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh", "--help"], env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True
    )
    assert done.returncode == 0
    for words in ("nine and a half minutes at most", "one CUDA GPU with 40 GB", "--only", "seeded choice"):
        assert words in done.stdout
