"""The spec of Cohere's chats: its keys in bench.toml, and how its provider is built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.hosted.vendor_arguments import build_hosted_options, read_place
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared, ProviderSpec


class CohereOptions(VendorOptions):
    """The keys of a model of Cohere's."""

    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF"] | None = Field(
        None,
        description="the safety instruction that Cohere puts before the prompt; its own default is `CONTEXTUAL`",
    )

    def _find_more(self, declared: Declared) -> Iterator[str]:
        if "image" in declared.gives:
            yield 'gives: Cohere\'s models write text only; put gives = ["text"]'


def build(settings: ProviderSettings, options: CohereOptions) -> Provider:
    """A model that is asked call by call."""
    from unisafe_providers.hosted.cohere import Cohere

    return Cohere(*read_place(settings, options), safety_mode=options.safety_mode or "", **build_hosted_options(settings, options))


COHERE = ProviderSpec(name="cohere", title="Cohere", options=CohereOptions, build=build, key_header="authorization")
