from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import forked
import pytest


def installed(package: Path, site: Path) -> Path:
    """`package` built by its own backend and installed into the folder `site`, offline, as `uv pip install` does anywhere."""
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv is not None, "these tests need uv, as the README's test command does"
    offline = ["--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    command = [uv, "pip", "install", *offline, "--python", sys.executable, "--target", str(site), str(package)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages with the third party's plugin in it."""
    folder = tmp_path_factory.mktemp("plugins")
    package = shutil.copytree(Path(__file__).parent / "echo_plugin", folder / "package")
    return installed(package, folder / "site")


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def unisafe(tmp_path: Path, site: Path) -> Command:
    """The command as a user types it, in `tmp_path`, with the plugin installed."""

    def run(*arguments: str, path: Path = site, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {**os.environ, "COLUMNS": "400", "PYTHONPATH": str(path), "ECHO_LOG": str(tmp_path / "log"), **environment}
        return forked.unisafe(*arguments, cwd=tmp_path, env=known)

    return run
