"""Simulated models: in this process (simulated.py, spec.py), and over HTTP as each vendor would serve them (server.py).

The server's names are imported when they are asked for: whoever names a simulated model in bench.toml needs no server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unisafe_async.simulate.server import FAULTS, Faults, Simulator, open_server

__all__ = ["FAULTS", "Faults", "Simulator", "open_server"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 whatever of `__all__` is asked for
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from unisafe_async.simulate import server

    return getattr(server, name)
