"""The spec of Replicate: its keys in bench.toml, and how its provider is built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from unisafe_providers.base import Provider
from unisafe_providers.hosted.job_options import JobOptions, build_job_provider
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared, ProviderSpec


class ReplicateOptions(JobOptions):
    """The keys of a model at Replicate."""

    size_as: Literal["aspect_ratio", "width_and_height", "size"] | None = Field(
        None, description="how the model is told `generation.image_size`; what its name says, unless set"
    )
    picture_as: str | None = Field(
        None,
        examples=["input_image", "image_input"],
        description="the input for pictures to edit, with `[]` at its end if it is a list in the singular; what the model's name "
        "says, unless set",
    )

    STORED_IF_SET: ClassVar[frozenset[str]] = JobOptions.STORED_IF_SET | {"size_as", "picture_as"}

    def _find_more(self, declared: Declared) -> Iterator[str]:
        if {"text", "image"} <= set(declared.gives):
            yield 'gives: a model at Replicate writes or draws; put gives = ["image"] or gives = ["text"]'


def build(settings: ProviderSettings, options: ReplicateOptions) -> Provider:
    """A model that draws and edits, or one that writes."""
    from unisafe_providers.hosted.replicate import Replicate

    return build_job_provider(Replicate, settings, options, size_as=options.size_as, picture_as=options.picture_as or "")


REPLICATE = ProviderSpec(name="replicate", title="Replicate", options=ReplicateOptions, build=build, key_header="authorization")
