"""Packages that only some commands need. Each comes with an extra; one sentence asks for the extra where the package is missing."""

from __future__ import annotations

from importlib import import_module

EXTRAS = {"matplotlib": "paper", "pandas": "dataframe", "huggingface_hub": "hub"}
"""Packages outside the base installation, and the extra in pyproject.toml that brings each."""


class MissingExtra(ImportError):
    """A package that this command needs is not installed: one sentence that says how to install it."""


def require_package(package: str, user: str) -> None:
    """Import `package`, one of EXTRAS, for `user`: the command, option or figure that needs it, as the message begins.

    Raises MissingExtra where it is not installed.
    """
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingExtra(missing_extra(package, user)) from None


def is_installed(package: str) -> bool:
    """Whether `package`, one of EXTRAS, can be imported."""
    try:
        require_package(package, package)
    except MissingExtra:
        return False
    return True


def missing_extra(package: str, user: str) -> str:
    """The sentence for whoever lacks `package`: who needs which extra, and how to install it."""
    extra = EXTRAS[package]
    return f"{user} needs the extra `{extra}`: pip install 'unisafe-async[{extra}]'"
