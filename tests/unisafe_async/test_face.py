"""What the packages offer: every name is there, is listed once, and costs nothing until somebody asks for it."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest
import unisafe_cache
import unisafe_judger
import unisafe_providers

import unisafe_async


@pytest.mark.parametrize(
    "package", [unisafe_async, unisafe_providers, unisafe_judger, unisafe_cache], ids=lambda package: package.__name__
)
def test_every_name_that_is_offered_is_there(package: ModuleType) -> None:
    assert len(set(package.__all__)) == len(package.__all__) > 5
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))


def test_what_is_documented_is_offered() -> None:
    offered = {
        "evaluate",
        "load",
        "agree",
        "load_config",
        "parse_config",
        "open_dataset",
        "UnisafeError",
        "UsageError",
        "ConfigError",
    }
    assert offered | {"CacheError", "DatasetError", "VendorError", "Result", "Score", "Share", "Row", "__version__"} <= set(
        unisafe_async.__all__
    )


def test_a_name_of_nothing_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'unisafe_async' has no attribute 'evalute'"):
        _ = unisafe_async.evalute  # type: ignore[attr-defined]


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, unisafe_async.cli; assert not {'duckdb', 'unisafe_cache', 'unisafe_providers', 'unisafe_async._face'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", f"{code}\nfrom unisafe_async import *\nevaluate, UnisafeError, __version__"], check=True)
