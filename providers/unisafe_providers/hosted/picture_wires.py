"""Models that give images only, at vendors whose chats speak OpenAI's protocol and whose images speak their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.hosted.vendor_arguments import build_hosted_options, read_place
from unisafe_providers.settings import ProviderSettings

WIRES: dict[str, str] = {
    "dashscope": "unisafe_providers.hosted.dashscope_images:DashScopeImages",
}
"""Modules and classes, `module:Class`, by the name that `image_wire` has in a vendor's file."""


def build_pictures(wire: str, settings: ProviderSettings, options: VendorOptions) -> Provider:
    """The provider of a model that gives images only; it stands at `image_base_url` unless bench.toml names an address."""
    vendor = settings.vendor
    if vendor is not None and vendor.image_base_url and options.stands_at(vendor):
        options = options.model_copy(update={"base_url": vendor.image_base_url})
        settings = replace(settings, base_url=vendor.image_base_url)
    module, name = WIRES[wire].split(":")
    make: Callable[..., Provider] = getattr(import_module(module), name)
    known: dict[str, Any] = {**build_hosted_options(settings, options)}
    if vendor is not None:
        known["title"] = vendor.title
    return make(*read_place(settings, options), **known)
