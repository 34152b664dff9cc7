"""Our own entry points, without a look at every installed package.

They stand in one place, pyproject.toml. In a source checkout that file itself is read, so that code and entry points are of one
version whatever an earlier `pip install -e` left behind; an installed package has them in its metadata.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from unisafe_providers.plugins import OWN_PACKAGE, Plugin, PluginError

FOLDERS = Path(__file__).resolve().parents[1:3]
"""Where pyproject.toml lies in a source checkout: beside the folder of this package, or beside the one that holds it."""


LOST = f"the providers of {OWN_PACKAGE} cannot be found"


def read_own_entries(group: str) -> list[Plugin]:
    """The entry points of this package in `group`, in the order of pyproject.toml. Raises PluginError where nothing names any."""
    for folder in FOLDERS:
        project = _read_project(folder / "pyproject.toml")
        if project is not None:
            entries = project.get("entry-points", {}).get(group, {})
            return [
                Plugin(name=name, group=group, target=target, package=OWN_PACKAGE, version=str(project["version"]))
                for name, target in entries.items()
            ]
    try:
        ours = distribution(OWN_PACKAGE)
    except PackageNotFoundError:
        raise PluginError(f"{LOST}: it is neither installed nor a source checkout; `pip install {OWN_PACKAGE}`") from None
    entries = [
        Plugin(name=entry.name, group=group, target=entry.value, package=OWN_PACKAGE, version=ours.version)
        for entry in ours.entry_points.select(group=group)
    ]
    if not entries:
        raise PluginError(f"{LOST}: its code is not of the version that is installed ({ours.version}); install it again")
    return entries


def _read_project(path: Path) -> Mapping[str, Any] | None:
    """The table `project` of our own pyproject.toml; None where `path` is none, or another project's."""
    try:
        project = tomllib.loads(path.read_text("utf-8")).get("project", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    return project if project.get("name") == OWN_PACKAGE else None
