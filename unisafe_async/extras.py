"""Packages that only some commands need. Each comes with an extra; one sentence asks for the extra where the package is missing."""

from __future__ import annotations

from importlib import import_module

EXTRAS = {"botocore": "aws", "google.auth": "google", "matplotlib": "paper", "huggingface_hub": "hub"}
"""Packages outside the base installation, and the extra in pyproject.toml that brings each."""


def missing_extra(package: str, user: str) -> str | None:
    """The sentence for whoever lacks `package`, one of EXTRAS, and how to install it; None where it is installed.

    Args:
        user: the command, option or figure that needs the package; the sentence begins with it.
    """
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        extra = EXTRAS[package]
        return f"{user} needs the extra `{extra}`: pip install 'unisafe-async[{extra}]'"
    return None
