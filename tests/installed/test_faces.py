"""Each package has a face: what a user may import stands there, and the documentation imports nothing else."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FACES = ("unisafe_async", "unisafe_providers", "unisafe_providers.conformance", "unisafe_judger", "unisafe_cache")
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("unisafe_async/data/**/*.template")]
)


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("name", [name for name in FACES if "." not in name])
def test_a_face_lists_what_it_holds_and_no_more(name: str) -> None:
    face = importlib.import_module(name)
    listed = face.__all__
    assert len(listed) == len(set(listed))
    assert [each for each in listed if not hasattr(face, each)] == []
    held = {each for each, value in vars(face).items() if not each.startswith("_") and not isinstance(value, ModuleType)}
    assert held - {"annotations", "TYPE_CHECKING"} <= set(listed)


def imports_in(page: Path) -> list[tuple[str, str]]:
    """Module and name of every `from unisafe_... import ...` that a page shows."""
    found: list[tuple[str, str]] = []
    for match in re.finditer(r"^ *from (unisafe_\w+(?:\.\w+)*) import (\([^)]*\)|[^\n#`]*)", page.read_text("utf-8"), re.MULTILINE):
        statement = ast.parse(f"from {match[1]} import {match[2].strip()}").body[0]
        assert isinstance(statement, ast.ImportFrom)
        found += [(match[1], alias.name) for alias in statement.names]
    return found


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_documented_imports_come_from_the_faces(page: Path) -> None:
    for module, name in imports_in(page):
        assert module in FACES, f"{shown(page)} imports {name} from {module}, which is no face"
        assert name in importlib.import_module(module).__all__, f"{shown(page)}: {module} lists no {name}"


def test_the_pages_show_imports_at_all() -> None:
    assert sum(len(imports_in(page)) for page in PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_no_page_names_a_package_as_it_was_once_called(page: Path) -> None:
    lines = [
        line for line in page.read_text("utf-8").splitlines() if re.match(r"\s*(from|import) (providers|judger|cache)\b", line)
    ]
    assert lines == []
