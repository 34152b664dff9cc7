"""The keys of a model behind an address (limits, prices, the key's variable), and those of a model at a vendor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from unisafe_providers.base import Kind
from unisafe_providers.presets import Preset, Price, find_preset
from unisafe_providers.spec import Declared, Options

NO_SECRETS = "base_url: holds a user, a password or a query; keys go into a variable named by key_env"


class EndpointOptions(Options):
    """The keys of a model behind an address."""

    STORED_IF_SET: ClassVar[frozenset[str]] = frozenset({"replicas"})

    base_url: str = Field(
        "",
        examples=["http://localhost:8000/v1, or a list of such"],
        description="up to and with `/v1`; with one of yours, `key_env` must be named too; a list names [several servers]"
        "(servers.md#many-servers) of one model",
    )
    replicas: list[str] = Field([], description="further addresses of the same model, as a list in `base_url` gives them")
    key_env: str | None = Field(None, description="the variable that holds the key; a server without keys needs none")
    rpm: float | None = Field(None, gt=0, description="requests a minute that your tier allows")
    tpm: float | None = Field(None, gt=0, description="tokens a minute that your tier allows")
    images_per_minute: float | None = Field(None, gt=0, description="images a minute that your tier allows")
    timeout_s: float = Field(120.0, gt=0, description="seconds for one try, from connecting to the last byte")
    price_in: float | None = Field(None, ge=0, description="US dollars per million tokens in")
    price_out: float | None = Field(None, ge=0, description="US dollars per million tokens out")
    price_image: float | None = Field(None, ge=0, description="US dollars per image made")

    @model_validator(mode="before")
    @classmethod
    def _read_addresses(cls, given: Any) -> Any:  # noqa: ANN401 whatever stands in the file
        """Of a list of addresses the first one is `base_url`, and the others are `replicas`."""
        if not isinstance(given, dict) or not isinstance(given.get("base_url"), list):
            return given
        first, *others = given["base_url"] or [""]
        return {**given, "base_url": first, "replicas": [*others, *given.get("replicas", [])]}

    @property
    def addresses(self) -> list[str]:
        """The addresses of all servers of this model."""
        return [self.base_url, *self.replicas]

    @property
    def variables(self) -> dict[str, str]:
        """The keys of this section that name a variable with a secret, such as `key_env`, each with the variable."""
        return {"key_env": self.key_env} if self.key_env is not None else {}

    def find_dialect(self, vendor: Preset | None) -> Preset | None:
        """The preset whose vendor's ways are kept: the address's own, whatever `provider` says, else that of `provider`."""
        return find_preset(self.base_url) or vendor

    @property
    def given_price(self) -> Price | None:
        """The price that the file gives; None where it gives none."""
        price = Price(self.price_in, self.price_out, self.price_image)
        return None if price == Price() else price

    def find_mistakes(self, declared: Declared) -> Iterator[str]:
        for url in map(urlsplit, self.addresses):
            if url.username or url.password or url.query:
                yield NO_SECRETS
                return
        yield from self._mistakes_of_replicas(declared)

    def _mistakes_of_replicas(self, declared: Declared) -> Iterator[str]:
        """What is wrong with a list of addresses."""
        if len({address.rstrip("/") for address in self.addresses}) < len(self.addresses):
            yield "base_url: names an address twice"
        if self.replicas and declared.in_batches:
            yield "base_url: batch jobs go to one address; name one"


class VendorOptions(EndpointOptions):
    """The keys of a model at a vendor or a server whose protocol we speak."""

    structured: bool = Field(True, description="ask the judge for JSON by schema; an endpoint that refuses it is asked without")
    extra: dict[str, Any] = Field({}, description="more keys for every request body; part of the cache key")
    extra_chat: dict[str, Any] = Field(
        {},
        description="such keys for chats only, over those of `extra`; an image that is asked for in a chat has those of its kind",
    )
    extra_image: dict[str, Any] = Field({}, description="such keys for requests for images only")
    extra_edit: dict[str, Any] = Field({}, description="such keys for edits of images only")
    headers: dict[str, str] = Field(
        {},
        description="headers of your own, sent with every call, upload and list of models, and never to where an image is kept: "
        '`{ "X-Title" = "bench" }`; all are part of the cache key, since a gateway may route by them',
    )
    headers_env: dict[str, str] = Field(
        {},
        description="headers with secrets: the name of the variable that holds each value, "
        '`{ "x-portkey-api-key" = "PORTKEY_API_KEY" }`; never stored, shown or part of the cache key, so what changes answers goes '
        "into `headers` ([gateways](hosted-models.md#gateways))",
    )

    BUILDS_ADDRESS: ClassVar[bool] = False
    """Whether an address follows from other keys, such as a region, where none is given."""

    KEY_EVERYWHERE: ClassVar[bool] = True
    """Whether every server of this protocol wants a key, wherever it is."""

    @property
    def variables(self) -> dict[str, str]:
        return super().variables | {f"headers_env.{name}": variable for name, variable in self.headers_env.items()}

    @property
    def extras(self) -> dict[Kind, dict[str, Any]]:
        """Keys that replace those of `extra` in requests of one kind; kinds without such keys are left out."""
        found: dict[Kind, dict[str, Any]] = {"chat": self.extra_chat, "image": self.extra_image, "edit": self.extra_edit}
        return {kind: extra for kind, extra in found.items() if extra}

    def stands_at(self, vendor: Preset | None) -> bool:
        """Whether the address is the vendor's own, so that the preset holds."""
        return vendor is not None and vendor.holds(self.base_url)

    def find_mistakes(self, declared: Declared) -> Iterator[str]:
        one_by_one = [self.model_copy(update={"base_url": address, "replicas": []}) for address in self.addresses]
        wrong = next(filter(None, (each._mistake_of_address(declared.vendor) for each in one_by_one)), "")
        if wrong:
            yield wrong
            return
        yield from self._mistakes_of_replicas(declared)
        yield from self._find_more(declared)

    def _mistake_of_address(self, vendor: Preset | None) -> str:
        """What is wrong with the address or its key; empty when nothing is."""
        if not self.base_url and vendor is not None and vendor.address:
            return f"base_url: missing; {vendor.title} has an address for each customer: {vendor.address}"
        try:
            url = urlsplit(self.base_url)
        except ValueError:
            url = urlsplit("")
        if url.scheme not in ("http", "https") or not url.hostname:
            return f"base_url: should be an address such as https://host/v1, found {self.base_url!r}"
        if url.username or url.password or url.query:
            return NO_SECRETS
        if url.hostname == "api.openai.com" and not self.variables:
            return "key_env: missing; name the variable that holds the key, such as OPENAI_API_KEY"
        if vendor is not None and not self.variables and self._wants_key_of(vendor):
            return f"key_env: missing; name the variable that holds the key for {url.hostname}, such as {vendor.key_env}"
        if self.KEY_EVERYWHERE and not self.variables and url.scheme == "https":
            such_as = f", such as {vendor.key_env}" if vendor is not None else ""
            return f"key_env: missing; name the variable that holds the key for {url.hostname}{such_as}"
        return ""

    def _wants_key_of(self, vendor: Preset) -> bool:
        """Whether the address is a vendor's own, where nobody is answered without its key."""
        return vendor.key_env is not None and not vendor.gateway and not self.BUILDS_ADDRESS and vendor.holds(self.base_url)

    def _find_more(self, declared: Declared) -> Iterator[str]:
        """What is wrong beside the address."""
        yield from ()
