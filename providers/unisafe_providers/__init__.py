"""Models behind one async call. Knows no benchmark, no cache and no retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unisafe_providers.base import (
    Block,
    Capabilities,
    DeviceStatus,
    Finish,
    Image,
    Kind,
    Limits,
    Listing,
    Malformed,
    Misconfigured,
    Noting,
    OnDevice,
    Part,
    Provider,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Response,
    Stage,
    Text,
    Timeout,
    Transient,
    Usage,
    Withdrawn,
    clean,
    digest_of,
)
from unisafe_providers.errors import UnisafeError
from unisafe_providers.settings import ProviderSettings

if TYPE_CHECKING:
    from unisafe_providers.endpoint_options import EndpointOptions
    from unisafe_providers.hosted.usage import usage_of
    from unisafe_providers.spec import Declared, Options, ProviderSpec

__all__ = [
    "Block",
    "Capabilities",
    "Declared",
    "DeviceStatus",
    "EndpointOptions",
    "Finish",
    "Image",
    "Kind",
    "Limits",
    "Listing",
    "Malformed",
    "Misconfigured",
    "Noting",
    "OnDevice",
    "Options",
    "Part",
    "Provider",
    "ProviderError",
    "ProviderSettings",
    "ProviderSpec",
    "RateLimited",
    "Rejected",
    "Request",
    "Response",
    "Stage",
    "Text",
    "Timeout",
    "Transient",
    "UnisafeError",
    "Usage",
    "Withdrawn",
    "clean",
    "digest_of",
    "usage_of",
]

_LATER = {
    "Declared": "spec",
    "EndpointOptions": "endpoint_options",
    "Options": "spec",
    "ProviderSpec": "spec",
    "usage_of": "hosted.usage",
}
"""Names whose modules need pydantic, and the module of each: the process of a local model does without it."""


def __getattr__(name: str) -> object:
    """Import such a name when it is first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
