"""docs/architecture.md is a map: every path on it leads somewhere, and every package is on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
ROOMS = ("providers", "judger", "cache", "unisafe_async")
PATHS = sorted(set(re.findall(rf"`((?:{'|'.join((*ROOMS, 'tests', 'benchmarks'))})/[\w./-]*)`", PAGE)))
PACKAGES = sorted({file.parent.relative_to(ROOT).as_posix() for room in ROOMS for file in (ROOT / room).rglob("__init__.py")})


@pytest.mark.parametrize("path", PATHS)
def test_every_path_on_the_map_leads_somewhere(path: str) -> None:
    there = ROOT / path
    assert there.is_dir() if path.endswith("/") else there.is_file(), f"docs/architecture.md names {path}, which is not there"


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "unisafe_async"])
def test_every_package_is_on_the_map(package: str) -> None:
    assert f"| `{package}/` |" in PAGE, f"the table of packages in docs/architecture.md lacks {package}"


def test_the_map_names_paths_at_all() -> None:
    assert len(PATHS) > 40


@pytest.mark.parametrize("folder", ["providers", "judger", "cache"])
def test_each_folder_at_the_top_says_what_it_is_and_where_to_begin(folder: str) -> None:
    page = (ROOT / folder / "README.md").read_text("utf-8")
    named = re.findall(r"`([\w/]+\.(?:py|md|toml))`", page)
    assert named, f"{folder}/README.md names no file to begin with"
    inside = ROOT / folder / f"unisafe_{folder}"
    assert [name for name in named if not (inside / name).is_file()] == []
