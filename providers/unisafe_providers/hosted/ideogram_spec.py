"""The spec of Ideogram: its keys in bench.toml, and how its provider is built."""

from __future__ import annotations

from unisafe_providers.base import Provider
from unisafe_providers.hosted.job_options import DRAWS, DRAWS_ONLY, JobOptions, build_job_provider
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import ProviderSpec


def build(settings: ProviderSettings, options: JobOptions) -> Provider:
    """A model that draws and edits."""
    from unisafe_providers.hosted.ideogram import Ideogram

    return build_job_provider(Ideogram, settings, options)


IDEOGRAM = ProviderSpec(
    name="ideogram",
    title="Ideogram",
    options=JobOptions,
    build=build,
    defaults=DRAWS,
    judges_not=DRAWS_ONLY,
    key_header="api-key",
)
