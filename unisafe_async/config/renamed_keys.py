"""Keys of bench.toml that have a new name: the old one is still read, and one sentence says so."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

RENAMED = {"generation": {"samples": "repeats"}}
"""By section: each old key and its new name. The section's model reads both (AliasChoices); runs are stored with the old one."""


class OldName(FutureWarning):
    """A configuration or a command line uses an old name, which is still read."""


def warn_of_old_keys(table: dict[str, Any], name: str) -> None:
    """Warn once for each old key in `table`, the content of the file `name`."""
    for section, old, new in _old_keys(table):
        warn_of_old_name(f"{name}: {section}.{old}", f"{section}.{new}")


def warn_of_old_name(place: str, new: str) -> None:
    """Warn that the key or option at `place` is the old name of `new`."""
    warnings.warn(f"{place}: this is the old name of {new}; it is still read, but use {new}", OldName, stacklevel=3)


def override_keys(given: dict[str, Any], values: dict[str, Any], section: str) -> dict[str, Any]:
    """The keys `given` in a section with `values` in their place; a new name replaces its old one too."""
    replaced = {old for old, new in RENAMED.get(section, {}).items() if new in values}
    return {**{key: value for key, value in given.items() if key not in replaced}, **values}


def new_name(section: str, key: str) -> str | None:
    """The new name of an old `key`; None for any other key."""
    return RENAMED.get(section, {}).get(key)


def _old_keys(table: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for section, names in RENAMED.items():
        given = table.get(section)
        for old, new in names.items():
            if isinstance(given, dict) and old in given:
                yield section, old, new
