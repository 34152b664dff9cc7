"""What people see before they install: the page on PyPI, the README, the docs site, the workflow."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md")]


def links_of(text: str) -> list[str]:
    """The targets of all links and pictures outside code."""
    return LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_no_link_on_pypi_leads_nowhere() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hatch_fancy_pypi_readme"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# unisafe-async")
    assert [target for target in links_of(done.stdout) if not target.startswith(("https://", "#"))] == []
    assert "The picture" not in done.stdout
    kept = re.findall(r"(?<!!)\[([^]]+)\]\((?!https?:|#)", (ROOT / "README.md").read_text())
    assert [words for words in kept if words not in done.stdout] == []


def build(folder: Path, target: str, into: Path) -> Path:
    """The file that hatchling builds of `folder`: `target` is sdist or wheel."""
    line = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return next(into.glob("*.tar.gz" if target == "sdist" else "*.whl"))


def test_a_wheel_is_built_from_the_source_archive_alone(tmp_path: Path) -> None:
    with tarfile.open(build(ROOT, "sdist", tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data")
    with zipfile.ZipFile(build(next(tmp_path.glob("unisafe_async-*/")), "wheel", tmp_path)) as wheel:
        names = wheel.namelist()
        page = wheel.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    assert "# unisafe-async" in page
    assert {"unisafe_async/cli.py", "unisafe_async/page/page.html", "unisafe_async/data/paper/published_results.csv"} <= set(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_the_repository_s_pages_leads_to_a_file(page: Path) -> None:
    inside = [target for target in links_of(page.read_text()) if not target.startswith(("https://", "#", "mailto:"))]
    assert [target for target in inside if not (ROOT / target.partition("#")[0]).exists()] == []


def test_every_page_of_the_docs_is_found_by_the_site_s_menu() -> None:
    def pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        inner = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ()
        return [page for one in inner for page in pages(one)]

    menu = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(pages(menu)) == sorted(there)


def test_every_part_that_the_workflow_asks_for_is_one_of_the_script() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    parts = re.findall(r"bash \.ci/run ([a-z-]+)$", (ROOT / ".github" / "workflows" / "ci.yml").read_text(), re.MULTILINE)
    assert parts == ["portable", "coverage", "docs"]
    assert [part for part in parts if not re.search(rf"^    {part}\)", script, re.MULTILINE)] == []


def test_every_python_that_is_promised_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r"Python :: 3\.\d+$", line)]
    matrix = re.search(r"python: \[(.*)\]", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert matrix is not None
    assert re.findall(r"[\d.]+", matrix[1]) == promised
