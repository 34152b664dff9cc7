"""Vendors whose chats speak OpenAI's protocol and whose models that draw are asked in a way of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.hosted.vendor_arguments import build_hosted_options, read_place
from unisafe_providers.presets import Preset
from unisafe_providers.settings import ProviderSettings

WIRES: dict[str, str] = {
    "ark": "unisafe_providers.hosted.ark:Ark",
    "dashscope": "unisafe_providers.hosted.dashscope_images:DashScopeImages",
    "minimax": "unisafe_providers.hosted.minimax:MiniMax",
    "together": "unisafe_providers.hosted.together_images:Together",
    "xai": "unisafe_providers.hosted.xai_images:XAI",
}
"""Modules and classes, `module:Class`, by the name that `image_wire` has in a vendor's file."""
CHATTING = frozenset({"together", "xai"})
"""Wires whose classes answer chats too: a model there may give text and images. On the others a model gives one or the other."""


def find_picture_wire(dialect: Preset, *, draws: bool, talks: bool) -> str:
    """The wire of a model that `draws`, and perhaps `talks` too; empty where its chats' wire carries its pictures."""
    wire = dialect.image_wire
    return wire if draws and (not talks or wire in CHATTING) else ""


def build_pictures(dialect: Preset, settings: ProviderSettings, options: VendorOptions) -> Provider:
    """The provider of a model that draws; it stands at `image_base_url` unless bench.toml names an address."""
    known: dict[str, Any] = {**build_hosted_options(settings, options), "title": dialect.title}
    if not options.stands_at(dialect):
        known["images"] = None  # a server of somebody else's has limits of its own
    elif dialect.image_base_url:
        options = options.model_copy(update={"base_url": dialect.image_base_url})
        settings = replace(settings, base_url=dialect.image_base_url)
    module, name = WIRES[dialect.image_wire].split(":")
    make: Callable[..., Provider] = getattr(import_module(module), name)
    return make(*read_place(settings, options), **known)
