"""The spec of Stability's image models: their keys in bench.toml, and how their provider is built."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unisafe_providers.base import Provider
from unisafe_providers.hosted.picture_options import PictureOptions
from unisafe_providers.hosted.vendor_arguments import build_hosted_options, read_place
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import ProviderSpec


class StabilityOptions(PictureOptions):
    """The keys of a model of Stability's."""

    edits_by: Literal[
        "image-to-image",
        "search-and-replace",
        "search-and-recolor",
        "replace-background-and-relight",
        "inpaint",
        "outpaint",
        "sketch",
        "structure",
        "style",
    ] = Field(
        "image-to-image",
        description="how a picture is edited: drawn anew from picture and prompt, or by one of Stability's services for edits, "
        "whose further fields go into `extra_edit`",
    )
    strength: float = Field(
        0.7, ge=0, le=1, description="of `image-to-image`: how far an edit may move from its picture; 0 keeps it, 1 ignores it"
    )


def build(settings: ProviderSettings, options: StabilityOptions) -> Provider:
    """A model of Stability's."""
    from unisafe_providers.hosted.stability import Stability

    known = build_hosted_options(settings, options)
    return Stability(*read_place(settings, options), edits_by=options.edits_by, strength=options.strength, **known)


STABILITY = ProviderSpec(
    name="stability",
    title="Stability AI",
    options=StabilityOptions,
    build=build,
    defaults={"gives": ["image"]},
    judges_not="its models draw, and none of them reads",
    key_header="authorization",
    unlisted="Stability lists no models of this interface",
)
