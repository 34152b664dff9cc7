"""What is written against the wheel is checked by mypy as strictly as it can."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.notebooks.conftest import ROOT, python_with_the_wheel
from unisafe_async.commands.skeleton import write_skeleton

PLUGIN = ROOT / "tests" / "plugins" / "echo_plugin" / "unisafe_echo"


def test_a_script_and_plugins_written_against_the_wheel_are_sound_types(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    # At a path that stays, so that mypy reads the packages around it but once.
    python = python_with_the_wheel(pytestconfig.cache.mkdir("wheel"))
    write_skeleton("typed-api", tmp_path / "written")
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python)),
            *("--cache-dir", str(pytestconfig.cache.mkdir("mypy")), "--config-file", ""),
            *(str(ROOT / "tests" / "notebooks" / "script.py"), str(PLUGIN), str(tmp_path / "written")),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "no issues found in 4 source files" in checked.stdout


def test_every_package_of_the_wheel_says_that_it_is_typed(python: Path) -> None:
    (wheel,) = (python.parents[2] / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.split("/")[0] for name in names if name.endswith("/__init__.py")}
    assert packages == {"unisafe_async", "unisafe_providers", "unisafe_judger", "unisafe_cache"}
    assert {f"{package}/py.typed" for package in packages} <= set(names)
