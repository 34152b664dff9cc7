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
    from unisafe_async.evaluation import Run
    from unisafe_async.library import Result, evaluate, load
    from unisafe_async.results.comparison import backbones, duels, paired
    from unisafe_async.results.paper import published
    from unisafe_async.results.scores import Coverage, Score, Share, Where

    __version__: str

_HOMES = {
    "Agreement": "unisafe_async.calibration",
    "CacheError": "cache",
    "Config": "unisafe_async.config",
    "ConfigError": "unisafe_async.config",
    "Coverage": "unisafe_async.results.scores",
    "Dataset": "unisafe_async.dataset",
    "DatasetError": "unisafe_async.dataset",
    "Result": "unisafe_async.library",
    "Row": "cache",
    "Run": "unisafe_async.evaluation",
    "Score": "unisafe_async.results.scores",
    "Share": "unisafe_async.results.scores",
    "Where": "unisafe_async.results.scores",
    "agree": "unisafe_async.calibration",
    "backbones": "unisafe_async.results.comparison",
    "duels": "unisafe_async.results.comparison",
    "evaluate": "unisafe_async.library",
    "load": "unisafe_async.library",
    "load_config": "unisafe_async.config",
    "open_dataset": "unisafe_async.dataset",
    "paired": "unisafe_async.results.comparison",
    "parse_config": "unisafe_async.config",
    "published": "unisafe_async.results.paper",
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
    """The public names, so that completion finds what was not asked for yet."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def _version() -> str:
    """The version that is installed; `0` where the program runs from a folder that nobody installed."""
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
    "Where",
    "__version__",
    "agree",
    "backbones",
    "duels",
    "evaluate",
    "load",
    "load_config",
    "open_dataset",
    "paired",
    "parse_config",
    "published",
]
