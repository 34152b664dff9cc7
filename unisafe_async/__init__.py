"""unisafe-async: how safe are multimodal models? Uni-SafeBench over hosted and local models, every call paid for once.

result = await unisafe_async.evaluate("bench.toml")                 # in a notebook
result = asyncio.run(unisafe_async.evaluate("bench.toml"))          # in a script
result = unisafe_async.load()                                       # the newest run in the cache, without asking anybody
result.scores_dataframe("model"), result.to_dataframe()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unisafe_async._face import *  # noqa: F403 each name stands there, once

    __version__: str
else:

    def __getattr__(name: str) -> object:
        """Import the public names when one is first asked for, so that `unisafe --help` answers at once."""
        if name == "__version__":
            return _version()
        if name == "__all__":
            return _public_names()
        if name.startswith("_") or name not in _public_names():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from unisafe_async import _face

        return getattr(_face, name)


def __dir__() -> list[str]:
    """The public names, so that completion finds names that were not imported yet."""
    return sorted({*_public_names(), *(name for name in globals() if name.startswith("__"))})


def _public_names() -> list[str]:
    from unisafe_async import _face

    return [*(name for name in vars(_face) if not name.startswith("_")), "__version__"]


def _version() -> str:
    """The installed version; `0` if the program runs from a folder that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("unisafe-async")
    except PackageNotFoundError:
        return "0"
