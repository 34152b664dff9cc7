"""unisafe-async: how safe are multimodal models? Uni-SafeBench over hosted and local models, every call paid for once.

result = await unisafe_async.evaluate("bench.toml")                 # in a notebook
result = asyncio.run(unisafe_async.evaluate("bench.toml"))          # in a script
result = unisafe_async.load()                                       # the newest run in the cache, without asking anybody
result.scores_dataframe("model"), result.to_dataframe()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cache import CacheError, Row
    from unisafe_async.calibration import Agreement, agree
    from unisafe_async.config import Config, ConfigError, load_config, parse_config
    from unisafe_async.dataset import Dataset, DatasetError, open_dataset
    from unisafe_async.evaluation import Run, evaluate
    from unisafe_async.results import Result, load
    from unisafe_async.scores import Coverage, Score, Share

    __version__: str

_HOMES = {
    "Agreement": "unisafe_async.calibration",
    "CacheError": "cache",
    "Config": "unisafe_async.config",
    "ConfigError": "unisafe_async.config",
    "Coverage": "unisafe_async.scores",
    "Dataset": "unisafe_async.dataset",
    "DatasetError": "unisafe_async.dataset",
    "Result": "unisafe_async.results",
    "Row": "cache",
    "Run": "unisafe_async.evaluation",
    "Score": "unisafe_async.scores",
    "Share": "unisafe_async.scores",
    "agree": "unisafe_async.calibration",
    "evaluate": "unisafe_async.evaluation",
    "load": "unisafe_async.results",
    "load_config": "unisafe_async.config",
    "open_dataset": "unisafe_async.dataset",
    "parse_config": "unisafe_async.config",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that `unisafe --help` answers at once."""
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, so that completion finds names that were not imported yet."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def _version() -> str:
    """The installed version; `0` if the program runs from a folder that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("unisafe-async")
    except PackageNotFoundError:
        return "0"


__all__ = [
    "Agreement",
    "CacheError",
    "Config",
    "ConfigError",
    "Coverage",
    "Dataset",
    "DatasetError",
    "Result",
    "Row",
    "Run",
    "Score",
    "Share",
    "__version__",
    "agree",
    "evaluate",
    "load",
    "load_config",
    "open_dataset",
    "parse_config",
]
