"""The spec of fal: its keys in bench.toml, and how its provider is built."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from unisafe_providers.base import Provider
from unisafe_providers.hosted.job_options import DRAWS, DRAWS_ONLY, JobOptions, build_job_provider
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import ProviderSpec


class FalOptions(JobOptions):
    """The keys of a model at fal."""

    size_as: Literal["image_size", "image_size_in_words", "aspect_ratio"] | None = Field(
        None,
        description="how the model is told `generation.image_size`: as a table of width and height, as `1024x1024`, or as a ratio; "
        "what its name says, unless set",
    )
    picture_as: str | None = Field(
        None,
        examples=["image_url", "image_urls"],
        description="the field of its input for pictures to edit; what its name says, unless set",
    )

    STORED_IF_SET: ClassVar[frozenset[str]] = JobOptions.STORED_IF_SET | {"size_as", "picture_as"}


def build(settings: ProviderSettings, options: FalOptions) -> Provider:
    """A model that draws and edits."""
    from unisafe_providers.hosted.fal import Fal

    return build_job_provider(Fal, settings, options, size_as=options.size_as, picture_as=options.picture_as or "")


FAL = ProviderSpec(
    name="fal",
    title="fal",
    options=FalOptions,
    build=build,
    defaults=DRAWS,
    judges_not=DRAWS_ONLY,
    key_header="authorization",
)
