"""What a provider says of itself: its name, the keys that it adds to bench.toml, and how it is built.

Every provider comes in this way, ours too. Its module ends in a `ProviderSpec`, and an entry point of the group
`unisafe.providers` names that:

    class AcmeOptions(EndpointOptions):
        style: Literal["plain", "loud"] = Field("plain", description="how it answers")

    def build(settings: ProviderSettings, options: AcmeOptions) -> Provider: ...

    ACME = ProviderSpec(name="acme", title="Acme", options=AcmeOptions, build=build)

The module is imported as soon as bench.toml names the provider, so what is slow to import is imported inside `build`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from unisafe_providers.base import Provider
from unisafe_providers.plugins import Plugin
from unisafe_providers.presets import Preset
from unisafe_providers.settings import ProviderSettings, Service

AnswersFrom = Literal["endpoint", "device", "simulation", "file"]
"""A vendor or a server, this machine's memory, our own simulation, or a file that was written before."""
ONE, SEVERAL = "in the singular", "in the plural"
"""Tags of the two forms of a value that may be one thing or a list; they stand in no file, so messages leave them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a section says in the keys that every provider has, for whoever looks for mistakes in it.

    Args:
        model: its name at the endpoint.
        takes, gives: `text` and `image`; a judge gives nothing.
        judges: whether it is a judge.
        in_batches: whether its requests go out as batch jobs.
        packages: installed packages that its answers depend on: a run keeps their versions.
        vendor: what is known of the vendor; None for a provider that has no preset.
    """

    model: str
    takes: Sequence[str]
    gives: Sequence[str]
    judges: bool
    in_batches: bool = False
    vendor: Preset | None = None


class Options(BaseModel):
    """The keys that a provider adds to its section of bench.toml: types, ranges and defaults, with a description of each.

    A key that every section has, such as `name`, may be declared too, if FROM_SECTION names it: `build` then finds it here.
    """

    FROM_SECTION: ClassVar[frozenset[str]] = frozenset()
    STORED_IF_SET: ClassVar[frozenset[str]] = frozenset()
    """Keys that a stored section lacks where nothing stands in them: younger than the runs that theirs are compared with."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=(), serialize_by_alias=True)

    @property
    def runs_code_of_model(self) -> bool:
        """Whether code that comes with the model is run on this machine."""
        return False

    @property
    def runs_here(self) -> bool:
        """Whether this section's model runs on this machine although its provider's models often do not: it costs nothing then."""
        return False

    def list_commands(self, model: str) -> list[list[str]]:
        """The command lines that this section starts on this machine, as they are shown before the first start.

        `model` is its name at the endpoint. Most sections start none.
        """
        return []

    def list_variables(self) -> list[str]:
        """The names of variables that bench.toml passes on to what this section starts."""
        return []

    def find_mistakes(self, declared: Declared) -> Iterator[str]:
        """What is wrong although each key is right by itself, each with its key: `devices: names a device twice`."""
        yield from ()


O = TypeVar("O", bound=Options)  # noqa: E741 the options' type


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec(Generic[O]):
    """What a provider says of itself.

    Args:
        name: what bench.toml calls it.
        title: what people call it.
        options: the model of its keys.
        build: makes the provider of one section. The rest of the program is imported there, not before.
        answers_from: where its answers come from. Only an `endpoint` has a key and costs something.
        defaults: keys of its section that stand there unless the file says otherwise.
        judges_not: why it cannot judge; empty when it can.
        services: what it can be asked for beside chats.
        batches: whether its `build` makes a provider of batch jobs.
        key_header: the header that carries the key, in small letters; empty where that is the provider's to know.
        unlisted: why a model may be missing from the list that its endpoint gives; empty where the list tells.
        packages: installed packages that its answers depend on: a run keeps their versions.
        model_is_name: whether a section may leave `model` out: then it is the section's `name`.
        vendor: what is known of the vendor: the entry in vendors/.
        plugin: who brings it; None for one of ours.
    """

    name: str
    title: str
    options: type[O]
    build: Callable[[ProviderSettings, O], Provider]
    answers_from: AnswersFrom = "endpoint"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    judges_not: str = ""
    services: frozenset[Service] = frozenset()
    batches: bool = False
    key_header: str = ""
    unlisted: str = ""
    packages: tuple[str, ...] = ()
    model_is_name: bool = False
    vendor: Preset | None = None
    plugin: Plugin | None = None

    @property
    def simulates(self) -> bool:
        return self.answers_from == "simulation"

    @property
    def keys(self) -> list[str]:
        """The keys that it adds to its section."""
        return [key for key in self.options.model_fields if key not in self.options.FROM_SECTION]
