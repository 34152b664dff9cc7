"""Finds a model among those that an endpoint lists, even if the two write its name differently."""

from __future__ import annotations

import re
from collections.abc import Sequence

FOLDERS = re.compile(
    r"^(?:/?(?:models|publishers/[^/]+/models|accounts/[^/]+/(?:models|deployments)|tunedmodels|projects/.+/models)/)"
)
"""The path before a name, if a vendor writes it, such as `accounts/fireworks/models/`."""
VARIANT = re.compile(r"[:@](?:latest|free|nitro|floor|online|thinking|extended|beta|exacto|default)$")
"""Tags after a name that are not part of it, such as Ollama's `:latest`, OpenRouter's `:free`."""


def find_listed_name(model: str, names: Sequence[str]) -> str | None:
    """The name in the list that means `model`: equal, or equal apart from case, a path before it or a tag after it."""
    if model in names:
        return model
    wanted = _strip(model)
    return next((name for name in names if _strip(name) == wanted), None)


def listed_of(model: str, names: Sequence[str]) -> list[str]:
    """Names in the list that equal `model` apart from their owner, such as `openai/gpt-4o` for `gpt-4o`."""
    wanted = _strip(model).rsplit("/", 1)[-1]
    return [name for name in names if _strip(name).rsplit("/", 1)[-1] == wanted]


def _strip(name: str) -> str:
    return VARIANT.sub("", FOLDERS.sub("", name.strip().lower()))
