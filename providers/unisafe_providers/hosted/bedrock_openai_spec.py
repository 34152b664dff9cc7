"""The spec of Amazon Bedrock's OpenAI-compatible address, which follows from a region."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from unisafe_providers.hosted.bedrock_regions import MISSING, REGION, fill_address
from unisafe_providers.hosted.openai_spec import OpenAIOptions, build_openai
from unisafe_providers.presets import Preset
from unisafe_providers.spec import ProviderSpec


class BedrockOpenAIOptions(OpenAIOptions):
    """The keys of a model behind Amazon Bedrock's OpenAI-compatible address."""

    BUILDS_ADDRESS = True

    region: str | None = Field(
        None,
        pattern=REGION,
        examples=["us-east-1"],
        description="the region whose address is asked; unless set, that of AWS_REGION or AWS_DEFAULT_REGION",
    )

    @model_validator(mode="before")
    @classmethod
    def _build_address(cls, given: Any) -> Any:  # noqa: ANN401 whatever stands in the file
        return fill_address(given, "/openai/v1")

    def stands_at(self, vendor: Preset | None) -> bool:
        return (urlsplit(self.base_url).hostname or "").endswith((".amazonaws.com", ".api.aws"))

    def _mistake_of_address(self, vendor: Preset | None) -> str:
        return super()._mistake_of_address(vendor) if self.base_url else MISSING


BEDROCK_OPENAI = ProviderSpec(
    name="bedrock-openai",
    title="Amazon Bedrock, OpenAI-compatible",
    options=BedrockOpenAIOptions,
    build=build_openai,
    key_header="authorization",
)
