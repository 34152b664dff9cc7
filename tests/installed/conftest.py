from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.conftest import python_with_the_wheel


@pytest.fixture(scope="session")
def crowded_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with our wheel, and beside it packages of others that are named as our folders are."""
    python = python_with_the_wheel(tmp_path_factory.mktemp("crowded"))
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    for name in ("cache", "providers", "judger"):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(f"NAME = {name!r}\n")
    return python
