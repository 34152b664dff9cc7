"""The specs of OpenAI's protocol (chats, images, Responses, moderation, batch jobs) and of Azure's deployments of the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.hosted.picture_wires import CHATTING, build_pictures, find_picture_wire
from unisafe_providers.hosted.vendor_arguments import build_hosted_options, read_place
from unisafe_providers.presets import Preset, find_preset
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared, ProviderSpec

DEPLOYMENT = "https://RESOURCE.openai.azure.com/openai/deployments/NAME"
RESOURCE = "https://RESOURCE.openai.azure.com/openai/v1"


class OpenAIOptions(VendorOptions):
    """The keys of a model behind OpenAI's protocol."""

    image_api: Literal["images", "chat"] = Field(
        "images", description='`"images"` (`/images/generations`, `/images/edits`) or `"chat"` (image in a chat message)'
    )
    api: Literal["chat", "responses"] = Field("chat", description='`"responses"` for models that are only in the Responses API')
    account_id: str | None = Field(
        None, pattern=r"^[\w.-]+$", description="of batch jobs at Fireworks: the account, if the key belongs to several"
    )
    job_wait_s: float | None = Field(
        None,
        gt=0,
        description="seconds that an answer may take which the vendor makes by a job: pictures at some vendors (600 unless set), "
        "responses in the background (3600); later its item fails, and the next run goes on with it without paying again",
    )

    KEY_EVERYWHERE: ClassVar[bool] = False
    STORED_IF_SET: ClassVar[frozenset[str]] = VendorOptions.STORED_IF_SET | {"account_id", "job_wait_s"}

    @property
    def draws_by_itself(self) -> bool:
        """Whether images are asked for by requests of their own, and not in chats."""
        return self.image_api == "images" and self.api == "chat"

    @property
    def version(self) -> str | None:
        """`api-version` of an Azure deployment's own address."""
        return None

    def find_drawing_dialect(self, vendor: Preset | None) -> Preset | None:
        """The preset whose way of drawing is kept: a protocol of its own counts where the vendor is named, not by the address.

        So `provider = "openai"` at such an address asks by OpenAI's images, as it always did, and its answers stay in the cache.
        """
        dialect = self.find_dialect(vendor)
        return dialect if dialect is None or dialect == vendor or dialect.image_wire in CHATTING else vendor

    def _find_more(self, declared: Declared) -> Iterator[str]:
        if declared.in_batches and self.api == "responses":
            yield 'api: batch jobs carry chat completions; put api = "chat"'
        dialect = self.find_dialect(declared.vendor)
        if self.account_id is not None and (not declared.in_batches or dialect is None or dialect.batch.wire != "fireworks"):
            yield 'account_id: goes with mode = "batch" at Fireworks only'
        yield from self._mistakes_of_deployment(declared, "/deployments/" in urlsplit(self.base_url).path)
        dialect = self.find_drawing_dialect(declared.vendor)
        apart = dialect is not None and dialect.image_wire and not find_picture_wire(dialect, draws=True, talks=True)
        if dialect is not None and apart and self.draws_by_itself and {"text", "image"} <= set(declared.gives):
            yield (
                f'gives: a model of {dialect.title} gives text or images, not both; put gives = ["image"] for one that draws, '
                "and name one that talks in an entry of its own"
            )

    def _mistakes_of_deployment(self, declared: Declared, deployment: bool) -> Iterator[str]:
        """What is wrong with an address that is a `deployment`'s own, or is none."""
        if deployment:
            yield 'base_url: is of one deployment at Azure, whose address goes with provider = "azure"'


class AzureOptions(OpenAIOptions):
    """The keys of a deployment at Azure."""

    api_version: str | None = Field(
        None, pattern=r"^[\w.-]+$", examples=["2024-10-21"], description="`api-version` of one deployment's address"
    )

    KEY_EVERYWHERE: ClassVar[bool] = True

    @property
    def version(self) -> str | None:
        return self.api_version

    def _mistakes_of_deployment(self, declared: Declared, deployment: bool) -> Iterator[str]:
        if deployment and self.api_version is None:
            yield (
                "api_version: missing; an address of one deployment needs it, such as 2024-10-21 "
                "(one that ends in /openai/v1 does not)"
            )
        if not deployment and self.api_version is not None:
            yield f"api_version: goes with an address of one deployment only: {DEPLOYMENT}"
        if declared.in_batches and self.api_version is not None:
            yield f"base_url: batch jobs go to the address of the whole resource: {RESOURCE}"


def build_openai(settings: ProviderSettings, options: OpenAIOptions) -> Provider:
    """A model that takes its key as a bearer token."""
    return _set_patience(_build(settings, options, "authorization"), options)


def build_azure(settings: ProviderSettings, options: AzureOptions) -> Provider:
    """A deployment, whose key goes into a header of its own."""
    return _set_patience(_build(settings, options, "api-key"), options)


def _set_patience(provider: Provider, options: OpenAIOptions) -> Provider:
    """The provider; if its answers are made by jobs, it waits as long as bench.toml says."""
    from unisafe_providers.hosted.jobs import JobProvider

    if isinstance(provider, JobProvider):
        provider.job_wait = options.job_wait_s
    return provider


def _build(settings: ProviderSettings, options: OpenAIOptions, key_header: Literal["authorization", "api-key"]) -> Provider:
    from unisafe_providers.hosted.batch_wires import WIRES
    from unisafe_providers.hosted.fireworks_batch import FireworksBatches
    from unisafe_providers.hosted.moderation import OpenAIModeration
    from unisafe_providers.hosted.openai_batch import OpenAIBatches
    from unisafe_providers.hosted.openai_compatible import OpenAICompatible
    from unisafe_providers.hosted.openai_responses import OpenAIResponses

    place, known = read_place(settings, options), build_hosted_options(settings, options)
    if settings.service == "moderation":
        return OpenAIModeration(*place, **known)
    vendor = settings.vendor
    assert vendor is not None, "whoever speaks OpenAI's protocol stands in vendors/"
    dialect = options.find_dialect(vendor) or vendor
    draws = settings.capabilities.image_out or settings.capabilities.edit
    drawing = options.find_drawing_dialect(vendor) or vendor
    if options.draws_by_itself and find_picture_wire(drawing, draws=draws, talks=settings.capabilities.text_out):
        return build_pictures(drawing, settings, options)
    if key_header == "api-key":
        known["title"] = vendor.title
    else:
        if not options.stands_at(vendor):
            known["images"] = None  # a server of somebody else's has limits of its own
        if find_preset(options.base_url) is not None:
            known["title"] = dialect.title
    online = OpenAIResponses if options.api == "responses" else OpenAICompatible
    made = (WIRES[dialect.batch.wire] if settings.in_batches else online)(
        *place,
        image_api=options.image_api,
        key_header=key_header,
        api_version=options.version,
        names=dialect.names,
        edit_body=dialect.edit_body,
        image_leaves_out=dialect.image_leaves_out,
        **known,
    )
    if isinstance(made, FireworksBatches):
        made.account_id = options.account_id or ""
    return made.keep_to(dialect.batch) if isinstance(made, OpenAIBatches) else made


OPENAI = ProviderSpec(
    name="openai",
    title="OpenAI",
    options=OpenAIOptions,
    build=build_openai,
    services=frozenset({"moderation"}),
    batches=True,
    key_header="authorization",
)
AZURE = ProviderSpec(
    name="azure",
    title="Azure OpenAI",
    options=AzureOptions,
    build=build_azure,
    batches=True,
    key_header="api-key",
    unlisted="Azure lists its models, not your deployments",
)
