"""The spec of Google's Gemini API (generateContent, Interactions): its keys in bench.toml, and how its provider is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.hosted.vendor_arguments import build_hosted_options, read_place
from unisafe_providers.near_names import suggest
from unisafe_providers.presets import Preset
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared, ProviderSpec

PREFIX = "HARM_CATEGORY_"


class GeminiOptions(VendorOptions):
    """The keys of a model of the Gemini API."""

    STORED_IF_SET: ClassVar[frozenset[str]] = VendorOptions.STORED_IF_SET | {"background", "job_wait_s"}

    safety: dict[str, str] = Field({}, description="threshold by harm category ([hosted models](hosted-models.md)); else Google's")
    api: Literal["chat", "interactions"] = Field(
        "chat", description='`"chat"` is generateContent; `"interactions"` is for models that are only in the Interactions API'
    )
    background: bool = Field(
        False,
        description='with `api = "interactions"`: Google works on each request in the background, stores it, and is asked for the '
        "answer",
    )
    job_wait_s: float | None = Field(
        None,
        gt=0,
        description="with `background`: seconds that one answer may take (600 unless set); later its item fails, and the next run "
        "goes on with it without paying again",
    )

    def _find_more(self, declared: Declared) -> Iterator[str]:
        if self.background and self.api != "interactions":
            yield 'background: goes with api = "interactions" only'
        if self.job_wait_s is not None and not self.background:
            yield "job_wait_s: goes with background = true only"
        if declared.in_batches and self.api == "interactions":
            yield 'api: batch jobs carry generateContent; put api = "chat"'
        yield from find_safety_mistakes(self.safety, declared.vendor)


def find_safety_mistakes(safety: Mapping[str, str], vendor: Preset | None) -> Iterator[str]:
    """What is wrong with thresholds by harm category, at a vendor that has them."""
    if vendor is None:
        return
    categories, thresholds = vendor.safety_categories, vendor.safety_thresholds
    for category, threshold in safety.items():
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
    from unisafe_providers.hosted.interactions import GeminiInteractions

    place, known = read_place(settings, options), build_hosted_options(settings, options)
    if settings.in_batches:
        assert settings.vendor is not None, "whoever takes batch jobs stands in vendors/"
        return GeminiBatches(*place, safety=options.safety, **known).keep_to(settings.vendor.batch)
    if options.api == "interactions":
        provider = GeminiInteractions(*place, safety=options.safety, background=options.background, **known)
        provider.job_wait = options.job_wait_s
        return provider
    return Gemini(*place, safety=options.safety, **known)


GEMINI = ProviderSpec(
    name="gemini", title="Google Gemini", options=GeminiOptions, build=build, batches=True, key_header="x-goog-api-key"
)
