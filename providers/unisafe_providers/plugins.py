"""Plugins of other packages in an entry-point group: they are found without an import and loaded one at a time.

`discover_plugins("unisafe.providers")` reads the metadata of installed packages; `Plugin.load` imports one. A plugin that is
broken, or whose name is taken, raises an error when a model uses it, and does not affect other plugins.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from unisafe_providers.errors import UnisafeError

OWN_PACKAGE = "unisafe-async"
"""Its entry points are no plugins (own_entries.py)."""
RENAMED = {old: f"unisafe_{old}" for old in ("providers", "judger", "cache")}
"""Packages of ours by the names that they once had."""


class PluginError(UnisafeError):
    """A plugin cannot be used; the message names the plugin and its package, and says what to change.

    `key` is the key of bench.toml that it is about.
    """

    def __init__(self, message: str, key: str = "provider") -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry point of an installed package.

    Args:
        name: what bench.toml calls it.
        target: where it is, such as `some_package.module:Thing`.
        package, version: the distribution that brings it.
        problem: why it cannot be used, as far as that is known without an import; empty if nothing is wrong.
    """

    name: str
    group: str
    target: str
    package: str
    version: str
    problem: str = ""

    @property
    def origin(self) -> str:
        """`PACKAGE VERSION`."""
        return f"{self.package} {self.version}"

    def load(self) -> Any:  # noqa: ANN401 whatever the package puts there; the group's owner checks it
        """Import what the entry point names. Raises PluginError."""
        if self.problem:
            raise PluginError(self.problem)
        try:
            return EntryPoint(self.name, self.target, self.group).load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit and a GeneratorExit of its own too
            words = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(
                f"the plugin {self.name!r} of {self.origin} cannot be loaded from {self.target}: {words}{_say_new_name(error)}"
            ) from error


def _say_new_name(error: BaseException) -> str:
    """What to change in a plugin that was written for a version whose packages had other names; empty for any other error."""
    old = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    return f"; the package `{old}` is named `{RENAMED[old]}` now: import from there" if old in RENAMED else ""


def discover_plugins(group: str, taken: Collection[str] = ()) -> dict[str, Plugin]:
    """Every plugin of `group` by name, sorted; one whose name is `taken`, or claimed by two packages, has a `problem`."""
    plugins: dict[str, Plugin] = {}
    for name, claims in _claims(group, tuple(sys.path)).items():
        first = claims[0]
        problem = ""
        if name in taken:
            problem = f"the plugin {name!r} of {first.origin} has the name of a built-in one; it must take another name"
        elif len(claims) > 1:
            owners = " and ".join(claim.origin for claim in claims)
            problem = f"two plugins are named {name!r}, of {owners}; uninstall one of the packages"
        plugins[name] = Plugin(
            name=name, group=group, target=first.target, package=first.package, version=first.version, problem=problem
        )
    return plugins


@lru_cache(maxsize=16)
def _claims(group: str, _path: tuple[str, ...]) -> dict[str, tuple[Plugin, ...]]:
    """The packages that provide each name; read once for each import path."""
    claims: dict[str, list[Plugin]] = {}
    for entry in entry_points(group=group):
        package = getattr(entry.dist, "name", None) or "an unnamed package"
        version = getattr(entry.dist, "version", None) or "of no version"
        if str(package).replace("_", "-").lower() == OWN_PACKAGE:
            continue
        claims.setdefault(entry.name, []).append(
            Plugin(name=entry.name, group=group, target=entry.value, package=str(package), version=str(version))
        )
    return {name: tuple(sorted(claims[name], key=lambda plugin: plugin.package)) for name in sorted(claims)}
