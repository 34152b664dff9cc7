"""From a section of bench.toml to an endpoint that the gateway can ask."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from providers.base import Capabilities, OnDevice, Provider
from providers.errors import UnisafeError
from providers.named_files import expanded
from providers.plugins import PluginError
from providers.presets import preset_at
from providers.prices import FREE, UNPRICED
from providers.registry import RECORDED, made
from providers.settings import ProviderSettings
from unisafe_async.gateway import AdaptiveConcurrency, BatchJobs, Endpoint, RateLimits
from unisafe_async.sections import EndpointSection, ModelSection, SeatSection
from unisafe_async.taxonomy import match_task

if TYPE_CHECKING:
    from providers.http import HostedOptions
    from providers.local import LocalProvider

NO_KEY = "none"


class EndpointError(UnisafeError):
    """No endpoint can be made of `section`; `key` is the key in it that is to be changed."""

    def __init__(self, section: EndpointSection, key: str, message: str) -> None:
        super().__init__(message)
        self.section = section
        self.key = key


def provider_of(section: EndpointSection, base: Path) -> Provider:
    """The provider that a section names, paths relative to `base`; the packages behind it are imported here, not at start."""
    judge = not isinstance(section, ModelSection)
    capabilities = section.capabilities if isinstance(section, ModelSection) else Capabilities(image_in="image" in section.takes)
    if section.provider == "simulated":
        from providers.simulated import PROFILES, Simulated

        changes = section.simulation.model_dump(exclude_none=True) if section.simulation else {}
        return Simulated(section.model, replace(PROFILES[section.model], **changes), capabilities, judge=judge)
    if section.provider == RECORDED:
        from providers.recorded import Recorded

        file = expanded(base, section.model)
        images = expanded(base, section.images) if section.images else file.parent
        working = None if section.images else _working(file)
        name, tasks = (section.name, section.tasks) if isinstance(section, ModelSection) else (section.model, [])
        task = tasks[0] if len(tasks) == 1 else None
        return Recorded(file, images, name, capabilities, working=working, task=task, task_of=match_task)
    if section.local:
        return _local(section, base, capabilities)
    plugin = section.plugin
    if plugin is None:
        return _hosted(section, capabilities)
    try:
        return made(plugin, _settings(section, base, capabilities), section.options)
    except PluginError as error:
        raise EndpointError(section, error.key, str(error)) from None


def _value(variable: str) -> str:
    """What an environment variable holds; empty where it is not set, as is said before anything is asked."""
    return os.environ.get(variable, "").strip()


def _settings(section: EndpointSection, base: Path, capabilities: Capabilities) -> ProviderSettings:
    """What a plugin is made with."""
    return ProviderSettings(
        section.model,
        capabilities,
        section.base_url or None,
        os.environ.get(section.key_env, "").strip() or None if section.key_env else None,
        section.timeout_s,
        section.concurrency,
        base,
    )


def _working(file: Path) -> Path | None:
    """What the official toolkit's image paths are relative to; None where it is the folder of `file`, or the whole disk."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return None
    return here if here not in (Path(here.anchor), file.parent) else None


def _hosted(section: EndpointSection, capabilities: Capabilities) -> Provider:
    assert section.preset is not None
    key = _value(section.key_env) if section.key_env else ("" if section.headers_env else NO_KEY)
    place = (section.model, section.base_url, key, capabilities)
    options: HostedOptions = {
        "timeout": section.timeout_s,
        "max_connections": section.concurrency,
        "extra": section.extra,
        "extra_by_kind": section.extras,
        "more_headers": section.headers,
        "secret_headers": {name: _value(variable) for name, variable in section.headers_env.items()},
    }
    if isinstance(section, SeatSection) and section.kind == "moderation":
        from providers.moderation import OpenAIModeration

        return OpenAIModeration(*place, **options)
    options["images"] = section.image_limits
    options["structured"] = section.structured
    batch = isinstance(section, ModelSection) and section.mode == "batch"
    match section.preset.wire:
        case "anthropic":
            from providers.anthropic import Anthropic
            from providers.anthropic_batch import AnthropicBatches

            anthropic = AnthropicBatches if batch else Anthropic
            return anthropic(*place, **options)
        case "gemini":
            from providers.gemini import Gemini

            return Gemini(*place, safety=section.safety, **options)
        case wire:
            from providers.openai_batch import OpenAIBatches
            from providers.openai_compatible import OpenAICompatible
            from providers.openai_responses import OpenAIResponses

            dialect = section.dialect or section.preset
            chat = OpenAIBatches if batch else OpenAICompatible
            kind = OpenAIResponses if section.api == "responses" else chat
            if wire == "azure":
                options["title"] = "Azure OpenAI"
            elif preset_at(section.base_url) is not None:
                options["title"] = dialect.title
            return kind(
                *place,
                image_api=section.image_api,
                key_header="api-key" if wire == "azure" else "authorization",
                api_version=section.api_version,
                names=dialect.names,
                edit_body=dialect.edit_body,
                image_leaves_out=dialect.image_leaves_out,
                **options,
            )


def _local(section: EndpointSection, base: Path, capabilities: Capabilities) -> LocalProvider:
    from providers.local import LocalProvider, LocalSettings

    path = expanded(base, section.model)
    settings = LocalSettings(
        "diffusers" if section.provider == "diffusers" else "transformers",
        os.path.abspath(path) if os.path.exists(path) else section.model,
        section.revision,
        section.dtype,
        section.gguf_file,
        section.quantization,
        section.attn,
        section.trust_remote_code,
        None if section.batch_size == "auto" else section.batch_size,
        section.batch_tokens,
        section.memory_gb,
        section.steps,
        section.guidance,
        section.strength,
        capabilities.image_in,
        capabilities.image_out or capabilities.edit,
        section.extra,
    )
    return LocalProvider(settings, capabilities, section.devices or [section.device])


def endpoint_of(
    section: EndpointSection,
    name: str,
    base: Path,
    sleep: Callable[[float], Awaitable[None]],
    now: Callable[[], float] = time.monotonic,
) -> Endpoint:
    """The endpoint of a section; `sleep` and `now` are the gateway's, so that a wait ends when the run is asked to stop.

    Raises EndpointError when its provider comes from a plugin that cannot be used.
    """
    provider = provider_of(section, base)
    prices = section.prices
    free = isinstance(provider, OnDevice) or (isinstance(section, SeatSection) and section.kind == "moderation")
    if not section.hosted or (free and prices == UNPRICED):
        prices = FREE
    jobs = None
    if isinstance(section, ModelSection) and section.mode == "batch":
        prices = prices.times(section.batch_discount)
        jobs = BatchJobs(section.batch_poll_s, None if section.batch_size == "auto" else section.batch_size)
    return Endpoint(
        name,
        provider,
        AdaptiveConcurrency(section.waiting_on_device if isinstance(provider, OnDevice) else section.concurrency),
        RateLimits(section.rpm, section.tpm, section.images_per_minute, sleep, now),
        prices,
        section.max_tries,
        section.max_wait_s,
        jobs=jobs,
    )
