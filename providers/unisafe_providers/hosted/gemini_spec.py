"""The spec of Google's generateContent: its keys in bench.toml, and how its provider is built."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.hosted.vendor_arguments import build_hosted_options, read_place
from unisafe_providers.near_names import suggest
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared, ProviderSpec

PREFIX = "HARM_CATEGORY_"


class GeminiOptions(VendorOptions):
    """The keys of a model of generateContent."""

    safety: dict[str, str] = Field({}, description="threshold by harm category ([hosted models](hosted-models.md)); else Google's")

    def _find_more(self, declared: Declared) -> Iterator[str]:
        if declared.vendor is None:
            return
        categories, thresholds = declared.vendor.safety_categories, declared.vendor.safety_thresholds
        for category, threshold in self.safety.items():
            if category not in categories:
                near = suggest(f"{PREFIX}{category.upper().removeprefix(PREFIX)}", categories)
                yield f"safety.{category}: is no harm category; categories are {', '.join(categories)}{near}"
            elif threshold not in thresholds:
                near = suggest(threshold.upper(), thresholds)
                yield f"safety.{category}: {threshold!r} is no threshold; thresholds are {', '.join(thresholds)}{near}"


def build(settings: ProviderSettings, options: GeminiOptions) -> Provider:
    """A model that is asked call by call, or in batch jobs."""
    from unisafe_providers.hosted.gemini import Gemini
    from unisafe_providers.hosted.gemini_batch import GeminiBatches

    place, known = read_place(settings, options), build_hosted_options(settings, options)
    if not settings.in_batches:
        return Gemini(*place, safety=options.safety, **known)
    assert settings.vendor is not None, "whoever takes batch jobs stands in vendors/"
    return GeminiBatches(*place, safety=options.safety, **known).keep_to(settings.vendor.batch)


GEMINI = ProviderSpec(
    name="gemini", title="Google Gemini", options=GeminiOptions, build=build, batches=True, key_header="x-goog-api-key"
)
