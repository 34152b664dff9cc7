"""The spec of Recraft's models: their keys in bench.toml, and how their provider is built."""

from __future__ import annotations

from pydantic import Field

from unisafe_providers.base import Provider
from unisafe_providers.hosted.picture_options import PictureOptions
from unisafe_providers.hosted.vendor_arguments import build_hosted_options, read_place
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import ProviderSpec


class RecraftOptions(PictureOptions):
    """The keys of a model of Recraft's."""

    strength: float = Field(
        0.5, ge=0, le=1, description="how far an edit may move from its picture; 0 keeps it, 1 hardly looks at it"
    )


def build(settings: ProviderSettings, options: RecraftOptions) -> Provider:
    """A model of Recraft's."""
    from unisafe_providers.hosted.recraft import Recraft

    return Recraft(*read_place(settings, options), strength=options.strength, **build_hosted_options(settings, options))


RECRAFT = ProviderSpec(
    name="recraft",
    title="Recraft",
    options=RecraftOptions,
    build=build,
    defaults={"gives": ["image"]},
    judges_not="its models draw, and none of them reads",
    key_header="authorization",
    unlisted="Recraft lists no models",
)
