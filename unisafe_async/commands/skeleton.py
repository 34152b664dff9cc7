"""Writes a new provider's package from templates: it works at once, and its test is the conformance suite."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from unisafe_providers.registry import list_names, plugin_of

from unisafe_async.errors import UsageError

NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")


def write_skeleton(name: str, folder: Path | None = None) -> list[Path]:
    """Write the package of a provider `name` into `folder` (default: `unisafe-NAME` here), and return its files.

    Raises UsageError if the name is wrong or taken, or if the folder is not empty.
    """
    if not NAME.fullmatch(name) or len(name) > 40:
        raise UsageError(
            f"{name!r} cannot be a provider's name: lower-case letters and digits, words joined by - or _, such as my-api"
        )
    if name in list_names():
        plugin = plugin_of(name)
        whose = f"the plugin of {plugin.origin}" if plugin else "a built-in provider"
        raise UsageError(f"{name!r} is taken by {whose}; choose another name")
    words = re.split("[_-]", name)
    module, package = f"unisafe_{'_'.join(words)}", f"unisafe-{'-'.join(words)}"
    if find_spec(module) is not None:
        raise UsageError(f"{name!r} would make the module {module}, and one of that name is installed; choose another name")
    folder = folder or Path(package)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already; name another --folder (nothing is overwritten)")
    filled = {"name": name, "module": module, "package": package, "class_name": "".join(map(str.capitalize, words)) + "Provider"}
    places = {
        "pyproject.toml.template": folder / "pyproject.toml",
        "provider.py.template": folder / module / "__init__.py",
        "test_provider.py.template": folder / "tests" / f"test_{'_'.join(words)}.py",
        "README.md.template": folder / "README.md",
    }
    templates = files("unisafe_async").joinpath("data", "new_provider")
    try:
        for template, path in places.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            text = Template(templates.joinpath(template).read_text("utf-8")).substitute(filled)
            path.write_text(text, "utf-8", newline="\n")
        typed = folder / module / "py.typed"
        typed.touch()
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return [*places.values(), typed]
