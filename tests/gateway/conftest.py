from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from unisafe_cache import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "cache.duckdb") as store:
        yield store
