"""Vendors and local servers that bench.toml can name; what is known of each is data in presets.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Wire = Literal["openai", "azure", "anthropic", "gemini"]


@dataclass(frozen=True, slots=True)
class Preset:
    """One vendor.

    Args:
        title: what people call it.
        wire: the protocol that it speaks.
        base_url: where it is; None where each customer has an address of their own, and then `address` shows its form.
        key_env: the variable that holds the key by custom; None for a server that needs none.
        image_api: how its models are asked for images.
        max_concurrency: calls at once that such a server takes well; None leaves it to the default.
    """

    title: str
    wire: Wire
    base_url: str | None = None
    address: str | None = None
    key_env: str | None = None
    image_api: Literal["images", "chat"] = "images"
    max_concurrency: int | None = None


@cache
def presets() -> dict[str, Preset]:
    """All presets by name."""
    table = tomllib.loads(files("providers").joinpath("presets.toml").read_text("utf-8"))
    return {name: Preset(**entry) for name, entry in table.items()}
