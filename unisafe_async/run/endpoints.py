"""Builds an endpoint for the gateway from a section of bench.toml."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from unisafe_judger.kinds import service_of
from unisafe_providers.base import Capabilities, OnDevice, Provider, picks_batches
from unisafe_providers.endpoint_options import EndpointOptions, VendorOptions
from unisafe_providers.errors import UnisafeError
from unisafe_providers.plugins import PluginError
from unisafe_providers.prices import FREE, UNPRICED
from unisafe_providers.registry import build_provider
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Options

from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.config.sections import ClusterSection, JudgeEndpointSection, ModelSection
from unisafe_async.gateway import AdaptiveConcurrency, BatchJobs, Endpoint, RateLimits


class EndpointError(UnisafeError):
    """No endpoint can be built from `section`; `key` is the key to change in it."""

    def __init__(self, section: EndpointSection, key: str, message: str) -> None:
        super().__init__(message)
        self.section = section
        self.key = key


def provider_of(section: EndpointSection, base: Path, cluster: ClusterSection | None = None) -> Provider:
    """The provider that a section names, with paths relative to `base`; its packages are imported here, not at the start."""
    assert isinstance(section, Options), "a section whose provider is known has its options"
    try:
        return build_provider(section.spec, _build_settings(section, base, cluster), section)
    except PluginError as error:
        raise EndpointError(section, error.key, str(error)) from None


def _build_settings(section: EndpointSection, base: Path, cluster: ClusterSection | None) -> ProviderSettings:
    """What a provider is built with, beside its options."""
    at_address = section if isinstance(section, EndpointOptions) else None
    secrets: dict[str, str] = section.headers_env if isinstance(section, VendorOptions) else {}
    batch_size: int | Literal["auto"] = getattr(section, "batch_size", "auto")
    in_batches = isinstance(section, ModelSection) and section.mode == "batch"
    return ProviderSettings(
        model=section.model,
        capabilities=section.capabilities if isinstance(section, ModelSection) else Capabilities(image_in="image" in section.takes),
        base_url=section.address or None,
        key=_value(at_address.key_env) or None if at_address and at_address.key_env else None,
        timeout_s=at_address.timeout_s if at_address else 120.0,
        max_connections=section.concurrency,
        folder=base,
        judges=not isinstance(section, ModelSection),
        service=service_of(section.kind) if isinstance(section, JudgeEndpointSection) else "chat",
        in_batches=in_batches,
        secret_headers={name: _value(variable) for name, variable in secrets.items()},
        vendor=section.preset,
        devices=tuple(_flatten(getattr(section, "devices", ()))),
        batch_size=None if in_batches or batch_size == "auto" else batch_size,
        extra=getattr(section, "extra", {}),
        structured=section.asks_by_schema,
        cluster=cluster.model_dump() if cluster is not None else None,
    )


def _flatten(devices: str | Sequence[str | Sequence[str]]) -> list[str]:
    """The devices of all copies of a model."""
    places = [devices] if isinstance(devices, str) else devices
    return [name for place in places for name in ([place] if isinstance(place, str) else place)]


def _value(variable: str) -> str:
    """The value of an environment variable; empty if it is not set, which was reported before any call."""
    return os.environ.get(variable, "").strip()


def endpoint_of(
    section: EndpointSection,
    name: str,
    base: Path,
    sleep: Callable[[float], Awaitable[None]],
    now: Callable[[], float] = time.monotonic,
    cluster: ClusterSection | None = None,
) -> Endpoint:
    """The endpoint of a section; `sleep` and `now` come from the gateway, so a wait ends if the run is asked to stop.

    Raises EndpointError if its provider comes from a plugin that cannot be used.
    """
    provider = provider_of(section, base, cluster)
    prices = section.prices
    free = isinstance(provider, OnDevice) or (isinstance(section, JudgeEndpointSection) and section.free)
    if not section.hosted or (free and prices == UNPRICED):
        prices = FREE
    known = section.known_price
    old = known.describe_age(datetime.now(UTC).date()) if known is not None else ""
    jobs = None
    if isinstance(section, ModelSection) and section.mode == "batch":
        prices = prices.times(section.batch_discount)
        jobs = BatchJobs(section.batch_poll_s, None if section.batch_size == "auto" else section.batch_size)
    return Endpoint(
        name=name,
        provider=provider,
        concurrency=AdaptiveConcurrency(
            section.waiting_on_device if picks_batches(provider) else section.concurrency * section.servers
        ),
        rates=_limits(section, sleep, now),
        prices=prices,
        max_tries=section.max_tries,
        max_wait=section.max_wait_s,
        batching=jobs,
        notes={"price": f"its price was {old}"} if old else {},
    )


def _limits(section: EndpointSection, sleep: Callable[[float], Awaitable[None]], now: Callable[[], float]) -> RateLimits:
    """The limits of the user's tier, those of all its servers together; none of a model that is behind no address."""
    if not isinstance(section, EndpointOptions):
        return RateLimits(None, None, None, sleep, now)
    limits = (section.rpm, section.tpm, section.images_per_minute)
    return RateLimits(*(None if limit is None else limit * section.servers for limit in limits), sleep, now)
