"""From the options of a vendor's model to the arguments that every hosted provider takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unisafe_providers.base import Capabilities
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.hosted.additions import NO_KEY
from unisafe_providers.settings import ProviderSettings

if TYPE_CHECKING:
    from unisafe_providers.hosted.http import HostedOptions


def read_place(settings: ProviderSettings, options: VendorOptions) -> tuple[str, str, str, Capabilities]:
    """Model, address, key and capabilities."""
    keyless = "" if options.headers_env else NO_KEY
    key = (settings.key or "") if options.key_env else keyless
    return settings.model, options.base_url, key, settings.capabilities


def build_hosted_options(settings: ProviderSettings, options: VendorOptions) -> HostedOptions:
    """The rest of what every hosted provider takes; whoever is asked in chats takes images, and perhaps a schema, beside it."""
    known: HostedOptions = {
        "timeout": settings.timeout_s,
        "max_connections": settings.max_connections,
        "extra": options.extra,
        "extra_by_kind": options.extras,
        "more_headers": options.headers,
        "secret_headers": settings.secret_headers,
        "direct": settings.direct,
    }
    if settings.service == "chat":
        known["images"] = settings.vendor.images if settings.vendor is not None else None
        known["structured"] = options.structured
    return known
