"""The spec of Anthropic's Messages API: its keys in bench.toml, and how its provider is built."""

from __future__ import annotations

from collections.abc import Iterator

from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.hosted.vendor_arguments import build_hosted_options, read_place
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared, ProviderSpec


class AnthropicOptions(VendorOptions):
    """The keys of a model of the Messages API."""

    def _find_more(self, declared: Declared) -> Iterator[str]:
        if "image" in declared.gives:
            yield 'gives: Anthropic\'s models write text only; put gives = ["text"]'


def build(settings: ProviderSettings, options: AnthropicOptions) -> Provider:
    """A model that is asked call by call, or in batch jobs."""
    from unisafe_providers.hosted.anthropic import Anthropic
    from unisafe_providers.hosted.anthropic_batch import AnthropicBatches

    place, known = read_place(settings, options), build_hosted_options(settings, options)
    if settings.vendor is not None:
        known["title"] = settings.vendor.title
    if not settings.in_batches:
        return Anthropic(*place, **known)
    assert settings.vendor is not None, "whoever takes batch jobs stands in vendors/"
    return AnthropicBatches(*place, **known).keep_to(settings.vendor.batch)


ANTHROPIC = ProviderSpec(
    name="anthropic", title="Anthropic", options=AnthropicOptions, build=build, batches=True, key_header="x-api-key"
)
