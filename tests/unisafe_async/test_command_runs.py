"""Whole evaluations with a model that a command runs: what starts it, what is shown, what is kept, and what is left of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from forked import begun, left_to_end, unisafe
from terminals import Terminal

SCRIPT = Path(__file__).parents[1] / "providers" / "command" / "script.py"
BENCH = """
[dataset]
source = "sample"
limit = 24
[[models]]
name = "Acme-7B"
provider = "command"
command = [{python}, "-S", "serve.py"{mode}]
takes = ["text", "image"]
gives = ["text", "image"]
files = ["serve.py"]
{more}
[judge]
provider = "simulated"
model = "judge"
simulation = {{ guess = 0.3 }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(SCRIPT, tmp_path / "serve.py")
    write(tmp_path)
    return tmp_path


def write(folder: Path, more: str = "", mode: str = "") -> None:
    (folder / "bench.toml").write_text(BENCH.format(python=json.dumps(sys.executable), more=more, mode=mode))


def count_starts(folder: Path) -> int:
    return len((folder / "starts").read_text().splitlines()) if (folder / "starts").exists() else 0


def count_processes(folder: Path) -> int:
    found = subprocess.run(["ps", "-ax", "-o", "stat=,args="], capture_output=True, text=True, check=True).stdout
    return sum("serve.py" in line and str(folder) in line for line in found.splitlines())


def note_starts(folder: Path) -> None:
    """The script notes each start in a file, and its folder in its arguments."""
    script = folder / "serve.py"
    script.write_text(
        script.read_text().replace("def main():\n", "def main():\n    pathlib.Path('starts').open('a').write('started\\n')\n")
    )
    write(folder, mode=f', "", {json.dumps(str(folder))}')


def test_only_a_run_starts_it_and_a_second_run_needs_nothing_of_it(folder: Path) -> None:
    note_starts(folder)
    for words in (("plan",), ("data", "check", "sample"), ("doctor",), ("report",)):
        unisafe(*words, cwd=folder)
    assert count_starts(folder) == 0
    first = unisafe("run", cwd=folder)
    assert first.returncode == 0, first.stdout + first.stderr
    shown = first.stdout.index("for answers of Acme-7B that the cache lacks, this machine starts: ")
    assert shown < first.stdout.index("24 items: 24 judged")
    assert count_starts(folder) == 1
    again = unisafe("run", cwd=folder)
    assert "24 items: 24 judged" in again.stdout
    assert count_starts(folder) == 1
    assert count_processes(folder) == 0


def test_another_path_and_variables_keep_the_cache_and_another_script_is_asked_anew(folder: Path) -> None:
    note_starts(folder)
    unisafe("run", cwd=folder)
    write(folder, 'env = ["ACME_HOME"]', mode=f', "", {json.dumps(str(folder))}, "more"')
    unisafe("run", cwd=folder)
    assert count_starts(folder) == 1
    script = folder / "serve.py"
    script.write_text(script.read_text() + "# changed\n")
    unisafe("run", cwd=folder)
    assert count_starts(folder) == 2


def test_a_model_that_changed_behind_its_script_is_refused(folder: Path) -> None:
    unisafe("run", "-n", "8", cwd=folder)
    write(folder, mode=', "batches"')
    refused = unisafe("run", cwd=folder)
    assert refused.returncode == 1
    assert "so its answers are not those in the cache" in " ".join(refused.stdout.split())
    write(folder, 'version = "2"', mode=', "batches"')
    assert "24 items: 24 judged" in unisafe("run", cwd=folder).stdout


def test_killed_it_leaves_no_process_and_the_next_run_goes_on(folder: Path) -> None:
    note_starts(folder)
    script = folder / "serve.py"
    script.write_text(
        script.read_text().replace('    text = request["text"]\n', '    text = request["text"]\n    time.sleep(0.05)\n')
    )
    with begun("run", cwd=folder) as (process, printed):
        while count_starts(folder) == 0:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        left_to_end(process, printed)
    for _ in range(500):
        if count_processes(folder) == 0:
            break
    assert count_processes(folder) == 0
    assert "24 items: 24 judged" in unisafe("run", cwd=folder).stdout


def test_asked_to_stop_it_gives_back_what_had_not_begun(folder: Path) -> None:
    note_starts(folder)
    script = folder / "serve.py"
    script.write_text(
        script.read_text().replace('    text = request["text"]\n', '    text = request["text"]\n    time.sleep(0.2)\n')
    )
    with begun("run", cwd=folder) as (process, printed):
        while count_starts(folder) == 0:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        code, _ = left_to_end(process, printed)
    assert code == 130
    assert count_processes(folder) == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('options = { api_key = "x" }', "options.api_key: looks like a secret"),
        ('env = ["HF_TOKEN=hf_x"]', "env: should hold names of variables"),
        ('devices = ["cuda:0", "cuda:0"]', "devices: names a device twice"),
        ('images = "files"', "images: "),
        ("batch_size = 0", "batch_size"),
        ('base_url = "http://localhost/v1"', 'base_url: goes with provider = "openai"'),
        ('device = "cuda:0"', "did you mean devices?"),
    ],
)
def test_a_mistake_names_its_key(folder: Path, line: str, said: str) -> None:
    write(folder, line)
    refused = unisafe("plan", cwd=folder)
    assert refused.returncode == 2
    assert said in refused.stderr


def test_a_file_that_is_not_there_stops_the_model_before_it_starts(folder: Path) -> None:
    note_starts(folder)
    write(folder)
    bench = folder / "bench.toml"
    bench.write_text(bench.read_text().replace('files = ["serve.py"]', 'files = ["server.py"]'))
    planned = unisafe("plan", cwd=folder)
    assert "Acme-7B cannot be asked yet: files: server.py cannot be read" in " ".join(planned.stdout.split())
    stopped = unisafe("run", cwd=folder)
    assert "files: server.py cannot be read (No such file or directory)" in " ".join(stopped.stdout.split())
    assert count_starts(folder) == 0


def test_check_command_plays_the_protocol(folder: Path) -> None:
    checked = unisafe("check-command", "Acme-7B", cwd=folder)
    assert checked.returncode == 0, checked.stdout
    for check in ("text", "image in", "text to image", "editing"):
        assert f"ok    answers ({check}): " in checked.stdout
    assert "it keeps the protocol" in checked.stdout


def test_check_command_needs_the_section_of_its_model_alone(folder: Path) -> None:
    bench = folder / "bench.toml"
    other = '[[models]]\nname = "Other"\nprovider = "nobody"\n'
    bench.write_text(bench.read_text().split("[judge]")[0].replace("[[models]]", f"{other}[[models]]"))
    checked = unisafe("check-command", "Acme-7B", cwd=folder)
    assert checked.returncode == 0, checked.stderr
    bench.write_text(bench.read_text().replace('files = ["serve.py"]', "files = 3"))
    refused = unisafe("check-command", "Acme-7B", cwd=folder)
    assert refused.returncode == 2
    assert "bench.toml: models[1].files: should be a list" in refused.stderr


SERVED = """
[[models]]
name = "Served"
provider = "server"
model = "m"
serve = { command = ["nowhere", "{port}"] }
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("Served",), "`unisafe doctor` starts it"),
        (("Acme",), "those that do: Acme-7B; did you mean Acme-7B?"),
        (
            ("Acme-7B", "-c", "none.toml"),
            "there is no none.toml that names Acme-7B; for a command itself: unisafe check-command --",
        ),
    ],
)
def test_check_command_of_a_wrong_name_says_which_is_right(folder: Path, words: tuple[str, ...], said: str) -> None:
    write(folder, SERVED)
    refused = unisafe("check-command", *words, cwd=folder)
    assert refused.returncode == 2
    assert said in refused.stderr


def test_a_terminal_shows_how_far_the_command_has_loaded(folder: Path) -> None:
    script = folder / "serve.py"
    lines = """    print(json.dumps({"progress": "loading shard 3 of 8"}), flush=True)
    while not os.path.exists("go"):
        time.sleep(0.01)
"""
    script.write_text(script.read_text().replace('    if mode == "silent":\n', f'{lines}    if mode == "silent":\n'))
    for words in (("check-command", "Acme-7B"), ("doctor", "--yes")):
        with Terminal(*words, folder=folder) as terminal:
            terminal.expect("Acme-7B: loading for ")
            terminal.expect("loading shard 3 of 8")
            (folder / "go").touch()
            assert {"check-command": "it keeps the protocol", "doctor": "nothing is wrong"}[words[0]] in terminal.end()
        (folder / "go").unlink()


def test_check_command_takes_a_script_alone(folder: Path) -> None:
    checked = unisafe("check-command", "--gives", "text, image", "--", sys.executable, "serve.py", cwd=folder)
    assert "ok    answers (text to image): 1 picture" in checked.stdout
    refused = unisafe("check-command", "--", "./serve.py", cwd=folder)
    assert refused.returncode == 1
    assert "./serve.py may not be executed: run `chmod +x ./serve.py`" in " ".join(refused.stdout.split())


def test_the_doctor_looks_for_the_program_and_starts_nothing(folder: Path) -> None:
    write(folder, 'env = ["ACME_HOME_UNSET"]')
    looked = unisafe("doctor", "--free", cwd=folder)
    assert looked.returncode == 0
    assert "env: not set, so it starts without: ACME_HOME_UNSET" in " ".join(looked.stdout.split())
    bench = folder / "bench.toml"
    bench.write_text(bench.read_text().replace(json.dumps(sys.executable), '"/nowhere/python"'))
    looked = unisafe("doctor", "--free", cwd=folder)
    assert looked.returncode == 1
    assert "there is no /nowhere/python" in " ".join(looked.stdout.split())


def test_a_file_without_a_judge_says_what_to_write(folder: Path) -> None:
    bench = folder / "bench.toml"
    bench.write_text(bench.read_text().split("[judge]")[0])
    refused = unisafe("plan", cwd=folder)
    assert refused.returncode == 2
    assert "judge: missing; say who judges: [judge] with provider and model" in refused.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"id": request["id"], **out', '"id": request["id"] + 1, **out'), 'not of the protocol: 3; its last line: {"id": 2'),
        (('return {"text": told, ', 'return {"text": "", '), "answers: text was answered with no text"),
        (('return {"text": told, ', 'return {"error": "broken", '), "it failed: broken; its log: "),
        (('{"images": [{"path": path}], ', "{"), "answers: text to image was answered with no picture"),
        (("if __name__", "import acme\nif __name__"), "ended before it was ready: ModuleNotFoundError: No module named 'acme'"),
    ],
)
def test_check_command_names_what_is_wrong(folder: Path, change: tuple[str, str], said: str) -> None:
    script = folder / "serve.py"
    script.write_text(script.read_text().replace(*change))
    write(folder, "patience_s = 1.0")
    checked = unisafe("check-command", "Acme-7B", cwd=folder)
    assert checked.returncode == 1, checked.stdout
    assert said in " ".join(checked.stdout.split())
