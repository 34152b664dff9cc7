"""What people see before they install: the page on PyPI, the README, the docs site, the workflow."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
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
