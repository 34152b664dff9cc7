"""Writes a new provider from templates, as a package with the conformance suite or as one script: it works at once."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from unisafe_providers.registry import list_names, plugin_of

from unisafe_async.errors import UsageError

NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
MODEL_NAME = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")
HELPER = "unisafe_serve.py"
"""The script's side of the protocol: one file without dependencies, copied beside each script."""


def write_skeleton(name: str, folder: Path | None = None) -> list[Path]:
    """Write the package of a provider `name` into `folder` (default: `unisafe-NAME` here), and return its files.

    Raises UsageError if the name is wrong or taken, or if the folder is not empty.
    """
    _check_name(name)
    if name in list_names():
        plugin = plugin_of(name)
        whose = f"the plugin of {plugin.origin}" if plugin else "a built-in provider"
        raise UsageError(f"{name!r} is taken by {whose}; choose another name")
    words = re.split("[_-]", name)
    module, package = f"unisafe_{'_'.join(words)}", f"unisafe-{'-'.join(words)}"
    if find_spec(module) is not None:
        raise UsageError(f"{name!r} would make the module {module}, and one of that name is installed; choose another name")
    folder = folder or Path(package)
    _check_free(folder)
    filled = {"name": name, "module": module, "package": package, "class_name": "".join(map(str.capitalize, words)) + "Provider"}
    places = {
        "pyproject.toml.template": folder / "pyproject.toml",
        "provider.py.template": folder / module / "__init__.py",
        "test_provider.py.template": folder / "tests" / f"test_{'_'.join(words)}.py",
        "README.md.template": folder / "README.md",
    }
    templates = files("unisafe_async").joinpath("data", "new_provider")
    typed = folder / module / "py.typed"
    texts = {path: Template(templates.joinpath(name).read_text("utf-8")).substitute(filled) for name, path in places.items()}
    _write_files({**texts, typed: ""}, folder)
    return [*places.values(), typed]


def write_script(name: str, folder: Path | None = None) -> tuple[Path, Path]:
    """Write the script of a model `name` for `provider = "command"`, and the file that it imports, into `folder` (default: `name`).

    Raises UsageError if the name is wrong, or if the folder is not empty.
    """
    if not MODEL_NAME.fullmatch(name) or len(name) > 40:
        raise UsageError(f"{name!r} cannot be the name of a script: letters and digits, joined by - _ or ., such as Show-o2")
    folder = folder or Path(name)
    _check_free(folder)
    script, helper = folder / f"serve_{re.sub('[.-]', '_', name.lower())}.py", folder / HELPER
    template = files("unisafe_async").joinpath("data", "new_command", "serve.py.template").read_text("utf-8")
    served = files("unisafe_providers").joinpath("command", HELPER).read_text("utf-8")
    _write_files({script: Template(template).substitute(name=name), helper: served}, folder)
    return script, helper


def describe_script(name: str, script: Path) -> str:
    """The entry of bench.toml that names the script, and what to do next."""
    written, line = json.dumps(script.as_posix(), ensure_ascii=False), shlex.join([sys.executable, script.as_posix()])
    return f"""\
# for bench.toml; put the python of the model's own environment first
[[models]]
name = "{name}"
provider = "command"
command = [{json.dumps(sys.executable)}, {written}]
files = [{written}]
takes = ["text"]
gives = ["text"]

Now `unisafe check-command -- {line}`; with the entry in bench.toml, `unisafe check-command {name}`."""


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > 40:
        raise UsageError(
            f"{name!r} cannot be a provider's name: lower-case letters and digits, words joined by - or _, such as my-api"
        )


def _check_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already; name another --folder (nothing is overwritten)")


def _write_files(texts: Mapping[Path, str], folder: Path) -> None:
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror or error}") from None
