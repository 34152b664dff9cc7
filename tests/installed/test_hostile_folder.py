"""What we install and what a user's own folder holds never stand in for each other, whatever the user's files are called."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from tiny_models import LLAMA

OURS = {"unisafe_async", "unisafe_cache", "unisafe_judger", "unisafe_providers"}
BENCH = """
[generation]
max_tokens = 8
[judge]
provider = "simulated"
model = "judge"
simulation = { guess = 0.3 }
[[models]]
name = "sim"
provider = "simulated"
model = "balanced"
takes = ["text", "image"]
tasks = ["malicious_text_generation"]
"""


def write_hostile(folder: Path) -> Path:
    """Files of a user's that end the program that runs them, under the names of our folders."""
    for file in ("cache.py", "providers/__init__.py", "providers/local/__init__.py", "judger.py"):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'raise SystemExit("{file} was run")\n')
    return folder


def ask(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    known = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    return subprocess.run([str(python), *arguments], cwd=folder, env=known, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_hostile(tmp_path)


def test_the_main_job_runs_no_file_of_the_users(crowded_python: Path, folder: Path) -> None:
    (folder / "bench.toml").write_text(BENCH)
    done = ask(crowded_python, folder, "-m", "unisafe_async.cli", "run")
    assert "was run" not in done.stdout + done.stderr
    assert (done.returncode, done.stdout.count("16 items: 16 judged")) == (0, 1), done.stdout + done.stderr


def test_a_script_beside_these_files_imports_all_of_ours(crowded_python: Path, folder: Path) -> None:
    (folder / "my_eval.py").write_text(
        "import json, pathlib, unisafe_async, unisafe_cache, unisafe_judger, unisafe_providers\n"
        "faces = [unisafe_async, unisafe_cache, unisafe_judger, unisafe_providers]\n"
        "assert all(getattr(face, name) is not None for face in faces for name in face.__all__)\n"
        "print(json.dumps([face.__name__ for face in faces]))\n"
    )
    done = ask(crowded_python, folder, "my_eval.py")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == OURS


def test_a_local_model_runs_no_file_of_the_users(
    crowded_python: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = LLAMA.build(tmp_path_factory.mktemp("llama"))
    local = f'[[models]]\nname = "tiny"\nprovider = "transformers"\nmodel = {json.dumps(str(model))}\n'
    (folder / "bench.toml").write_text(BENCH + local + 'tasks = ["malicious_text_generation"]\n')
    done = ask(crowded_python, folder, "-m", "unisafe_async.cli", "run", "--model", "tiny", "--limit", "2")
    assert "was run" not in done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_installs_names_of_its_own_alone(crowded_python: Path) -> None:
    (wheel,) = (crowded_python.parents[2] / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        typed = {name.split("/")[0] for name in archive.namelist() if name.endswith("/py.typed")}
    assert {top for top in tops if not top.endswith(".dist-info")} == OURS == typed
