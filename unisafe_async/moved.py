"""Import paths of earlier versions: they still work, and say in one sentence where a name is now."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib import import_module


def redirect(new: str, *, at: str, only: tuple[str, ...] = ()) -> Callable[[str], object]:
    """The `__getattr__` of module `at`, whose names are in module `new` today: all, or `only` some; each is told of once."""

    def look_up(name: str) -> object:
        if name.startswith("__") or (only and name not in only):
            raise AttributeError(f"module {at!r} has no attribute {name!r}")
        found: object = getattr(import_module(new), name)
        setattr(sys.modules[at], name, found)  # once is enough: `from package import name` looks twice
        warnings.warn(f"{at}.{name} is {new}.{name} now: import it from there", DeprecationWarning, stacklevel=2)
        return found

    return look_up
