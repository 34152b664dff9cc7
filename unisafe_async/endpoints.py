"""From a section of bench.toml to an endpoint that the gateway can ask."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace

from providers.base import Capabilities, Provider
from unisafe_async.config import EndpointSection, ModelSection
from unisafe_async.gateway import AdaptiveConcurrency, Endpoint, Prices, RateLimits

NO_KEY = "none"


def provider_of(section: EndpointSection) -> Provider:
    """The provider that a section names; the packages behind it are imported here, not at start."""
    judge = not isinstance(section, ModelSection)
    capabilities = section.capabilities if isinstance(section, ModelSection) else Capabilities(image_in="image" in section.takes)
    if section.provider == "simulated":
        from providers.simulated import PROFILES, Simulated

        changes = section.simulation.model_dump(exclude_none=True) if section.simulation else {}
        return Simulated(section.model, replace(PROFILES[section.model], **changes), capabilities, judge=judge)
    from providers.openai_compatible import OpenAICompatible

    return OpenAICompatible(
        section.model,
        section.base_url,
        os.environ.get(section.key_env, "").strip() if section.key_env else NO_KEY,
        capabilities,
        image_api=section.image_api,
        timeout=section.timeout_s,
        max_connections=section.max_concurrency,
        extra=section.extra,
        structured=section.structured,
    )


def endpoint_of(section: EndpointSection, name: str, sleep: Callable[[float], Awaitable[None]]) -> Endpoint:
    """The endpoint of a section; `sleep` is the gateway's, so that a wait ends when the run is asked to stop."""
    free = Prices(0.0, 0.0, 0.0) if section.provider == "simulated" else None
    return Endpoint(
        name,
        provider_of(section),
        AdaptiveConcurrency(section.max_concurrency),
        RateLimits(section.rpm, section.tpm, section.images_per_minute, sleep),
        free or Prices(section.price_in, section.price_out, section.price_image),
        section.max_tries,
        section.max_wait_s,
    )
