"""The spec of Luma: its keys in bench.toml, and how its provider is built."""

from __future__ import annotations

from unisafe_providers.base import Provider
from unisafe_providers.hosted.job_options import DRAWS, DRAWS_ONLY, JobOptions, build_job_provider
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import ProviderSpec

DREAM_MACHINE = "https://api.lumalabs.ai/dream-machine/v1"
"""Where photon models are (docs.lumalabs.ai)."""


def build(settings: ProviderSettings, options: JobOptions) -> Provider:
    """A model that draws; photon models stand at an address of their own unless bench.toml names one."""
    from unisafe_providers.hosted.luma import Luma, is_photon

    if is_photon(settings.model) and options.stands_at(settings.vendor):
        options = options.model_copy(update={"base_url": DREAM_MACHINE})
    return build_job_provider(Luma, settings, options)


LUMA = ProviderSpec(
    name="luma",
    title="Luma",
    options=JobOptions,
    build=build,
    defaults=DRAWS,
    judges_not=DRAWS_ONLY,
    key_header="authorization",
)
