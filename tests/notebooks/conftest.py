from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.plugins.conftest import installed

ROOT = Path(__file__).parents[2]
BENCH = """
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "<b>Bold</b>"
provider = "simulated"
model = "balanced"
takes = ["text", "image"]
"""


def python_with_the_wheel(folder: Path) -> Path:
    """A Python with the built wheel, and what is installed here beside the project; this folder is not on its path."""
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder / "venv", symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder / "venv"), "platbase": str(folder / "venv")}))
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv is not None, "these tests need uv, as the README's test command does"
    built = folder / "dist"
    options = ["--quiet", "--offline", "--no-build-isolation", "--python", sys.executable]
    subprocess.run(
        [uv, "build", "--wheel", *options, "--out-dir", str(built), str(ROOT)], check=True, capture_output=True, text=True
    )
    (wheel,) = built.glob("*.whl")
    installed(wheel, site)
    return folder / "venv" / "bin" / "python"


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with_the_wheel(tmp_path_factory.mktemp("wheel"))


class Notebook:
    """A notebook in a folder of its own, whose kernel has the wheel and no ipywidgets."""

    def __init__(self, client: NotebookClient) -> None:
        self._client = client

    def run(self, source: str) -> list[Any]:
        """What a cell shows. Raises CellExecutionError."""
        cell = nbformat.v4.new_code_cell(source)
        self._client.nb.cells.append(cell)
        self._client.execute_cell(cell, len(self._client.nb.cells) - 1)
        return cell.outputs

    def error(self, source: str) -> str:
        """The name and the words of what a cell raises."""
        with pytest.raises(CellExecutionError) as raised:
            self.run(source)
        return f"{raised.value.ename}: {raised.value.evalue}"

    def value(self, source: str) -> Any:
        """What an expression is, by way of JSON."""
        shown = self.run(f"import json; print(json.dumps({source}))")
        return json.loads("".join(output.text for output in shown if output.get("name") == "stdout"))


@pytest.fixture(scope="module")
def notebook(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    folder = tmp_path_factory.mktemp("nb")
    kernel = folder / "kernels" / "wheel"
    kernel.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "wheel", "language": "python"}))
    specs = KernelSpecManager(kernel_dirs=[str(folder / "kernels")])
    manager = AsyncKernelManager(kernel_name="wheel", kernel_spec_manager=specs, connection_file=str(folder / "kernel.json"))
    manager.transport, manager.ip = "ipc", str(folder / "socket")
    home = folder / "home"
    home.mkdir()
    (home / "bench.toml").write_text(BENCH)
    resources = {"metadata": {"path": str(home)}}
    client = NotebookClient(nbformat.v4.new_notebook(), km=manager, timeout=60, resources=resources)
    known = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"IPYTHONDIR": str(folder / "ipython")}
    with client.setup_kernel(env=known, cleanup_kc=True):
        yield Notebook(client)
