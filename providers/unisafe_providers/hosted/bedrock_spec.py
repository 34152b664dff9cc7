"""The spec of Amazon Bedrock: its keys in bench.toml, and how its providers are built (chats, pictures, batch jobs)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.hosted.bedrock_families import Family, family_of
from unisafe_providers.hosted.bedrock_regions import MISSING, REGION, REGIONS, fill_address, find_region
from unisafe_providers.hosted.vendor_arguments import build_hosted_options
from unisafe_providers.presets import Preset
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared, ProviderSpec

KEY_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"
ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+")
PLACE = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s?#]*)?")


class BedrockOptions(VendorOptions):
    """The keys of a model at Amazon Bedrock."""

    BUILDS_ADDRESS = True
    KEY_EVERYWHERE = False

    region: str | None = Field(
        None,
        pattern=REGION,
        examples=["us-east-1"],
        description="the region whose address is asked, and for which requests are signed; unless set, that of AWS_REGION or "
        "AWS_DEFAULT_REGION",
    )
    profile: str | None = Field(
        None,
        min_length=1,
        description="sign requests with the AWS credentials of this profile (extra `aws`); without it they are signed with those "
        f"that AWS's tools find, if the variable {KEY_VARIABLE} is not set",
    )
    guardrail: str | None = Field(None, min_length=1, description="id or ARN of a guardrail; part of the cache key")
    guardrail_version: str = Field("DRAFT", pattern=r"^(DRAFT|[1-9]\d*)$", examples=["1"], description="its version")
    guardrail_trace: Literal["enabled", "disabled", "enabled_full"] = Field(
        "enabled", description="how much its trace tells; without one, masked words cannot be told from a block"
    )
    response_fields: list[str] | None = Field(
        None,
        examples=[["/stop_details"]],
        description="`additionalModelResponseFieldPaths`: fields of the model's own that answers shall hold; of Claude its reason "
        "to stop, unless set",
    )
    image_body: Family | None = Field(
        None, description="what requests for images look like, if the model's id does not show it (Titan's look like Nova Canvas's)"
    )
    mask_prompt: str = Field("", description="what an edit by Nova Canvas or Titan may change; without it the whole picture varies")
    batch_role: str | None = Field(None, description="the ARN of the role that batch jobs read and write the bucket with")
    batch_s3: str | None = Field(
        None, examples=["s3://my-bucket/unisafe"], description="where batch jobs keep their requests and answers"
    )
    control_url: str | None = Field(None, description="the address of batch jobs, if `base_url` is one of yours")
    s3_url: str | None = Field(None, description="the address of S3, if it is one of yours")

    @model_validator(mode="before")
    @classmethod
    def _build_address(cls, given: Any) -> Any:  # noqa: ANN401 whatever stands in the file
        return fill_address(given)

    @property
    def signs(self) -> bool:
        """Whether requests are signed with AWS credentials: no key is named, or its usual variable is not set."""
        named = self.key_env is not None and (self.key_env != KEY_VARIABLE or bool(os.environ.get(KEY_VARIABLE, "").strip()))
        return self.profile is not None or not named

    @property
    def signing_region(self) -> str:
        """The region that requests are signed for; empty if nothing names one."""
        found = re.search(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.", self.base_url)
        return self.region or (found[1] if found else find_region())

    @property
    def variables(self) -> dict[str, str]:
        found = super().variables
        return {key: variable for key, variable in found.items() if key != "key_env" or not self.signs}

    def stands_at(self, vendor: Preset | None) -> bool:
        return (urlsplit(self.base_url).hostname or "").endswith(".amazonaws.com")

    def _mistake_of_address(self, vendor: Preset | None) -> str:
        if not self.base_url:
            return MISSING
        return super()._mistake_of_address(vendor)

    def _find_more(self, declared: Declared) -> Iterator[str]:
        yield from self._mistakes_of_credentials(declared)
        yield from self._mistakes_of_pictures(declared)
        if declared.in_batches:
            yield from self._mistakes_of_batches()

    def _mistakes_of_credentials(self, declared: Declared) -> Iterator[str]:
        from unisafe_providers.hosted.aws import NO_BOTOCORE, has_botocore

        if self.profile is not None and self.key_env not in (None, KEY_VARIABLE):
            yield "key_env: stands beside `profile`, with which requests are signed and no key is sent; name one of the two"
        if not self.signs and not declared.in_batches:
            return
        if not has_botocore():
            key = "profile" if self.profile else "mode" if declared.in_batches else "key_env"
            keyed = "" if declared.in_batches or self.profile else f"; or set {KEY_VARIABLE} to a Bedrock key"
            yield f"{key}: {NO_BOTOCORE}{keyed}"
        if not self.signing_region:
            yield f"region: missing; requests are signed for a region, such as us-east-1; name it, or set {REGIONS[0]}"

    def _mistakes_of_pictures(self, declared: Declared) -> Iterator[str]:
        draws = "image" in declared.gives
        if "text" in declared.gives and (self.image_body or family_of(declared.model)):
            yield 'gives: this model draws and writes no text; put gives = ["image"]'
        if (self.image_body or self.mask_prompt) and not draws:
            yield f'{"image_body" if self.image_body else "mask_prompt"}: goes with gives = ["image"] only'
        if self.guardrail is None and "guardrail_version" in self.model_fields_set and self.guardrail_version != "DRAFT":
            yield "guardrail_version: goes with a guardrail; name its id in `guardrail`"

    def _mistakes_of_batches(self) -> Iterator[str]:
        for key, value, form, such_as in (
            ("batch_role", self.batch_role, ROLE, "arn:aws:iam::123456789012:role/NAME"),
            ("batch_s3", self.batch_s3, PLACE, "s3://BUCKET/FOLDER"),
        ):
            if value is None:
                yield f"{key}: missing; batch jobs of Amazon Bedrock need it, such as {such_as}"
            elif not form.fullmatch(value):
                yield f"{key}: should be such as {such_as}, found {value!r}"


def build(settings: ProviderSettings, options: BedrockOptions) -> Provider:
    """A model that is asked in chats, for pictures, or in batch jobs."""
    from unisafe_providers.hosted.aws import Signer
    from unisafe_providers.hosted.bedrock import Bedrock, Guardrail

    known = build_hosted_options(settings, options)
    known["extra"] = _with_trace(options.extra)
    instead = f"set {KEY_VARIABLE} to a Bedrock key, " if not settings.in_batches and options.profile is None else ""
    signs = Signer(options.signing_region, options.profile or "", instead)
    key = "" if options.signs or settings.in_batches else settings.key or ""
    signer = None if key else signs
    guardrail = None
    if options.guardrail is not None:
        guardrail = Guardrail(options.guardrail, options.guardrail_version, options.guardrail_trace)
    place = (settings.model, options.base_url, key, settings.capabilities)
    if not settings.capabilities.text_out:
        return _build_pictures(settings, options, place, {**known, "signer": signer, "guardrail": guardrail})
    if not settings.in_batches:
        return Bedrock(*place, response_fields=options.response_fields, signer=signer, guardrail=guardrail, **known)
    from unisafe_providers.hosted.bedrock_batch import BedrockBatches

    return BedrockBatches(
        *place,
        role=options.batch_role or "",
        place=options.batch_s3 or "",
        control_url=options.control_url,
        s3_url=options.s3_url,
        response_fields=options.response_fields,
        signer=signs,
        guardrail=guardrail,
        **known,
    )


def _build_pictures(settings: ProviderSettings, options: BedrockOptions, place: tuple[Any, ...], known: dict[str, Any]) -> Provider:
    from unisafe_providers.hosted.bedrock_pictures import BedrockPictures

    if known.get("images") is not None:
        known["images"] = replace(known["images"], types=("image/png", "image/jpeg"), max_edge=4096)
    return BedrockPictures(*place, family=options.image_body, mask_prompt=options.mask_prompt, **known)


def _with_trace(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """`extra`, with a trace for a guardrail that it names: only a trace tells a block from masked words."""
    config = extra.get("guardrailConfig")
    return {**extra, "guardrailConfig": {"trace": "enabled", **config}} if isinstance(config, dict) and config else extra


BEDROCK = ProviderSpec(
    name="bedrock",
    title="Amazon Bedrock",
    options=BedrockOptions,
    build=build,
    batches=True,
    key_header="authorization",
)
