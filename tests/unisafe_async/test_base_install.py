"""The base installation: the main job and the reports run with nothing that only an extra or a developer installs.

Whatever no package of the base installation needs is hidden from the command, so that an import of something new is seen too.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
WITHOUT = """
import sys

hidden = frozenset(sys.argv.pop(1).split(","))


class Finder:
    def __init__(self, real):
        self.real = real

    def find_spec(self, name, *places):
        return None if name.partition(".")[0] in hidden else self.real.find_spec(name, *places)

    def __getattr__(self, name):
        return getattr(self.real, name)


sys.meta_path[:] = map(Finder, sys.meta_path)
"""
COMMAND = f"""{WITHOUT}
from unisafe_async.cli import main

sys.argv[0] = "unisafe"
main()
"""
FRAME = f"""{WITHOUT}
import unisafe_async

try:
    unisafe_async.load().to_dataframe()
except ImportError as error:
    print(error)
"""
BENCH = """
[dataset]
source = "{source}"
limit = 12

[judge]
provider = "simulated"
model = "judge"

[[models]]
name = "one"
provider = "simulated"
model = "cautious"

[[models]]
name = "other"
provider = "simulated"
model = "balanced"
"""


def base_packages() -> set[str]:
    """The names of all distributions that an installation without extras brings, ours included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = {"unisafe-async"}
    waiting = [Requirement(line) for line in project["dependencies"]]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if wanted.marker is not None and not any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
            continue
        if name in known and not wanted.extras:
            continue
        known.add(name)
        for line in requires(name) or ():
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
                waiting.append(inner)
    return known


@pytest.fixture(scope="module")
def hidden() -> str:
    """The import names that the base installation lacks."""
    base = base_packages()
    owners = packages_distributions()
    lacking = sorted(module for module, names in owners.items() if not base & {canonicalize_name(name) for name in names})
    assert {"matplotlib", "pandas", "scipy", "statsmodels", "openai", "uvloop", "huggingface_hub", "torch"} & set(owners) <= set(
        lacking
    )
    return ",".join(lacking)


@pytest.fixture(scope="module")
def folder(hidden: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was made by a base installation."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "bench.toml").write_text(BENCH.format(source="sample"))
    done = unisafe(folder, hidden, "run")
    assert done.returncode == 0, done.stderr
    return folder


def unisafe(folder: Path, hidden: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`unisafe ARGUMENTS` in `folder`, where no module named in `hidden` can be imported."""
    return python(COMMAND, folder, hidden, *arguments)


def python(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", script, *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_the_page_is_written_without_plots_and_says_so(folder: Path, hidden: str) -> None:
    done = unisafe(folder, hidden, "report", "--html", "page.html")
    sentence = "a plot needs the extra `paper`: pip install 'unisafe-async[paper]'"
    assert (done.returncode, done.stderr.strip()) == (0, f"the page has no plots: {sentence}")
    page = (folder / "page.html").read_text()
    assert "No plots: " in page
    assert 'class="plot"' not in page


def test_a_plot_asks_for_its_extra_in_one_sentence(folder: Path, hidden: str) -> None:
    done = unisafe(folder, hidden, "report", "--png", "figure.png")
    assert done.returncode == 2
    assert done.stderr == "unisafe: report --png needs the extra `paper`: pip install 'unisafe-async[paper]'\n"
    assert not list(folder.glob("figure*"))


def test_models_are_compared(folder: Path, hidden: str) -> None:
    done = unisafe(folder, hidden, "compare", "one", "other")
    assert done.returncode == 0, done.stderr


def test_a_dataset_at_the_hub_asks_for_its_extra(folder: Path, hidden: str, tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text(BENCH.format(source="hf:owner/name"))
    done = unisafe(tmp_path, hidden, "run")
    assert done.returncode == 2
    assert done.stderr.startswith("unisafe: hf:owner/name needs the extra `hub`: pip install 'unisafe-async[hub]'")
    done = unisafe(tmp_path, hidden, "doctor", "--free")
    assert "unisafe-async[hub]" in done.stdout


def test_a_data_frame_asks_for_pandas_in_one_sentence(folder: Path, hidden: str) -> None:
    done = python(FRAME, folder, hidden)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pandas" in done.stdout
    assert "pip install" in done.stdout
