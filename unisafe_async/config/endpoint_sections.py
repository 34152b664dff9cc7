"""What every section of one model says, under test or judging: the keys that all have, and those of the provider that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)
from unisafe_providers.endpoint_options import EndpointOptions, VendorOptions
from unisafe_providers.plugins import Plugin
from unisafe_providers.presets import Preset, find_preset
from unisafe_providers.price_table import Quote, find_price
from unisafe_providers.prices import FREE, Price
from unisafe_providers.registry import CallableOptions, describe_unknown, find_spec, find_takers
from unisafe_providers.spec import Declared, Options, ProviderSpec

from unisafe_async.config.stored_keys import STORED

Medium = Literal["text", "image"]
HOSTED_CONCURRENCY = 32
LOCAL_CONCURRENCY = 512
LOCAL_CONCURRENCY_IMAGES = 128
"""The same for requests with images."""


def _check_provider(name: str) -> str:
    if find_spec(name) is None:
        raise ValueError(describe_unknown(name))
    return name


ProviderName = Annotated[str, AfterValidator(_check_provider)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=(), serialize_by_alias=True)


class EndpointSection(Section):
    """What `[[models]]` and `[judge]` share: one model behind one endpoint. The rest are the options of its provider."""

    provider: ProviderName = Field(
        description="a vendor, a server, `transformers`, `diffusers`, `command`, `simulated`, `recorded` or a plugin"
    )
    model: str = Field(
        min_length=1, description="its name at the endpoint, or a hub id, a folder or a file; of a command its `name`, unless set"
    )
    takes: list[Medium] = Field(["text"], description='what it accepts: `"text"`, `"image"`')
    max_concurrency: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="calls at once, at most (32 unless set); of a local model, requests that batches are chosen from (512, with "
        "images 128)",
    )
    max_tries: int = Field(
        8,
        ge=1,
        description="tries of one request that fail in passing (5xx, no answer), before its item fails; waits for a rate limit do "
        "not count, and a complete answer of a wrong shape, which was paid for, is asked for twice at most",
    )
    max_wait_s: float = Field(
        900.0,
        gt=0,
        description="how long what passes is waited for: an endpoint that fails for everybody is held and probed, not given up "
        "item by item, and stops after so many seconds; a limit is waited out, but one whose stated wait is longer than this stops "
        "the model; so long, too, is an answer waited for that another run on the cache is just asking for",
    )

    _foreign: tuple[str, ...] = ()

    @model_validator(mode="wrap")
    @classmethod
    def _with_its_options(cls, given: Any, make: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 whatever stands in the file
        """A section with the options of the provider that it names; its defaults stand where the file says nothing."""
        spec = find_spec(given["provider"]) if isinstance(given, dict) and isinstance(given.get("provider"), str) else None
        if issubclass(cls, Options) or not isinstance(given, dict):
            return make(given)
        if spec is None:  # that is the mistake, and not that it has none of the options that stand there
            return make({key: value for key, value in given.items() if key in cls.model_fields or not _is_an_option(key)})
        if taken := [key for key in spec.keys if hasattr(cls, key) and key not in cls.model_fields]:
            raise ValueError(
                f"the provider {spec.name!r} names an option {taken[0]!r}, and that word is taken; it needs another name"
            )
        section = combine_section(cls, spec.options)
        if spec.model_is_name and "model" not in given and "name" in given:
            given = {**given, "model": given["name"]}
        defaults = find_defaults(spec, given)
        foreign = [key for key in given if key not in section.model_fields and _is_an_option(key)]
        known = {key: value for key, value in defaults.items() if key in section.model_fields}
        made = section.model_validate(known | {key: value for key, value in given.items() if key not in foreign})
        made._foreign = tuple(sorted(foreign))
        return made

    @model_serializer(mode="wrap")
    def _as_stored(self, make: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The section as runs keep it: with the keys that every stored section has, whatever its provider (stored_keys.py)."""
        given: dict[str, Any] = make(self)
        optional = self.STORED_IF_SET if isinstance(self, Options) else frozenset[str]()
        unset = {key for key in optional if not given.get(key)}
        own = {key: given[key] for key in list_keys(type(self)) if key in given and key not in unset}
        return {key: own.get(key, value) for key, value in STORED.items()} | own

    @property
    def foreign(self) -> tuple[str, ...]:
        """Keys that stand in this section and are options of other providers; they were left out."""
        return self._foreign

    @property
    def spec(self) -> ProviderSpec[Any]:
        """What its provider says of itself."""
        spec = find_spec(self.provider)
        assert spec is not None, "the provider's name was checked"
        return spec

    @property
    def preset(self) -> Preset | None:
        """The preset of a hosted model's vendor; None for a model that is not hosted."""
        return self.spec.vendor

    @property
    def plugin(self) -> Plugin | None:
        """The plugin that brings the provider; None for a built-in one."""
        return self.spec.plugin

    @property
    def hosted(self) -> bool:
        """Whether calls go to a vendor or a server, or to a plugin that may do so: such a model has a key and a price."""
        return self.spec.answers_from == "endpoint"

    @property
    def local(self) -> bool:
        """Whether the model runs on this machine, by one of the built-in providers."""
        return self.spec.answers_from == "device"

    @property
    def simulated(self) -> bool:
        return self.spec.answers_from == "simulation"

    @property
    def address(self) -> str:
        """Where its endpoint is; empty for a model that has none, and where that is the provider's to know."""
        return self.base_url if isinstance(self, EndpointOptions) else ""

    @property
    def servers(self) -> int:
        """How many servers of the model there are: each takes so many calls at once, and has the limits, that the section says."""
        return len(self.addresses) if isinstance(self, EndpointOptions) else 1

    @property
    def secret_variables(self) -> dict[str, str]:
        """The keys of this section that name a variable with a secret, such as `key_env`, each with the variable."""
        return self.variables if isinstance(self, EndpointOptions) else {}

    @property
    def runs_code(self) -> bool:
        """Whether code that comes with the model is run."""
        return isinstance(self, Options) and self.runs_code_of_model

    @property
    def started(self) -> bool:
        """Whether a run starts its server on this machine."""
        return isinstance(self, Options) and self.runs_here

    @property
    def asks_by_schema(self) -> bool:
        """Whether it is asked for JSON by schema, as a judge."""
        return self.structured if isinstance(self, VendorOptions | CallableOptions) else True

    @property
    def dialect(self) -> Preset | None:
        """The preset whose vendor's ways are kept: the address's own, whatever `provider` says, else that of `provider`."""
        return self.find_dialect(self.preset) if isinstance(self, EndpointOptions) else self.preset

    @property
    def prices(self) -> Price:
        """The prices in the file, else the known ones of the vendor's model; a server of the user's own costs nothing a call."""
        given = self.given_price if isinstance(self, EndpointOptions) else None
        if given is not None:
            return given
        known = self.known_price
        own = self.preset is not None and self.preset.is_own_server
        return known.price if known is not None else FREE if own else Price()

    @property
    def known_price(self) -> Quote | None:
        """The known price of the vendor's model, if the file gives none and the address is the vendor's own."""
        if not isinstance(self, VendorOptions) or self.given_price is not None or not self.stands_at(self.preset):
            return None
        return find_price(self.provider, self.model)

    @property
    def priced(self) -> bool:
        return not self.hosted or self.started or self.prices.tokens_in is not None or self.prices.image is not None

    @property
    def unfinished(self) -> str:
        """What its user has still to write before anybody can be asked, with the key of bench.toml; empty for nothing."""
        vendor = self.preset
        if vendor is None:
            return ""
        if blank := vendor.find_blank(self.address):
            return f"base_url: put yours in place of {blank} in {self.address}"
        if vendor.key_header and not self.secret_variables and vendor.holds(self.address):
            example = f'{{ "{vendor.key_header}" = "{vendor.usual_variable(self.provider)}" }}'
            return f"headers_env: missing, and the key of {vendor.title} goes there: headers_env = {example}"
        return ""

    @property
    def price_keys(self) -> str:
        """The keys of bench.toml that give its price."""
        return "price_image" if list(getattr(self, "gives", ())) == ["image"] else "price_in and price_out"

    @property
    def concurrency(self) -> int:
        """The most calls under way at once."""
        if self.local:
            return self.waiting_on_device
        return HOSTED_CONCURRENCY if self.max_concurrency is None else self.max_concurrency

    @property
    def waiting_on_device(self) -> int:
        """The most calls under way at once for a model on this machine."""
        if self.max_concurrency is not None:
            return self.max_concurrency
        return LOCAL_CONCURRENCY_IMAGES if "image" in self.takes else LOCAL_CONCURRENCY

    def find_mistakes_of_options(self) -> Iterator[str]:
        """What its provider finds wrong with its options, each with its key."""
        assert isinstance(self, Options), "a section whose provider is known has its options"
        yield from self.find_mistakes(self._declared())

    def _declared(self) -> Declared:
        return Declared(model=self.model, takes=self.takes, gives=(), judges=True, vendor=self.preset)


S = TypeVar("S", bound=EndpointSection)
_SECTIONS: dict[tuple[type[EndpointSection], type[Options]], Any] = {}
"""Those that were put together, for their models to be made once."""


def _is_an_option(key: str) -> bool:
    """Whether any provider has that key, of ours, or as a plain callable."""
    return key in CallableOptions.model_fields or bool(find_takers(key))


def combine_section(kind: type[S], options: type[Options]) -> type[S]:
    """The section of `kind` with the keys of a provider: one model of both, so that a mistake has the place that the file has."""
    if (kind, options) not in _SECTIONS:
        _SECTIONS[kind, options] = create_model(f"{kind.__name__} with {options.__name__}", __base__=(kind, options))
    section: type[S] = _SECTIONS[kind, options]
    return section


def list_keys(section: type[BaseModel]) -> list[str]:
    """The keys of a section, those of its provider last."""
    kind = section.__bases__[0]
    common = kind.model_fields if issubclass(section, Options) and issubclass(kind, BaseModel) else {}
    return list(dict.fromkeys([*common, *section.model_fields]))


def find_defaults(spec: ProviderSpec[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in a provider's section unless the file says otherwise.

    With an address in `given` it names no variable of a key: a vendor's key goes to the vendor alone. A server that the run starts
    has an address of its own.
    """
    vendor = spec.vendor
    started = "serve" in spec.keys and bool(given.get("serve"))
    address = {} if vendor is None or started else {"base_url": vendor.base_url or "", "key_env": vendor.key_env}
    discount = {} if vendor is None or given.get("mode") != "batch" else {"batch_discount": _find_discount(vendor, given)}
    defaults = {key: value for key, value in {**address, **spec.defaults, **discount}.items() if value is not None}
    return {key: value for key, value in defaults.items() if "base_url" not in given or key != "key_env"}


def _find_discount(vendor: Preset, given: Mapping[str, Any]) -> float:
    """What the vendor's prices are multiplied by in batch jobs of a section's model."""
    address = given.get("base_url")
    dialect = find_preset(address) if isinstance(address, str) else None
    return (dialect or vendor).batch.find_price(str(given.get("model")))
