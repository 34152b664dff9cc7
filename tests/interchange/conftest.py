from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from unisafe_async import Result, evaluate, parse_config

MODEL = {"provider": "simulated", "model": "balanced", "takes": ["text", "image"], "gives": ["text", "image"]}
HOSTILE = '=HYPERLINK("x") | 50% & $x_1$ \\end{table} **b** <!-- --> -->'


def settings(**changes: Any) -> dict[str, Any]:
    """A bench.toml of two simulated models, one with a hostile name, and a judge that is not always understood."""
    return {
        "dataset": {"source": "sample"},
        "judge": {"provider": "simulated", "model": "judge", "simulation": {"garbled": 0.1, "judge_blocked": 0.05}},
        "models": [{"name": HOSTILE, **MODEL}, {"name": "Sim-B", **MODEL, "model": "permissive"}],
        **changes,
    }


@dataclass(frozen=True)
class Bench:
    """A folder with a configuration and the cache of its runs."""

    folder: Path

    @property
    def cache(self) -> Path:
        return self.folder / "unisafe.duckdb"

    def run(self, **changes: Any) -> Result:
        config = parse_config(settings(**changes), base=self.folder)
        return anyio.run(lambda: evaluate(config))


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("first"))
    bench.run(generation={"repeats": 2})
    return bench


@pytest.fixture
def finished(first_run: Bench, tmp_path: Path) -> Bench:
    """A finished run of two repeats of each item, some unjudged, in a cache of its own."""
    folder = tmp_path / "bench"
    folder.mkdir()
    shutil.copy(first_run.cache, folder)
    return Bench(folder)


@pytest.fixture
def new_bench(tmp_path: Path) -> Callable[[str], Bench]:
    def make(name: str) -> Bench:
        (tmp_path / name).mkdir()
        return Bench(tmp_path / name)

    return make
